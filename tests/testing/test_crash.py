"""The crash helper: each cut is taken up, and what must not be is found and named."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tinyagent import Agent, AgentOptions, AgentState, AgentTool
from tinyagent.runtime.stores import Log
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import (
    CrashRun,
    VirtualClock,
    crash_at_every_event,
    crash_runs,
    effects,
    scripted,
)
from tinyagent.testing.crash import cut, faults

SCHEMA = {"type": "object", "properties": {"to": {"type": "string"}}}
MODEL = scripted.calls("send_mail", to="ann@example.org").text("Done.")


def build(log: Log, *, effect: str = "write", model: Any = MODEL, **options: Any) -> Agent:
    """Return an agent that sends mail."""

    async def send(call_id: str, arguments: Any, signal: Any, on_update: Any) -> str:
        await asyncio.sleep(0)
        return "sent"

    tool = AgentTool(name="send_mail", parameters=SCHEMA, execute=send, effect=effect)
    state = AgentState(model=model, tools=[tool])
    return Agent(AgentOptions(initial_state=state, log=log, clock=VirtualClock(), **options))


async def test_a_write_that_was_running_is_in_doubt_and_everything_else_comes_to_the_same_end() -> (
    None
):
    ends: dict[str, str] = {}
    async for run in crash_runs(lambda log: build(log), "Remind Ann"):
        assert run.effects["send_mail"].runs <= 1
        ends[f"{run.after} {run.kind}"] = run.outcome
    assert ends.pop("8 tool.started") == "paused"
    assert set(ends.values()) == {"answered"}
    assert " ".join(ends) == (
        "1 session.started 2 user.said 3 model.requested 4 model.delta 5 model.delta"
        " 6 model.finished 7 tool.requested 9 tool.finished 10 turn.ended 11 model.requested"
        " 12 model.delta 13 model.finished 14 turn.ended 15 run.ended"
    )


async def test_an_idempotent_call_runs_again_with_its_key() -> None:
    seen: list[CrashRun] = []
    cuts = await crash_at_every_event(
        lambda log: build(log, effect="idempotent"), "Remind Ann", seen.append
    )
    assert cuts == 15
    again = seen[7].effects["send_mail"]
    assert (seen[7].kind, again.runs, again.asked) == ("tool.started", 2, 1)
    assert again.key.startswith("ta1-")
    assert {run.effects["send_mail"].runs for run in seen if run is not seen[7]} == {1}


async def test_what_is_left_of_the_script_is_played_after_the_cut() -> None:
    model = scripted("One.", "Two.")
    async for run in crash_runs(lambda log: build(log, model=model), ["One?", "Two?"]):
        kinds = [stored.kind for stored in run.log.read()]
        assert kinds.count("user.said") == kinds.count("run.ended") == 2


async def test_a_check_may_wait_and_what_it_raises_is_raised() -> None:
    async def check(run: CrashRun) -> None:
        await asyncio.sleep(0)
        raise AssertionError(f"after {run.after}")

    with pytest.raises(AssertionError, match="after 1"):
        await crash_at_every_event(lambda log: build(log), "Remind Ann", check)


async def test_a_session_that_ends_otherwise_after_a_cut_is_named() -> None:
    models = iter([scripted("Uncut."), scripted("Uncut."), scripted("Otherwise.")])
    with pytest.raises(AssertionError) as failed:
        await crash_at_every_event(lambda log: build(log, model=next(models)), "Well?")
    assert str(failed.value).splitlines()[0] == "cut after record 2 user.said:"
    assert "it ends with ('assistant', 'ok', [{'op': 'text', 'text': 'Otherwise.'}])" in str(
        failed.value
    )


async def test_a_write_that_ran_twice_without_a_decision_is_found_with_its_records() -> None:
    whole = MemoryLog()
    await build(whole).run("Remind Ann")
    started = next(one for one in whole.read() if one.kind == "tool.started")
    twice = cut(whole, 15)
    twice.append(16, started.ts_us, None, started.kind, 1, started.cause, started.payload)
    assert next(faults(whole, twice)) == ("write effect ran twice: send_mail c1 (records 8, 16)")
    assert list(faults(whole, cut(whole, 15))) == []


async def test_a_decision_to_run_a_write_again_is_no_fault() -> None:
    def again(log: Log) -> Agent:
        return build(log, on_unknown=lambda call: call.again())

    runs = [run async for run in crash_runs(again, "Remind Ann")]
    twice = runs[7].effects["send_mail"]
    assert (runs[7].kind, twice.runs, twice.asked, twice.in_doubt) == ("tool.started", 2, 2, True)


async def test_effects_are_named_by_call_or_by_tool() -> None:
    log = MemoryLog()
    mails: list[Any] = [
        ("send_mail", {"to": "ann@example.org"}),
        ("send_mail", {"to": "bob@example.org"}),
    ]
    await build(log, model=scripted(mails, "Done.")).run("Both.")
    found = effects(log)
    assert [(call.call_id, call.effect, call.runs) for call in found] == [
        ("c1", "write", 1),
        ("c2", "write", 1),
    ]
    assert found["c2"].started == (11,)
    with pytest.raises(LookupError, match="send_mail was called 2 times: name a call"):
        found["send_mail"]
    with pytest.raises(LookupError, match=r"no call and no tool is named 'mail' \(known: c1, c2"):
        found["mail"]
    quiet = MemoryLog()
    await build(quiet, model=scripted("No mail.")).run("None.")
    assert effects(quiet)["send_mail"].runs == 0
