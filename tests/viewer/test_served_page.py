"""The pages of the server in a real browser: followed while a log grows, and a very long log."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.viewer.chromium import Chromium
from tests.viewer.logs import Written, long_log
from tests.viewer.test_browser import rows
from tests.viewer.test_server import LINES, Served

from tinyagent.events import kinds as k


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path)
    yield server
    server.close()


def address(served: Served, path: str = "/", **place: object) -> str:
    told = "&".join(f"{name}={value}" for name, value in place.items())
    return f"http://127.0.0.1:{served.server.port}{path}#token={served.server.token}&{told}"


def choose(browser: Chromium, selector: str = "tbody a", nth: int = 0) -> None:
    """Press a session, the first of the list; return when its page is there."""
    browser.click(selector, nth)
    browser.arrives(
        "location.pathname !== '/' && document.documentElement?.dataset.ready === 'yes'"
    )


def test_a_session_is_chosen_from_the_list_and_is_the_page_of_that_log(
    browser: Chromium, served: Served
) -> None:
    (served.folder / "tool.jsonl").write_bytes(b"".join(LINES))
    browser.open(address(served))
    (line,) = browser.texts("tbody tr")
    assert line.split("\t")[0].splitlines()[0] == "one-tool"
    choose(browser)
    browser.until("#list", "Weather in Paris?")
    assert [row.split()[2:4] for row in rows(browser)][:2] == [["1", "session"], ["2", "user"]]
    for view in "2345":
        browser.press(view)
    assert browser.said == []
    mine = f"http://127.0.0.1:{served.server.port}/"
    assert [url for url in browser.asked if not url.startswith(mine)] == []
    assert not [url for url in browser.asked if served.server.token in url.partition("#")[0]]


def test_without_the_token_the_page_says_what_to_do(browser: Chromium, served: Served) -> None:
    browser.call("Page.navigate", url=f"http://127.0.0.1:{served.server.port}/log/x")
    browser.until("#wait", "the token is missing or wrong: use the address as printed")


def test_a_log_is_followed_while_it_is_written(browser: Chromium, served: Served) -> None:
    path = served.folder / "log" / "00000001.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"".join(LINES[:4]))
    holder = {"pid": os.getpid(), "host": socket.gethostname()[:64]}
    (path.parent / "LOCK").write_text(json.dumps(holder))
    browser.open(address(served, "/log/log"))
    browser.until("#id", "running")
    assert len(rows(browser)) == 3
    assert "…" in rows(browser)[2]
    with path.open("ab") as file:
        file.write(b"".join(LINES[4:-2]))
    browser.until("#list", "Paris: 21 °C, “sunny”")
    with path.open("ab") as file:
        file.write(b"".join(LINES[-2:]))
    browser.until("#id", "answered")
    assert "…" not in rows(browser)[2]
    assert browser.text("#total") == "21 records in the log"
    browser.press("m", "3")
    assert "✓ digest as recorded" in browser.text("#panel")
    assert browser.said == []


def test_a_page_says_that_its_server_is_gone(browser: Chromium, served: Served) -> None:
    (served.folder / "tool.jsonl").write_bytes(b"".join(LINES))
    browser.open(address(served, "/log/tool.jsonl"))
    (served.folder / "tool.jsonl").unlink()
    told = "getComputedStyle(document.documentElement, '::after').content"
    while browser.run(told) == "none":
        browser.run("new Promise((done) => setTimeout(done, 20))")
    assert "no log 'tool.jsonl' here" in browser.run(told)
    assert "Weather in Paris?" in browser.text("#list")


def test_a_page_whose_server_ended_says_so_and_what_to_do_when_another_one_has_its_place(
    browser: Chromium, tmp_path: Path
) -> None:
    (tmp_path / "tool.jsonl").write_bytes(b"".join(LINES))

    @contextmanager
    def serve(port: int = 0) -> Generator[str]:
        argv = [sys.executable, "-m", "tinyagent", "serve", str(tmp_path), "--port", str(port)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                yield process.stdout.readline().decode().strip()
            finally:
                process.kill()

    def until(words: str) -> None:
        told = "getComputedStyle(document.documentElement, '::after').content"
        while words not in browser.run(told):
            browser.run("new Promise((done) => setTimeout(done, 20))")

    with serve() as url:
        port = int(url.split(":")[2].partition("/")[0])
        browser.open(url.replace("/#", "/log/tool.jsonl#"))
    until("the server does not answer; is tinyagent serve still running?")
    with serve(port) as url:
        until("the token is missing or wrong: use the address as printed")
        assert "Weather in Paris?" in browser.text("#list")
        browser.call("Page.navigate", url="about:blank")
        browser.open(url)
        assert len(browser.texts("tbody tr")) == 1


def test_who_reads_elsewhere_stays_there_when_more_comes(browser: Chromium, served: Served) -> None:
    path = served.folder / "log" / "00000001.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"".join(LINES[:9]))
    browser.open(address(served, "/log/log", seq=2))
    browser.press("e")
    before = browser.run("location.hash")
    with path.open("ab") as file:
        file.write(b"".join(LINES[9:]))
    browser.until("#list", "answered")
    assert browser.run("location.hash") == before
    assert browser.run("document.querySelector('[aria-current] .top').ariaExpanded") == "true"


def test_an_attack_is_text_in_the_list_too(browser: Chromium, served: Served) -> None:
    log = Written("<img src=x onerror=alert(1)>\u202e", "ab" * 16)
    log.start("")
    log.add(k.UserSaid(content="<script>alert(2)</script>\u202e\u200b"))
    log.write(served.folder / "<b>&.jsonl")
    browser.open(address(served))
    (line,) = browser.texts("tbody tr")
    assert "<img src=x onerror=alert(1)>\\u202e" in line
    assert "<script>alert(2)</script>\\u202e\\u200b" in line
    choose(browser)
    browser.until("#list", "alert(2)")
    assert (browser.said, browser.dialogs) == ([], [])


@pytest.mark.slow
def test_a_hundred_thousand_records_scroll(browser: Chromium, served: Served) -> None:
    log = long_log(10_001)
    assert len(log.stored) > 100_000
    log.write(served.folder / "long.jsonl")
    browser.open(address(served, "/log/long.jsonl"))
    assert 10 < len(rows(browser)) < 80  # long before all of it is there
    browser.until("#total", f"{len(log.stored):,} records")
    while browser.run("document.documentElement.dataset.whole") != "yes":
        browser.run("new Promise((done) => setTimeout(done, 50))")
    last = str(len(log.stored))
    scrolled = """(async () => {
        const box = document.getElementById("list"), times = [], counts = [];
        for (let n = 0; n <= 200; n++) {
            const began = performance.now();
            box.scrollTop = box.scrollHeight * n / 200;
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            times.push(performance.now() - began);
            counts.push(document.querySelectorAll(".row").length);
        }
        times.sort((a, b) => a - b);
        return [times[100], Math.min(...counts), Math.max(...counts)];
    })()"""
    median_ms, least, most = browser.run(scrolled)
    assert 10 < least <= most < 80
    assert median_ms < 500  # a frame or two, where nothing else runs
    assert rows(browser)[-1].split()[2:4] == [last, "end"]
    browser.run("location.hash = location.hash.replace(/seq=\\d+/, 'seq=50000')")
    browser.until("[aria-current]", "chapter")
    for view in "2345":
        browser.press(view)
        assert len(browser.text("#panel")) > 100
    assert browser.said == []
