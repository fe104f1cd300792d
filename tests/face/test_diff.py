"""Two logs, aligned by what led to each record: what counts as a difference, and what does not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.recordings import ALL, PARIS, REPLAYS, ROME, agent, made_of, memory, result, weather

from tinyagent import Recording, load, open_log
from tinyagent.actors.differing import Apart, LogDiff
from tinyagent.events import encode, kinds as k
from tinyagent.runtime.stores import Stored
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import chat

FILES = sorted(REPLAYS.glob("*.jsonl"))
Change = Callable[[Stored], Stored]


def changed(name: str, change: Change) -> Recording:
    """Return the recording *name*, each record changed by *change*."""
    read = load(REPLAYS / f"{name}.jsonl")
    stored = [
        change(
            Stored(
                seq=r.seq,
                ts_us=r.at_ns // 1000,
                actor=r.actor,
                kind=r.event.kind,
                v=1,
                cause=r.cause,
                payload=r.payload,
            )
        )
        for r in read.records
    ]
    return Recording("changed", read.meta, stored, None)


def replaced(name: str, kind: str, old: str, new: str) -> Recording:
    """Return the recording *name* with a text changed in every record of *kind*."""

    def change(record: Stored) -> Stored:
        if record.kind != kind:
            return record
        payload = record.payload.replace(old.encode(), new.encode())
        return msgspec.structs.replace(record, payload=payload)

    return changed(name, change)


async def recorded(*answers: Any, prompts: Any = ("Hi",), **more: Any) -> Recording:
    """Return what an agent records on *answers*."""
    log = memory("a")
    planner = agent(log, list(answers), **more)
    for prompt in prompts:
        await planner.prompt(prompt)
    return load(log)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_log_says_the_same_as_itself(path: Path) -> None:
    found = load(path).diff(path)
    assert found.is_same
    assert (found.first, found.cascade) == (None, ())
    assert found.summary() == f"same: {found.same} records"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("other", FILES, ids=lambda path: path.stem)
def test_two_sessions_part_at_one_place_from_either_side(path: Path, other: Path) -> None:
    here, there = load(path).diff(other), load(other).diff(path)
    assert here.is_same == there.is_same == (path == other)
    assert here.same == there.same


def test_a_moment_later_with_another_id_and_name_is_the_same() -> None:
    def later(record: Stored) -> Stored:
        return msgspec.structs.replace(record, ts_us=record.ts_us + 86_400_000_000)

    other = changed("steering-and-hooks", later)
    other.meta = msgspec.structs.replace(other.meta, log="f" * 32, name="other")
    assert load(REPLAYS / "steering-and-hooks.jsonl").diff(other).is_same


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("user.said", '"at_ms":17672', '"at_ms":18672'),
        ("model.finished", '"response":"chatcmpl-scripted"', '"response":"chatcmpl-other"'),
        ("model.finished", '"input":10', '"input":11'),
        ("run.ended", '"state":"', '"state":"f'),
        ("session.started", '"tinyagent":"0.1.0"', '"tinyagent":"9.9.9"'),
        ("model.delta", "4500", "9999"),
    ],
)
def test_ids_times_digests_and_costs_do_not_count(kind: str, old: str, new: str) -> None:
    one = load(REPLAYS / "one-tool.jsonl")
    other = replaced("one-tool", kind, old, new)
    assert [r.payload for r in one.records] != [r.payload for r in other.records]
    assert one.diff(other).is_same


@pytest.mark.parametrize("name", ALL)
async def test_call_ids_of_another_provider_do_not_count(name: str) -> None:
    def renamed(record: Stored) -> Stored:
        payload = re.sub(rb'"call_(?=[prux]")', b'"toolu_', record.payload)
        return msgspec.structs.replace(record, payload=payload)

    one = load(REPLAYS / f"{name}.jsonl")
    assert one.diff(changed(name, renamed)).is_same
    assert changed(name, renamed).diff(one).is_same


def test_where_calls_carry_each_others_results_the_logs_part() -> None:
    name = "parallel-tools-out-of-order"
    found = load(REPLAYS / f"{name}.jsonl").diff(swapped(name))
    assert found.first is not None
    assert (found.first.seq, found.first.other) == (14, 14)
    assert [(p.path, p.recorded, p.now) for p in found.first.paths] == [
        ("content", "Rome: 21 °C, “sunny”", "Paris: 21 °C, “sunny”")
    ]


def swapped(name: str) -> Recording:
    def swap(record: Stored) -> Stored:
        if record.kind != "tool.finished":
            return record
        payload = record.payload.replace(b"Paris:", b"?").replace(b"Rome:", b"Paris:")
        return msgspec.structs.replace(record, payload=payload.replace(b"?", b"Rome:"))

    return changed(name, swap)


async def test_deltas_cut_elsewhere_do_not_count() -> None:
    one = await recorded(chat(text="It is sunny.", chunk_chars=100))
    other = await recorded(chat(text="It is sunny.", chunk_chars=1))
    assert len(other.records) > len(one.records)
    assert one.diff(other).is_same


async def test_the_order_in_which_calls_end_does_not_count() -> None:
    async def run(first: str) -> Recording:
        gate = asyncio.Event()

        async def execute(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
            if call_id == first:
                gate.set()
            else:
                await gate.wait()
            return await weather(call_id, args, signal, on_update)

        answers = chat(calls=[PARIS, ROME]), chat(text="Both sunny.")
        return await recorded(*answers, execute=execute)

    one, other = await run("call_p"), await run("call_r")
    assert [ends(one), ends(other)] == [["call_p", "call_r"], ["call_r", "call_p"]]
    assert one.diff(other).is_same


def ends(log: Recording) -> list[str]:
    return [r.event.call_id for r in log.records if isinstance(r.event, k.ToolFinished)]


async def test_who_watches_a_session_does_not_count() -> None:
    log = memory("watched")
    watched = agent(log, [chat(calls=[PARIS]), chat(text="Sunny.")])
    async for _ in watched.stream("Hi"):
        pass
    prompted = await recorded(chat(calls=[PARIS]), chat(text="Sunny."))
    assert "host.asked" in {r.event.kind for r in load(log).records}
    assert "host.asked" not in {r.event.kind for r in prompted.records}
    assert prompted.diff(load(log)).is_same
    assert load(log).diff(prompted).is_same


async def test_somebody_who_begins_to_watch_between_two_runs_does_not_count() -> None:
    answers = chat(text="Hi."), chat(text="Bye.")
    log = memory("watched")
    watched = agent(log, list(answers))
    await watched.prompt("Hi")
    async for _ in watched.stream("And?"):
        pass
    assert "config.changed" in {r.event.kind for r in load(log).records}
    prompted = await recorded(*answers, prompts=("Hi", "And?"))
    assert "config.changed" not in {r.event.kind for r in prompted.records}
    assert prompted.diff(load(log)).is_same


async def test_the_session_id_of_a_provider_does_not_count_and_a_text_like_a_call_id_does() -> None:
    one = await recorded(chat(calls=[PARIS]), chat(text="call_p"), session_id="one")
    answers = chat(calls=[("c7", *PARIS[1:])]), chat(text="call_p")
    assert one.diff(await recorded(*answers, session_id="two")).is_same
    found = one.diff(await recorded(answers[0], chat(text="c7")))
    assert found.first is not None
    assert [(p.path, p.recorded, p.now) for p in found.first.paths] == [
        ("answer.text", "call_p", "c7")
    ]


def test_reports_and_recoveries_tell_nothing_of_the_session() -> None:
    said = [k.SessionStarted(), k.UserSaid("x")]
    noted = [*said, k.LogRecovered("unclean"), k.SessionResumed(2), k.DiagnosticReported("n", "m")]
    assert made_of(*said).diff(made_of(*noted, causes=[0] * 5)).is_same


async def test_another_tool_result_is_the_first_difference_and_the_rest_its_cascade() -> None:
    async def rain(*_: Any) -> Any:
        return result("rain")

    answers = chat(calls=[PARIS]), chat(text="It is sunny.")
    wet = chat(calls=[PARIS]), chat(text="It rains.")
    one, other = await recorded(*answers), await recorded(*wet, execute=rain)
    found = one.diff(other)
    assert not found.is_same
    assert [(apart.grade, apart.here and apart.here[0]) for apart in aparts(found)] == [
        ("shape", "tool.finished"),
        ("shape", "model.requested"),
        ("shape", "model.finished"),
    ]
    paths = [[path.path for path in apart.paths] for apart in aparts(found)]
    assert paths == [["content", "details"], ["messages[3].content"], ["answer.text"]]
    assert found.summary().splitlines()[:4] == [
        f"same up to {found.first.after}, then" if found.first else "",
        "    8    tool.finished  content differs",
        '       - "Paris: 21 °C, “sunny”"',
        '       + "rain"',
    ]


def aparts(found: LogDiff) -> list[Apart]:
    return [found.first, *found.cascade] if found.first else []


async def test_another_end_of_a_call_stands_in_place_of_the_one_here() -> None:
    async def fails(*_: Any) -> Any:
        raise RuntimeError("503")

    answers = chat(calls=[PARIS]), chat(text="Hm.")
    one, other = await recorded(*answers), await recorded(*answers, execute=fails)
    found = one.diff(other)
    assert found.first is not None
    assert found.first.here is not None
    assert found.first.there is not None
    assert (found.first.here[0], found.first.there[0]) == ("tool.finished", "tool.failed")
    assert found.first.there[1]["failure"]["message"] == "503"
    assert [apart.seq for apart in found.cascade] == [10]  # the request; the answer is the same


async def test_one_call_more_moves_nothing_that_follows() -> None:
    one = await recorded(chat(calls=[PARIS]), chat(text="Sunny."))
    other = await recorded(chat(calls=[PARIS, ROME]), chat(text="Sunny."))
    found = one.diff(other)
    extra = [apart.there[0] for apart in aparts(found) if apart.there and not apart.here]
    assert extra == ["tool.requested", "tool.started", "tool.finished"]
    assert [apart.grade for apart in aparts(found) if apart.grade == "missing"] == []
    assert [path.path for path in aparts(found)[0].paths] == ["answer.calls[1]"]


async def test_a_run_more_is_only_there() -> None:
    one = await recorded(chat(text="Hi."))
    other = await recorded(chat(text="Hi."), chat(text="Bye."), prompts=("Hi", "And?"))
    found = one.diff(other)
    assert {apart.grade for apart in aparts(found)} == {"extra"}
    assert found.same == len([r for r in one.records if r.event.kind != "model.delta"])
    back = other.diff(one)
    assert {apart.grade for apart in aparts(back)} == {"missing"}
    assert back.same == found.same


async def test_another_configuration_is_named_by_its_field() -> None:
    found = load(REPLAYS / "one-tool.jsonl").diff(
        replaced("one-tool", "session.started", "Be brief.", "Be long.")
    )
    assert found.first is not None
    assert [(p.path, p.recorded, p.now) for p in found.first.paths] == [
        ("system", "Be brief.", "Be long.")
    ]
    requests = [a for a in found.cascade if a.here == ("model.requested", {})]
    assert [path.path for path in requests[0].paths] == ["messages[0].content"]
    assert len(requests) == 1


async def test_a_crashed_log_lacks_what_came_after() -> None:
    whole = load(REPLAYS / "one-tool.jsonl")
    log = MemoryLog(meta=whole.meta)
    for r in whole.records[:8]:
        log.append(r.seq, r.at_ns // 1000, r.actor, r.event.kind, 1, r.cause, r.payload)
    found = whole.diff(load(log))
    assert found.first is not None
    assert (found.first.seq, found.first.grade) == (9, "missing")
    assert {apart.grade for apart in found.cascade} == {"missing"}


def test_kinds_of_a_newer_release_are_compared_by_what_they_say() -> None:
    def log(said: bytes) -> Recording:
        return made_of(k.SessionStarted(), k.UnknownEvent("moon.risen", 3, said), causes=[0, 1])

    assert log(b'{"at":1,"b":2}').diff(log(b'{"b":2,"at":1}')).is_same
    found = log(b'{"at":1}').diff(log(b'{"at":2}'))
    assert found.first is not None
    assert [(p.path, p.recorded, p.now) for p in found.first.paths] == [("at", 1, 2)]


def test_numbers_of_queued_messages_are_those_of_this_log() -> None:
    def log(*more: k.Event) -> Recording:
        events: list[k.Event] = [k.SessionStarted(), *more, k.UserSaid("x", "steer")]
        seq = len(events)
        return made_of(*events, k.UserDelivered([seq]), causes=[0] * (seq + 1))

    assert log().diff(log(k.DiagnosticReported("n", "m"))).is_same
    assert encode(log().records[-1].event) != encode(log(k.UserSaid("y")).records[-1].event)


def test_causes_that_lead_in_a_circle_or_nowhere_end_no_comparison() -> None:
    events: list[k.Event] = [
        k.SessionStarted(),
        k.ToolStarted("c", "write"),
        k.ToolFinished("c"),
        k.UnknownEvent("tool.odd", 9, b'{"call_id":["c"]}'),
        k.TurnEnded(1),
    ]
    odd = made_of(*events, causes=[1, 3, 2, 77, 4])
    assert odd.diff(made_of(*events, causes=[1, 3, 2, 77, 4])).is_same


async def test_a_session_that_was_closed_and_taken_up_again_says_the_same(tmp_path: Path) -> None:
    answers = [chat(text="Hi."), chat(text="Bye.")]
    for number, prompt in enumerate(("Hi", "And?")):
        async with open_log(tmp_path / "log") as log:
            await agent(log, answers[number:]).prompt(prompt)
    taken_up = load(tmp_path / "log")
    assert "session.resumed" in {r.event.kind for r in taken_up.records}
    assert (await recorded(*answers, prompts=("Hi", "And?"))).diff(taken_up).is_same
    assert taken_up.state_at(taken_up.records[-1].seq).fault == ""
    assert [taken_up.request_at(n).is_verified for n in asked(taken_up)] == [True, True]


def asked(log: Recording) -> list[int]:
    return [r.seq for r in log.records if isinstance(r.event, k.ModelRequested)]
