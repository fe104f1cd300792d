"""``tinyagent resume``, ``fork``, ``rerun``: announced, allowed, and what came of it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.crashing import ID, World, calls, text, turns

from tinyagent import Agent, load, open_log
from tinyagent.cli.refs import DEMO
from tinyagent.runtime.stores.files import FileLog

Run = Callable[..., tuple[int, str, str]]
APP = ("--app", f"{__name__}:build")
SCRIPT = turns(calls(("s1", "send", {"to": "ann"})), text("It is sent."))
WORLDS: list[World] = []


def build(*, log: Any) -> Agent:
    """Return an agent whose world is the last one made."""
    world = WORLDS[-1]
    return world.build(log, SCRIPT, [world.tool("send", "write")])


@pytest.fixture
def trip(tmp_path: Path) -> Path:
    """A whole session in a folder."""
    WORLDS.append(World())

    async def record() -> None:
        async with open_log(tmp_path / "trip", log_id=ID) as log:
            await build(log=log).prompt("Send it")

    asyncio.run(record())
    return tmp_path / "trip"


def killed_while_sending(trip: Path) -> Path:
    """Return a copy that ends where the tool was running, as a kill leaves it."""
    stored = list(load(trip).records)
    last = next(record.seq for record in stored if record.event.kind == "tool.started")
    lines = (trip / "00000001.jsonl").read_bytes().splitlines(keepends=True)
    path = trip.with_name("killed")
    path.mkdir()
    (path / "00000001.jsonl").write_bytes(b"".join(lines[: 1 + last]))
    return path


def test_a_live_run_is_announced_and_needs_leave(run: Run, trip: Path, monkeypatch: Any) -> None:
    code, _, err = run("rerun", str(trip), *APP)
    assert code == 4
    assert "live: m; send write" in err
    assert "say --yes" in err
    monkeypatch.setenv("TINYAGENT_LIVE", "0")
    code, _, err = run("rerun", str(trip), *APP, "--yes")
    assert code == 4
    assert "TINYAGENT_LIVE=0 forbids" in err


@pytest.mark.parametrize("app", ["nothing", "no_such_module:build", f"{__name__}:nobody"])
def test_an_application_that_is_not_there_is_a_usage_error(run: Run, trip: Path, app: str) -> None:
    code, _, err = run("resume", str(trip), "--app", app, "--yes")
    assert code == 2
    assert app in err


def test_a_call_in_doubt_waits_until_somebody_says_what_became_of_it(run: Run, trip: Path) -> None:
    path = killed_while_sending(trip)
    WORLDS.append(World())
    code, out, _ = run("resume", str(path), *APP, "--yes", "--json")
    assert code == 1
    assert json.loads(out)["status"] == "paused"
    assert json.loads(out)["in_doubt"] == ["s1"]
    code, out, _ = run("resume", str(path), *APP, "--yes", "--unknown", "done=sent before")
    assert code == 0
    assert "It is sent." in out
    assert WORLDS[-1].effects["s1"] == 0
    assert load(path).replay().ok


def test_run_again_is_a_decision_that_can_be_made(run: Run, trip: Path) -> None:
    path = killed_while_sending(trip)
    WORLDS.append(World())
    code, _, err = run("resume", str(path), *APP, "--yes", "--unknown", "perhaps")
    assert code == 2
    assert "ask, wait, tell, again" in err
    code, _, _ = run("resume", str(path), *APP, "--yes", "--unknown", "again")
    assert (code, WORLDS[-1].effects["s1"]) == (0, 1)


def test_a_fork_says_what_it_shares_and_runs_from_there(run: Run, trip: Path) -> None:
    code, _, err = run("fork", f"{trip}:2", "--prompt", "Send nothing")
    assert code == 0
    assert "of 4f6c0b6c:1, 1 records shared, 1 edited" in err
    assert load(trip.with_name("trip-fork-1")).conversation.messages != []
    end = next(r.seq for r in load(trip).records if r.event.kind == "tool.finished")
    args = ("--tool-result", "s1=refused", *APP, "--run", "--yes", "--into")
    code, out, _ = run("fork", f"{trip}:{end}", *args, str(trip.with_name("other")))
    assert code == 0
    assert "It is sent." in out
    assert [r.content for r in load(trip.with_name("other")).tool_calls.values()] == ["refused"]


def test_a_fork_has_another_model_and_prompt_and_its_approvals_are_given_by_name(
    run: Run, trip: Path, tmp_path: Path
) -> None:
    (tmp_path / "system.txt").write_text("Be terse.")
    into = trip.with_name("guarded")
    edited = ("--system", f"@{tmp_path}/system.txt", "--model", "openai:gpt-4o-mini")
    code, out, _ = run("fork", f"{trip}:1", *edited, "--into", str(into), "--json")
    assert code == 0
    assert json.loads(out)["at"] == 1
    edits = next(r.event for r in load(into).records if r.event.kind == "session.forked").edits  # type: ignore[union-attr] # of that kind
    assert edits == [["model", "openai:gpt-4o-mini"], ["system_prompt", "Be terse."]]
    waiting = trip.with_name("waiting")
    go = (*APP, "--run", "--yes", "--into", str(waiting))
    assert run("fork", f"{trip}:2", *go)[0] == 1
    assert [call.call_id for call in load(waiting).approvals_pending] == ["s1"]
    WORLDS.append(World())
    before = len(load(waiting).records)
    for given, told in (
        (["--approve", "s2"], "call s2 waits for no approval (those that do: s1)"),
        (["--approve", "s1", "--deny", "s1"], "call s1: --approve or --deny, not both"),
        (["--unknown", "maybe"], "--unknown maybe: ask, wait, tell, again, failed=, or done="),
    ):
        code, _, err = run("resume", str(waiting), *APP, "--yes", *given)
        assert (code, err) == (2, f"RefError: {told}\n")
    assert len(load(waiting).records) == before
    assert run("resume", str(waiting), *APP, "--yes", "--approve", "s1")[0] == 0
    assert WORLDS[-1].effects == {"s1": 1}


def test_a_rerun_is_a_log_of_its_own(run: Run, trip: Path) -> None:
    WORLDS.append(World())
    code, out, _ = run("rerun", str(trip), *APP, "--yes")
    assert code == 0
    assert "It is sent." in out
    assert WORLDS[-1].effects["s1"] == 1
    again = load(trip.with_name("trip-rerun-1"))
    assert again.meta.log != ID
    assert again.diff(load(trip)).is_same


def test_there_is_nothing_to_resume_of_a_run_that_ended(run: Run, trip: Path) -> None:
    code, _, err = run("resume", str(trip), *APP, "--yes")
    assert code == 0
    assert "nothing to resume, it is answered" in err


def test_a_log_that_another_process_holds_is_told(run: Run, trip: Path) -> None:
    path = killed_while_sending(trip)
    held = FileLog(path, now_us=lambda: 1)
    try:
        code, _, err = run("resume", str(path), *APP, "--yes")
        assert code == 3
        assert "LogOwnedError" in err
    finally:
        asyncio.run(held.close())


def test_nothing_is_written_beside_the_session_in_the_package(
    run: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(DEMO.parent.iterdir())
    code, _, err = run("fork", "@demo:20")
    assert code == 2
    copying = re.search(r"copy it: tinyagent (.*)", err)
    assert copying is not None
    assert run(*copying[1].split())[0] == 0
    assert run("fork", "@demo:20")[0] == 0
    Path("runs/demo.jsonl").unlink()
    run("rerun", "@demo", "--app", "tinyagent.demo:build", "--yes")
    made = sorted(path.name for path in Path("runs").iterdir())
    assert (made, sorted(DEMO.parent.iterdir())) == (["demo-fork-1", "demo-rerun-1"], before)


@pytest.mark.parametrize("command", ["resume", "rerun"])
def test_a_command_that_runs_code_says_how_to_name_it(run: Run, trip: Path, command: str) -> None:
    code, _, err = run(command, str(trip))
    assert (code, "say --app MODULE:FACTORY, as in myapp.agents:build" in err) == (2, True)


def failing(*, log: Any) -> Agent:
    """Fail as an application does whose configuration is missing."""
    raise KeyError("API_URL")


def strange(*, log: Any) -> int:
    """Return no agent."""
    return 3


@pytest.mark.parametrize("command", ["replay", "rerun", "fork"])
def test_what_fails_in_the_application_is_told_with_its_place(
    run: Run, trip: Path, command: str
) -> None:
    live = {"replay": [], "rerun": ["--yes"], "fork": ["--yes", "--run"]}[command]
    code, _, err = run(command, str(trip), "--app", f"{__name__}:failing", *live)
    told = err.splitlines()[-1]
    assert code == 2
    assert told.startswith(f"RefError: --app {__name__}:failing: KeyError: 'API_URL' (")
    assert re.search(r"test_going_on\.py, line \d+\)$", told)
    assert [path.name for path in trip.parent.iterdir()] == ["trip"]
    code, _, err = run(command, str(trip), "--app", f"{__name__}:strange", *live)
    assert code == 2
    assert err.endswith("returned int, expected Agent\n")


def test_a_module_that_fails_when_it_is_imported_is_told_with_its_place(
    run: Run, trip: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "unready.py").write_text("x = 1\nimport no_such_thing\n")
    (tmp_path / "unwritten.py").write_text("def build(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    code, _, err = run("replay", str(trip), "--app", "unready:build")
    what = "ModuleNotFoundError: No module named 'no_such_thing'"
    place = tmp_path / "unready.py"
    assert (code, err) == (2, f"RefError: --app unready:build: {what} ({place}, line 2)\n")
    code, _, err = run("replay", str(trip), "--app", "unwritten:build")
    told = "RefError: --app unwritten:build: SyntaxError: invalid syntax (unwritten.py, line 1)\n"
    assert (code, err) == (2, told)


def test_an_empty_log_is_not_resumed_and_not_forked(run: Run, tmp_path: Path) -> None:
    async def record() -> None:
        async with open_log(tmp_path / "empty"):
            pass

    asyncio.run(record())
    code, out, err = run("resume", str(tmp_path / "empty"), *APP, "--yes")
    assert (code, err) == (1, f"{tmp_path / 'empty'}: nothing to resume, it is empty\n")
    assert "0 records" in out
    code, _, err = run("fork", str(tmp_path / "empty"))
    assert (code, err) == (2, "RefError: there is no record 0 to fork at; the log has none\n")


def test_a_model_without_a_provider_is_a_wrong_argument(run: Run, trip: Path) -> None:
    code, _, err = run("fork", f"{trip}:9", "--model", "nonsense")
    assert code == 2
    assert err.startswith("UnknownModelError: the name has no provider")


def test_a_new_log_needs_a_place_of_its_own(run: Run, trip: Path) -> None:
    for command in (["rerun", *APP, "--yes"], ["fork"]):
        code, _, err = run(command[0], str(trip), *command[1:], "--into", str(trip))
        assert code == 2
        assert err.splitlines()[-1].startswith(f"RefError: {trip} is there already")
