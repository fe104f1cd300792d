"""A log full of attacks in the page: all of it is text, and nothing runs, loads or hides."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.viewer.chromium import Chromium
from tests.viewer.logs import Written, attacked
from tests.viewer.test_browser import rows, write

from tinyagent.events import kinds as k


@pytest.mark.parametrize("with_deltas", [False, True])
def test_an_attack_runs_nothing_and_loads_nothing(
    browser: Chromium, tmp_path: Path, with_deltas: bool
) -> None:
    browser.open(write(attacked(), tmp_path / "attack.html", with_deltas=with_deltas))
    title = browser.run("document.title")
    for view in "12345678":
        browser.press(view, "E")
        browser.press("j", "j", "j", "j")
        browser.run(
            "document.querySelectorAll('#panel details').forEach((d) => { d.open = true; })"
        )
        browser.run("new Promise((done) => setTimeout(done, 20))")
    assert browser.run("document.title") == title
    assert "onerror=alert(2)" in title
    assert browser.dialogs == []
    assert browser.said == []
    assert all(url.startswith(("file:", "about:")) for url in browser.asked), browser.asked
    assert browser.run("({}).polluted") is None
    assert browser.run("[...document.images].map((i) => i.src)") == []
    assert browser.run("document.querySelectorAll('a, iframe, form, object, embed').length") == 0
    assert "<script>document.title" in browser.run("document.body.textContent")


def test_what_is_no_text_where_one_belongs_sets_nothing_of_the_page(
    browser: Chromium, tmp_path: Path
) -> None:
    log = Written()
    markup = {"innerHTML": "<b id=made>made</b>", "onclick": "alert(1)", "hidden": True}
    log.add(k.SessionStarted(model={"id": markup, "api": markup}, system="", tools=[]))
    browser.open(write(log.recording(), tmp_path / "map.html"))
    assert "[object Object]" in rows(browser)[0]
    assert browser.run("document.getElementById('made')") is None
    assert browser.said == []


def test_marks_that_turn_text_around_are_written_out(browser: Chromium, tmp_path: Path) -> None:
    browser.open(write(attacked(), tmp_path / "attack.html"), "#seq=2")
    browser.press("e")
    seen = browser.text(".row .body .text")
    assert "\\u202eevil\\u202c \\u200bzero\\ufeff \\u001b[31mred\\u0007 \\u0000nul" in seen
    hidden = "/[\\u202a-\\u202e\\u2066-\\u2069\\u200b\\ufeff]/.test(document.body.innerText)"
    assert browser.run(hidden) is False


def test_ten_megabytes_in_one_line_are_shown_in_parts(browser: Chromium, tmp_path: Path) -> None:
    browser.open(write(attacked(), tmp_path / "attack.html"), "#chips=every&seq=12")
    browser.press("e")
    assert browser.run("document.body.textContent.length") < 400_000
    assert "characters are left out" in browser.text(".row .body .more")
