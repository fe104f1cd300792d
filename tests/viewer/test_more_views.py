"""The views beside the first five: where a replay diverged, who spoke to whom."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from tests.viewer.chromium import Chromium
from tests.viewer.logs import long_session, trip
from tests.viewer.test_page import data_of

from tinyagent import load, viewer
from tinyagent.cli import main
from tinyagent.events import kinds as k
from tinyagent.recording import Recording
from tinyagent.runtime.divergence import Report
from tinyagent.viewer import to_html

DEMO = Path(viewer.__file__).parent.parent / "demo.jsonl"


def replayed(*, system: str) -> tuple[Recording, Report]:
    recording = load(DEMO)
    started = recording.records[0].event
    assert isinstance(started, k.SessionStarted)
    today = msgspec.structs.replace(started, system=system)
    return recording, recording.replay(today, is_loose=True)


def test_where_a_replay_diverged_is_shown_beside_what_was_recorded(
    browser: Chromium, tmp_path: Path
) -> None:
    path = tmp_path / "diverged.html"
    recording, report = replayed(system="Be terse.")
    path.write_bytes(to_html(recording, report=report))
    browser.open(path, "#view=divergence&seq=1")
    assert browser.text("#panel h2") == "Record 3 is not what the streamer decides today"
    assert browser.texts("#panel > table tr")[1].split("\t") == [
        "messages[0].content",
        "− You plan trips. Look things up before you answer. Be brief.",
        "+ Be terse.",
    ]
    assert browser.text("#panel h3") == "2 MORE, MOST OF THEM BECAUSE OF IT"
    folded = [line.split("\n")[1] for line in browser.texts("#panel details summary")]
    assert folded == ["record 20", "record 33"]
    browser.click("#panel .acts button")
    assert "seq=3&view=divergence" in browser.run("location.hash")
    assert browser.said == []


def test_a_page_without_a_divergence_has_no_such_view(browser: Chromium, tmp_path: Path) -> None:
    recording = load(DEMO)
    page = to_html(recording, report=recording.replay())
    assert page == to_html(recording)
    (tmp_path / "same.html").write_bytes(page)
    browser.open(tmp_path / "same.html", "#view=divergence")
    assert "divergence" not in browser.text("nav")
    assert "view=transcript" in browser.run("location.hash")


def test_without_content_a_divergence_tells_no_text() -> None:
    recording, report = replayed(system="Be terse.")
    told = json.dumps(data_of(to_html(recording, content=False, report=report)))
    assert "messages[0].content" in told
    assert "terse" not in told
    assert "Look things up" not in told


def test_the_command_writes_the_page_of_a_replay(tmp_path: Path) -> None:
    path = tmp_path / "replay.html"
    assert main(["replay", "@demo", "--html", str(path)]) == 0
    assert path.read_bytes() == to_html(load(DEMO))


def test_a_sequence_has_an_arrow_for_each_record_from_the_actor_of_its_cause(
    browser: Chromium, tmp_path: Path
) -> None:
    path = tmp_path / "trip.html"
    path.write_bytes(to_html(trip()))
    browser.open(path, "#seq=15&view=sequence")
    told = "[...document.querySelectorAll('svg .{}')].map((n) => n.textContent)"
    assert browser.run(told.format("who")) == [
        *("outside", "session", "host", "agent", "model", "tools")
    ]
    words = browser.run(told.format("msg .word"))
    assert words[:4] == ["session.started", "user.said", "model.requested", "model.finished"]
    assert "tool.failed forecast ✗" in words
    assert "model.delta" not in words
    assert browser.run(told.format("on .word")) == ["tool.failed forecast ✗"]
    browser.press("j")
    assert browser.run(told.format("on .word")) == ["model.requested"]
    assert browser.said == []


def test_of_a_long_session_the_part_around_the_record_is_drawn(
    browser: Chromium, tmp_path: Path
) -> None:
    path = tmp_path / "long.html"
    path.write_bytes(to_html(long_session(100)))
    browser.open(path, "#seq=500&view=sequence")
    assert browser.run("document.querySelectorAll('svg .msg').length") == 81
    assert "around the chosen one" in browser.text("#panel")


def test_shares_add_up_and_the_largest_is_named_first(browser: Chromium, tmp_path: Path) -> None:
    path = tmp_path / "trip.html"
    path.write_bytes(to_html(trip()))
    browser.open(path, "#seq=15&view=shares")
    browser.click("#panel .chip", 1)
    told: list[str] = browser.run(
        "[...document.querySelectorAll('svg .share title')].map((n) => n.textContent)"
    )
    assert told[0] == "all of it: 3,147, 100.0 %"
    calls = [line for line in told if line.startswith("model #")]
    assert [line.partition(": ")[2] for line in calls] == [
        *("853, 27.1 %", "1,056, 33.6 %", "1,238, 39.3 %")
    ]
    assert browser.texts("#panel .chain .name") == ["model #3", "model #2", "model #1"]
    browser.click("#panel .chip", 2)
    assert "The log knows no prices." in browser.text("#panel")
    assert browser.said == []
