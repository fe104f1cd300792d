"""The page on a telephone: nothing is wider than the screen but what is scrolled in its own box."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.viewer.chromium import Chromium
from tests.viewer.families import make
from tests.viewer.logs import Written, tool, trip
from tests.viewer.test_served_page import address
from tests.viewer.test_server import Served

from tinyagent import load
from tinyagent.events import kinds as k
from tinyagent.viewer import to_html

BESIDE = "(({scrollWidth, clientWidth}) => scrollWidth - clientWidth)"
VIEWS = ("transcript", "timeline", "context", "state", "causes", "sequence", "shares", "pace")


@pytest.fixture
def narrow(browser: Chromium) -> Iterator[Chromium]:
    browser.size(360, 740)
    yield browser
    browser.size(1360, 860)


def wider(browser: Chromium, selector: str) -> int:
    """Return by how many pixels what *selector* finds is too small for what is in it."""
    found: int = browser.run(f"{BESIDE}(document.querySelector('{selector}'))")
    return found


def long_names() -> Written:
    log = Written("long names")
    name = "forecast_with_a_name_that_goes_on_and_on"
    log.start("אתה מתכנן טיולים.", tool(name, "Weather", city="string"))
    said = log.add(k.UserSaid(content="مرحبا، خطط ليوم في باريس, please."))
    done = log.answer(log.ask(said), "שלום! " * 9, ("c1", name, '{"city":"' + "x" * 300 + '"}'))
    ended = log.call(done, "c1", name, "A" * 9000, took_ms=123_456)
    usage = {"input": 812_345, "output": 4100, "total": 816_445}
    log.add(k.RunEnded(outcome="answered"), log.answer(log.ask(ended), "Done.", usage=usage))
    return log


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_is_wider_than_the_screen(narrow: Chromium, tmp_path: Path, view: str) -> None:
    for name, recording in (("trip", trip()), ("long", long_names().recording())):
        path = tmp_path / f"{name}.html"
        path.write_bytes(to_html(recording, with_deltas=True))
        narrow.open(path, f"#seq=12&view={view}")
        assert [wider(narrow, "html"), wider(narrow, "#panel"), wider(narrow, "#list")] == [0] * 3
        seen = "document.querySelector('nav [aria-selected=true]').getBoundingClientRect().right"
        assert (
            narrow.run(f"{seen} - document.querySelector('nav').getBoundingClientRect().right") < 1
        )
        assert narrow.said == []


def test_a_tree_of_forks_leaves_room_for_words(narrow: Chromium, tmp_path: Path) -> None:
    asyncio.run(make(tmp_path))
    path = tmp_path / "rome.html"
    path.write_bytes(to_html(load(tmp_path / "rome")))
    narrow.open(path, "#view=forks")
    assert wider(narrow, "#panel") == 0
    served = Served(tmp_path)
    try:
        narrow.open(address(served))
        assert wider(narrow, "main") == 0
        assert (
            min(narrow.run("[...document.querySelectorAll('td')].map((n) => n.offsetWidth)")) > 30
        )
        narrow.open(address(served, view="forks"))
        assert wider(narrow, "main") == 0
        told = "[...document.querySelectorAll('.forks li > div')].map((n) => n.clientWidth)"
        assert min(narrow.run(told)) > 140
    finally:
        served.close()


def test_the_last_figure_of_a_timeline_is_whole(browser: Chromium, tmp_path: Path) -> None:
    log = Written("ten seconds")
    log.start("")
    asked = log.ask(log.add(k.UserSaid(content="Wait.")), after_ms=0)
    log.add(k.ModelFinished(reason="end", calls=[]), asked, after_ms=10_000)
    path = tmp_path / "long.html"
    path.write_bytes(to_html(log.recording()))
    browser.open(path, "#view=timeline")
    box = "getBoundingClientRect().right"
    ends = f"[...document.querySelectorAll('#chart text')].map((n) => n.{box})"
    assert "10 s" in browser.run("document.querySelector('#chart svg').textContent")
    assert browser.run(f"Math.max(...{ends}) <= document.querySelector('#chart svg').{box}")
