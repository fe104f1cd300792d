"""Which sessions are forks of which: in a folder, and as far as one log knows it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.viewer.chromium import Chromium
from tests.viewer.families import BRIEF, CLOSED, ROOT, WARM, make
from tests.viewer.logs import ATTACKS
from tests.viewer.test_page import data_of
from tests.viewer.test_served_page import choose
from tests.viewer.test_server import Served

from tinyagent import edits, fork, load
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import write_packed
from tinyagent.viewer import to_html

LINES = "#panel .forks li"
DRAWN = "[...document.querySelectorAll('.forks li')].map((n) => [...n.querySelectorAll('.line')]"


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("family")
    asyncio.run(make(folder))
    return folder


@pytest.fixture
def served(family: Path, tmp_path: Path) -> Iterator[Served]:
    server = Served(Path(shutil.copytree(family, tmp_path / "runs")))
    yield server
    server.close()


def lines(browser: Chromium, selector: str) -> list[list[str]]:
    return [text.split("\n") for text in browser.texts(f"{selector} > div")]


def test_a_page_shows_what_its_log_knows_of_where_it_comes_from(
    browser: Chromium, family: Path, tmp_path: Path
) -> None:
    path = tmp_path / "monday.html"
    path.write_bytes(to_html(load(family / "monday")))
    browser.open(path, "#view=forks")
    assert lines(browser, LINES) == [
        [ROOT[:8], "shared up to record 9"],
        [
            *(WARM[:8], "shared up to record 21", "the cut, 9", "the edit"),
            "tool result: c1: Sunny, 24 °C",
        ],
        [
            *("monday", "this log", "its own records: 22 to 31", "the cut, 21", "the edit"),
            f"tool result: c2: {CLOSED}",
        ],
    ]
    assert browser.texts("#panel .wide tr") == [f"tool result\tc2 {CLOSED}"]
    browser.click(f"{LINES}:nth-child(3) button")
    assert "seq=21&view=forks" in browser.run("location.hash")
    browser.click(f"{LINES}:nth-child(2) button", 1)
    assert "seq=10&view=forks" in browser.run("location.hash")
    assert browser.text("[aria-current] .name") == "session"
    browser.press("9")
    assert browser.text("nav [aria-selected=true]") == "9forks"
    assert browser.said == []


def test_a_page_of_the_end_of_a_fork_knows_its_parent_and_the_cut(
    browser: Chromium, family: Path, tmp_path: Path
) -> None:
    path = tmp_path / "end.html"
    path.write_bytes(to_html(load(family / "monday"), last=1))
    browser.open(path, "#view=forks")
    assert [line[:2] for line in lines(browser, LINES)] == [
        [WARM[:8], "shared up to record 21"],
        ["monday", "this log"],
    ]
    assert "or its record is not in this page" in browser.text("#panel")
    assert browser.said == []


def test_a_page_of_no_fork_has_no_such_view_nor_its_code(
    browser: Chromium, family: Path, tmp_path: Path
) -> None:
    path = tmp_path / "trip.html"
    path.write_bytes(to_html(load(family / "trip")))
    assert b"function forks" not in path.read_bytes()
    assert b"function forks" in to_html(load(family / "brief"))
    browser.open(path, "#view=forks")
    assert "forks" not in browser.text("nav")
    assert "view=transcript" in browser.run("location.hash")


def test_without_content_an_edit_is_its_length(family: Path) -> None:
    recording = load(family / "monday")
    told = data_of(to_html(recording, content=False))
    assert (told["fork"]["log"], told["fork"]["at"], told["fork"]["root"]) == (WARM, 21, ROOT)
    assert "Sunny" not in str(told)
    assert "Sunny" in str(data_of(to_html(recording)))


def test_a_folder_is_shown_as_a_tree_of_forks(browser: Chromium, served: Served) -> None:
    browser.open(served.server.url)
    browser.click("nav button", 1)
    told = lines(browser, ".forks li")
    assert [line[0] for line in told] == ["trip", "brief", "sunny", "monday", "rome"]
    assert [line[-1] for line in told] == [
        "Plan a day in Paris for tomorrow.",
        "system prompt: Be brief.",
        "tool result: c1: Sunny, 24 °C",
        f"tool result: c2: {CLOSED}",
        "user said: Plan a day in Rome.",
    ]
    cuts = [line[2] for line in told[1:]]
    assert cuts == [
        *("fork of trip at record 19", "fork of trip at record 9"),
        *("fork of sunny at record 21", "fork of monday at record 1"),
    ]
    # A line goes down from the cut in its parent's, past what lies between, to where it begins.
    drawn: list[list[str]] = browser.run(f"{DRAWN}.map((line) => line.getAttribute('d')))")
    downs = [[d.split(" ")[0][1:] for d in line if "V" in d] for line in drawn]
    x = {cut: str(10 + 530 * cut / 31) for cut in (1, 9, 19, 21)}
    assert downs == [
        [x[19], x[9], x[1]],
        [x[9], x[1], x[19]],
        [x[1], x[9], x[21]],
        [x[1], x[21]],
        [x[1]],  # of a record that its parent shares with the first
    ]
    assert "view=forks" in browser.run("location.hash")
    choose(browser, ".forks a", 3)
    browser.until("#id", "fork of")
    assert browser.text("h1") == "monday"
    browser.press("9")
    assert [line[0] for line in lines(browser, LINES)] == [ROOT[:8], WARM[:8], "monday"]
    assert browser.said == []


def test_a_tree_begins_with_a_parent_that_is_not_in_the_folder(
    browser: Chromium, served: Served
) -> None:
    for name in ("brief", "sunny"):
        write_packed(read_log(served.folder / name), served.folder / f"{name}.jsonl")
    for name in ("trip", "sunny", "brief", "monday", "rome"):
        shutil.rmtree(served.folder / name)
    browser.open(served.server.url + "&view=forks")
    browser.until(".forks", "not in this folder")
    told = lines(browser, ".forks li")
    assert told[0] == [ROOT[:8], "not in this folder"]
    assert [line[0] for line in told[1:]] == ["brief", "sunny"]
    assert browser.said == []


def test_a_folder_without_forks_says_so(browser: Chromium, served: Served) -> None:
    for name in ("brief", "sunny", "monday", "rome"):
        shutil.rmtree(served.folder / name)
    browser.open(served.server.url + "&view=forks")
    assert browser.text("main") == "No session here is a fork of another."
    browser.click("nav button", 0)
    assert len(browser.texts("tbody tr")) == 1


def test_hostile_names_and_edits_are_text_in_both(
    browser: Chromium, served: Served, tmp_path: Path
) -> None:
    edit = [edits.tool_result("c1", "\n".join(ATTACKS)), edits.system_prompt(ATTACKS[0])]

    async def attack() -> None:
        trip, into = served.folder / "trip", served.folder / "attack"
        async with fork(trip, at=9, edit=edit, into=into, name=ATTACKS[1], log_id=BRIEF[::-1]):
            pass

    asyncio.run(attack())
    path = tmp_path / "attack.html"
    path.write_bytes(to_html(load(served.folder / "attack")))
    inert = "document.querySelectorAll(':is(img, iframe, [onerror], [onload])').length"
    for place, part in ((path, "#panel"), (served.server.url, ".forks")):
        browser.open(place, "#view=forks" if place is path else "&view=forks")
        told = browser.text(part)
        assert "<script>document.title = 'attacked'" in told
        assert "onerror=alert(2)" in told
        assert "\\u202eevil\\u202c" in told
        assert "\u202e" not in told
        assert (browser.run(inert), browser.dialogs, browser.said) == (0, [], [])
        assert "attacked" not in browser.run("document.title").partition("<")[0]
