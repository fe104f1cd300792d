"""``serve --allow-live``: a page may fork a log and go on with it, asked twice, and nobody else."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import run as run
from tests.cli.test_serve import ADDRESS, first_line, serving
from tests.viewer.chromium import Chromium
from tests.viewer.test_served_page import address
from tests.viewer.test_server import LINES, Served

from tinyagent import Agent, Recording, UserSaid, load, open_log, tool
from tinyagent.testing import scripted
from tinyagent.viewer.acting import Acts

TRIP = "/api/log/trip/"
TOLD: list[str] = []
Run = Callable[..., tuple[int, str, str]]


@tool(effect="read")
async def look(city: str) -> str:
    """Look."""
    return f"{city}: sunny"


def build(*, log: Any = None) -> Agent:
    model = scripted(("look", {"city": "Paris"}), "Sunny.").text("Go out.")
    return Agent(model=model, tools=[look], log=log)


@pytest.fixture(params=["with a factory"])
def served(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    async def record() -> None:
        async with open_log(tmp_path / "trip") as log:
            await build(log=log).run("Weather in Paris?")

    asyncio.run(record())
    acts = Acts(build if request.param == "with a factory" else None, TOLD.append)
    server = Served(tmp_path, acts)
    yield server
    server.close()
    acts.close()


def wish(
    served: Served, what: str, given: object = None, path: str = TRIP, **headers: str
) -> tuple[int, Any]:
    """Ask for something as a page of the server does; return status and answer."""
    body = json.dumps({} if given is None else given).encode()
    told = {"Origin": f"http://127.0.0.1:{served.server.port}", "Content_Type": "application/json"}
    status, answer, _ = served.send("POST", path + what, body, {**told, **headers})
    return status, json.loads(answer)


def granted(served: Served, what: str, **given: Any) -> str:
    """Ask, and go on as the server says it would; return the name of the log."""
    _, told = wish(served, what, given)
    status, done = wish(served, what, {**given, "go": told["asks"]})
    assert status == 200, done
    return str(done["where"])


def said(recording: Recording) -> list[object]:
    """Return what the user said."""
    events = (record.event for record in recording.records)
    return [event.content for event in events if isinstance(event, UserSaid)]


def ended(served: Served, name: str) -> Recording:
    """Return the log *name* when its run has ended."""
    for thread in threading.enumerate():
        if thread.name == f"runs {name}":
            thread.join(60)
    return load(served.folder / name)


def test_a_fork_is_made_and_gone_on_with_after_what_would_run_was_told(
    served: Served,
) -> None:
    before = (served.folder / "trip" / "00000001.jsonl").read_bytes()
    asked = wish(served, "fork", {"at": 2, "prompt": "And in Rome?"})
    asks = "fork trip:2, live: scripted; look read"
    assert asked == (200, {"asks": asks})
    assert [each.name for each in served.folder.iterdir()] == ["trip"]

    assert granted(served, "fork", at=2, prompt="And in Rome?") == "trip-fork-1"
    found = ended(served, "trip-fork-1")
    assert (found.status, said(found)) == ("answered", ["And in Rome?"])
    assert found.meta.fork is not None
    assert found.meta.fork.log == load(served.folder / "trip").meta.log
    assert (served.folder / "trip" / "00000001.jsonl").read_bytes() == before
    assert TOLD[-1] == asks


@pytest.mark.parametrize("served", ["without"], indirect=True)
def test_without_a_factory_a_fork_is_made_and_nothing_is_run(served: Served) -> None:
    assert served.json("/api/may") == ["fork"]
    assert wish(served, "fork", {"at": 2}) == (200, {"asks": "fork trip:2; nothing is run"})
    assert granted(served, "fork", at=2) == "trip-fork-1"
    assert load(served.folder / "trip-fork-1").status == "forked"
    assert wish(served, "resume")[0] == 404


def test_a_log_that_was_cut_off_is_gone_on_with(served: Served) -> None:
    assert served.json("/api/may") == ["fork", "resume"]
    assert wish(served, "resume") == (
        409,
        {"error": "trip: nothing to resume, it is answered"},
    )
    lines = (served.folder / "trip" / "00000001.jsonl").read_bytes().splitlines(keepends=True)
    (served.folder / "cut").mkdir(mode=0o700)
    (served.folder / "cut" / "00000001.jsonl").write_bytes(b"".join(lines[:4]))
    path = "/api/log/cut/"
    _, told = wish(served, "resume", path=path)
    assert told == {"asks": "resume cut, live: scripted; look read"}
    assert wish(served, "resume", {"go": told["asks"]}, path) == (200, {"where": "cut"})
    assert ended(served, "cut").status == "answered"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (421, {"Host": "evil.example"}),
        (403, {"Origin": "http://evil.example"}),
        (403, {"Origin": "null"}),
        (403, {"Sec_Fetch_Site": "cross-site"}),
        (401, {"Authorization": "Bearer x"}),
        (400, {"Content_Type": "text/plain"}),
        (400, {"Content_Length": "x"}),
        (413, {"Content_Length": "1000000"}),
    ],
)
def test_nobody_else_makes_anything(served: Served, status: int, headers: dict[str, str]) -> None:
    go = {"at": 2, "go": "fork trip:2, live: scripted; look read"}
    assert wish(served, "fork", go, **headers)[0] == status
    assert [each.name for each in served.folder.iterdir()] == ["trip"]


def test_a_post_without_an_origin_or_of_what_is_not_offered_is_refused(served: Served) -> None:
    given = {"Content-Type": "application/json"}
    status, body, _ = served.send("POST", TRIP + "fork", b"{}", given)
    assert (status, json.loads(body)) == (403, {"error": "asked by no page of this server"})
    assert wish(served, "prune")[0] == 404
    assert wish(served, "fork", path="/api/log/..%2Ftrip/")[0] == 404
    assert wish(served, "fork", {"att": 2})[0] == 400
    assert wish(served, "fork", {"at": 2, "go": "fork trip:3, live: x"})[1].keys() == {"asks"}
    status, _, headers = served.ask(TRIP + "fork", "PUT")
    assert (status, headers["Allow"]) == (405, "GET, POST")
    assert [each.name for each in served.folder.iterdir()] == ["trip"]


def test_what_cannot_be_made_is_told(served: Served) -> None:
    given = {"at": 99}
    _, told = wish(served, "fork", given)
    status, answer = wish(served, "fork", {**given, "go": told["asks"]})
    assert (status, "99" in answer["error"]) == (409, True), answer


# The command, and the page


def test_the_command_says_what_it_allows(tmp_path: Path) -> None:
    (tmp_path / "tool.jsonl").write_bytes(b"".join(LINES))
    with serving(str(tmp_path), "--allow-live", "--app", "tinyagent.demo:build") as process:
        assert ADDRESS.fullmatch(first_line(process))
        assert process.stderr is not None
        assert process.stderr.readline() == (
            "whoever has the address may fork these logs, and run tinyagent.demo:build on them, "
            "live\n"
        )


def test_a_factory_alone_and_where_it_is_forbidden_live_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = ("--app", "tinyagent.demo:build")
    told = "RefError: --app runs live: say --allow-live too\n"
    assert run("serve", str(tmp_path), *app) == (2, "", told)
    monkeypatch.setenv("TINYAGENT_LIVE", "0")
    code, _, err = run("serve", str(tmp_path), "--allow-live")
    assert (code, "TINYAGENT_LIVE=0 forbids that" in err) == (4, True)


@pytest.mark.skipif(sys.platform == "win32", reason="the browser is driven over pipes of POSIX")
def test_the_page_offers_it_and_goes_to_the_fork(browser: Chromium, served: Served) -> None:
    browser.open(address(served, "/log/trip", seq=2))
    browser.until("#acts", "fork")
    browser.click("#acts summary")
    browser.click("#acts button")
    browser.until("#acts p", "fork trip:2, live: scripted; look read")
    browser.click("#acts p + button")
    browser.arrives("location.pathname === '/log/trip-fork-1' && !!document.querySelector('#list')")
    assert ended(served, "trip-fork-1").status == "answered"
    assert browser.said == []
