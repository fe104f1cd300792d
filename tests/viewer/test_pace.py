"""An answer as it came: played, paused, moved through, and said to be missing where it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.viewer.chromium import Chromium
from tests.viewer.logs import ATTACKS, Written, attacked, trip
from tests.viewer.test_served_page import address
from tests.viewer.test_server import Served

from tinyagent.events import kinds as k
from tinyagent.viewer import to_html

MS = 1000
OUTPUT = "document.querySelector('#panel output').textContent"
SAID = "#panel .text, #panel pre"


def spoken(*pieces: k.Piece, lost: tuple[k.Piece, ...] = ()) -> Written:
    """Return a log of one answer; *lost* are the pieces of an attempt before."""
    log = Written()
    log.start("")
    asked = log.ask(log.add(k.UserSaid(content="Say it.")))
    if lost:
        log.add(k.ModelDelta(pieces=list(lost)), asked)
        busy = k.Failure(kind="overloaded", message="busy")
        log.add(k.ModelRetrying(attempt=2, failure=busy, delay_s=0), asked)
    for piece in pieces:
        log.add(k.ModelDelta(pieces=[piece]), asked)
    usage = {"input": 3, "output": 4, "total": 7}
    done = log.add(k.ModelFinished(reason="end", usage=usage), asked, after_ms=700)
    log.add(k.RunEnded(outcome="answered"), done)
    return log


SLOW = spoken(
    (0, "think", "Hm.", 100 * MS),
    (1, "text", "One, ", 100 * MS),
    (1, "text", "two 🙂, three.", (200 * MS, 200 * MS), (7, 6)),
    (2, "call", {"id": "c1", "name": "count"}, 0),
    (2, "args", '{"to":3}', 0),
)


@pytest.fixture
def paced(browser: Chromium, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "slow.html"
    path.write_bytes(to_html(SLOW.recording(), with_deltas=True))
    yield path
    assert browser.said == []
    browser.still(False)


def reach(browser: Chromium, told: str) -> None:
    browser.until("#panel", told)


def test_an_answer_is_whole_until_it_is_played_at_the_pace_of_the_record(
    browser: Chromium, paced: Path
) -> None:
    browser.open(paced, "#seq=3&view=pace")
    assert browser.text("#panel output") == "600 ms of 600 ms · 6 of 6 deltas"
    assert browser.texts(SAID) == ["Hm.", "One, two 🙂, three.", '{"to":3}']
    told = "first delta after 100 ms all of it after 600 ms deltas 6 longest pause 200 ms"
    assert " ".join(browser.text("#panel .facts").split()).startswith(f"record 3 {told}")
    times: dict[str, float] = browser.run(
        """(async () => {
            const began = performance.now(), seen = {};
            document.dispatchEvent(new KeyboardEvent("keydown", { key: "p" }));
            do {
                await new Promise((done) => requestAnimationFrame(done));
                const text = document.querySelector("#panel output").textContent;
                seen[text.split("· ")[1]] ??= performance.now() - began;
            } while (document.querySelector("#panel .play .small").textContent !== "▶ Play");
            return seen;
        })()"""
    )
    assert next(iter(times)) == "0 of 6 deltas"
    assert list(times)[-1] == "6 of 6 deltas"
    for n, least_ms in ((1, 100), (2, 200), (3, 400), (6, 600)):
        late = [ms for told, ms in times.items() if int(told[0]) >= n]
        assert least_ms - 1 <= late[0] < least_ms + 5000


def test_a_run_of_deltas_is_cut_where_each_ended_in_whole_characters(
    browser: Chromium, paced: Path
) -> None:
    browser.open(paced, "#seq=3&view=pace")
    steps = [browser.texts(SAID)]
    for _ in range(6):
        browser.click("#panel .play .small", 1)
        steps.append(browser.texts(SAID))
    assert steps == [
        ["Hm.", "One, two 🙂, three.", '{"to":3}'],
        ["Hm.", "One, two 🙂, "],
        ["Hm.", "One, "],
        ["Hm."],
        [],
        [],
        [],
    ]
    browser.click("#panel .play .small", 2)
    assert browser.text("#panel output") == "100 ms of 600 ms · 1 of 6 deltas"


def test_playing_is_paused_and_goes_on_where_it_was(browser: Chromium, paced: Path) -> None:
    browser.open(paced, "#seq=3")
    browser.press("p")
    reach(browser, "1 of 6")
    browser.press("p")
    paused = browser.text("#panel output")
    twice = f"new Promise((done) => setTimeout(() => done({OUTPUT}), 300))"
    assert browser.run(twice) == paused
    assert browser.text("#panel .play .small:first-child") == "▶ Play"
    browser.press("p")
    reach(browser, "6 of 6")


def test_the_slider_is_moved_by_key_and_by_pointer(browser: Chromium, paced: Path) -> None:
    browser.open(paced, "#seq=3&view=pace")
    browser.run("document.querySelector('#panel [type=range]').focus()")
    browser.press("Home")
    assert browser.text("#panel output") == "0 µs of 600 ms · 0 of 6 deltas"
    browser.press("End")
    assert browser.text("#panel output") == "600 ms of 600 ms · 6 of 6 deltas"
    browser.press("ArrowLeft")
    assert browser.text("#panel output").endswith("3 of 6 deltas")
    browser.click("#panel [type=range]")
    assert browser.text("#panel output") == "300 ms of 600 ms · 2 of 6 deltas"
    slider = "document.querySelector('#panel [type=range]')"
    assert browser.run(f"[{slider}.ariaLabel, {slider}.getAttribute('aria-valuetext')]") == [
        *("time since the call", "300 ms of 600 ms · 2 of 6 deltas")
    ]
    browser.press("j")  # still the key of the page: the next record
    assert "seq=10" in browser.run("location.hash")


def test_the_picture_of_the_pace_is_pressed_where_one_wants_to_be(
    browser: Chromium, paced: Path
) -> None:
    browser.open(paced, "#seq=3&view=pace")
    browser.click("#panel svg")
    assert browser.text("#panel output") == "300 ms of 600 ms · 2 of 6 deltas"
    # A bar for each moment at which something came, as high as that was long.
    heights = (
        "[...document.querySelectorAll('#panel svg .tip')].map((n) => n.getAttribute('height'))"
    )
    assert len(browser.run(heights)) == 4
    assert float(browser.run(heights)[3]) == 58


def test_four_times_as_fast_takes_a_quarter_of_the_time(browser: Chromium, paced: Path) -> None:
    browser.open(paced, "#seq=3&view=pace")
    for nth, least_ms in ((2, 150), (0, 2400)):
        browser.click("#panel .play .chip", nth)
        assert browser.texts("#panel .play [aria-pressed=true]") == [("0.25×", "1×", "4×")[nth]]
        began = browser.run("performance.now()")
        browser.press("p")
        reach(browser, "0 of 6") if nth == 0 else None
        reach(browser, "6 of 6")
        assert browser.run("performance.now()") - began >= least_ms


def test_who_wants_no_motion_sees_it_in_steps_of_a_second(browser: Chromium, paced: Path) -> None:
    browser.still()
    browser.open(paced, "#seq=3&view=pace")
    seen: list[str] = browser.run(
        f"""(async () => {{
            const seen = new Set();
            document.dispatchEvent(new KeyboardEvent("keydown", {{ key: "p" }}));
            do {{
                seen.add({OUTPUT}.split("· ")[1]);
                await new Promise((done) => requestAnimationFrame(done));
            }} while (document.querySelector("#panel .play .small").textContent !== "▶ Play");
            return [...seen, {OUTPUT}.split("· ")[1]];
        }})()"""
    )
    assert seen == ["0 of 6 deltas", "6 of 6 deltas"]


def test_a_file_without_deltas_says_so(browser: Chromium, tmp_path: Path) -> None:
    path = tmp_path / "joined.html"
    path.write_bytes(to_html(trip()))
    browser.open(path, "#seq=17")
    browser.press("p")
    assert browser.text("nav [aria-selected=true]") == "8pace"
    assert browser.text("#panel").startswith("This file was exported without deltas")
    assert browser.said == []


def test_only_the_attempt_that_ended_is_played(browser: Chromium, tmp_path: Path) -> None:
    log = spoken((0, "text", "Yes.", 5 * MS), lost=((0, "text", "No, or may", 900 * MS),))
    path = tmp_path / "retried.html"
    path.write_bytes(to_html(log.recording(), with_deltas=True))
    browser.open(path, "#seq=3&view=pace")
    assert browser.texts(SAID) == ["Yes."]
    assert browser.text("#panel output") == "5 ms of 5 ms · 1 of 1 deltas"


def test_without_content_the_pace_is_there_and_no_text(browser: Chromium, tmp_path: Path) -> None:
    page = to_html(SLOW.recording(), with_deltas=True, content=False)
    path = tmp_path / "blank.html"
    path.write_bytes(page)
    browser.open(path, "#seq=3&view=pace")
    assert browser.text("#panel output") == "600 ms of 600 ms · 6 of 6 deltas"
    told = [*browser.texts(SAID), browser.text("#panel")]
    assert told[1] == "‹5 characters›‹13 characters›"
    assert "One" not in " ".join(told)


def test_a_hostile_answer_is_played_as_text(browser: Chromium, tmp_path: Path) -> None:
    path = tmp_path / "attack.html"
    path.write_bytes(to_html(attacked(), with_deltas=True))
    browser.open(path, "#seq=3&view=pace")
    title = browser.run("document.title")
    for at in ("0", "player.end / 3", "player.end"):
        browser.run(f"seek({at})")
    seen = browser.text("#panel")
    assert ATTACKS[0] in seen
    assert "\\u202eevil\\u202c" in seen
    assert browser.run("document.querySelectorAll('#panel :is(script, img, a, style)').length") == 0
    assert (browser.run("document.title"), browser.dialogs, browser.said) == (title, [], [])
    assert all(url.startswith(("file:", "about:")) for url in browser.asked)


def test_a_server_is_asked_for_the_deltas_of_the_call_that_is_looked_at(
    browser: Chromium, tmp_path: Path
) -> None:
    SLOW.write(tmp_path / "slow.jsonl")
    served = Served(tmp_path)
    try:
        told: Any = served.json("/api/log/slow.jsonl?deltas=3")
        assert [piece[:2] for piece in told] == [
            *([0, "think"], [1, "text"], [1, "text"], [2, "call"], [2, "args"])
        ]
        assert served.json("/api/log/slow.jsonl?deltas=2") == []
        browser.open(address(served, "/log/slow.jsonl", seq=3, view="pace"))
        reach(browser, "6 of 6 deltas")
        assert browser.texts(SAID) == ["Hm.", "One, two 🙂, three.", '{"to":3}']
        assert [url for url in browser.asked if url.endswith("?deltas=3")] != []
        assert browser.said == []
    finally:
        served.close()
