"""The whole flow on one page: a question, two tools, an answer; recorded and replayed."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import msgspec

from tinyagent.actors.replaying import verify
from tinyagent.actors.session import Session
from tinyagent.actors.sources import Granted, ProviderSource
from tinyagent.actors.tools import Invocation, Refused, Returned, Runnable
from tinyagent.actors.transports.portable import PortableTransport
from tinyagent.events import kinds as k
from tinyagent.runtime.clock import SystemClock
from tinyagent.runtime.stores import Log, as_record
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import ProviderServer, chat

CONFIGURATION = k.SessionStarted(
    model={"provider": "demo", "id": "m", "api": "openai-completions"},
    system="Be brief.",
    tools=[k.ToolSpec("add", "Adds.", {"type": "object"}, "read")],
)


class Add:
    """Adds two numbers, the larger sum sooner."""

    effect: k.Effect = "read"
    timeout_s: float | None = None
    idle_timeout_s: float | None = None
    alone = False
    reconcile = None

    def arguments(self, call: k.CallRef, text: str) -> dict[str, Any]:
        return msgspec.json.decode(text, type=dict[str, Any])

    async def run(self, invocation: Invocation) -> Returned:
        total = invocation.arguments["a"] + invocation.arguments["b"]
        await asyncio.sleep(0.1 / total)
        return Returned(content=str(total))


def nobody(asked: k.HostAsked, seq: int) -> NoReturn:
    raise AssertionError(f"{asked.hook} is asked, which is not there")


def find(name: str) -> Runnable:
    if name != "add":
        raise Refused(f"Tool {name} not found")
    return Add()


def open_session(url: str, log: Log) -> Session:
    clock = SystemClock()
    configuration = msgspec.structs.replace(
        CONFIGURATION, model={**CONFIGURATION.model, "base_url": url}
    )
    return Session(
        log,
        clock,
        source=ProviderSource(
            PortableTransport(clock.monotonic_s), lambda settings, key: Granted("k", {})
        ),
        find=find,
        ask=nobody,
        configure=lambda: configuration,
        changes=dict,
    )


async def test_a_session_is_recorded_as_it_happens_and_replays_to_the_same_decisions() -> None:
    calls = [("a", "add", {"a": 1, "b": 1}), ("b", "add", {"a": 20, "b": 30})]
    script = [chat(text="Let me see.", calls=calls), chat(text="2 and 50.")]
    log = MemoryLog()
    async with ProviderServer(script) as server:
        session = open_session(server.chat_url, log)
        await session.run([k.UserSaid("What is 1+1, and 20+30?")])
        second = server.requests[1].json

    records = [as_record(stored) for stored in log.read()]
    story = [(r.event.kind, r.cause) for r in records if r.event.kind != "model.delta"]
    numbers = {r.event.kind: r.seq for r in records[:4]}
    asked = numbers["model.requested"]
    finished = next(r.seq for r in records if r.event.kind == "model.finished")
    assert story[:5] == [
        ("session.started", 0),
        ("user.said", 0),
        ("model.requested", numbers["user.said"]),
        ("model.finished", asked),
        ("tool.requested", finished),
    ]
    ended = [r.event.call_id for r in records if isinstance(r.event, k.ToolFinished)]
    assert ended == ["b", "a"]
    results = [m["content"] for m in second["messages"] if m["role"] == "tool"]
    assert results == ["2", "50"]
    assert isinstance(records[-1].event, k.RunEnded)

    report = verify("memory", records)
    assert report.ok, report.first_divergence
    assert report.requests == 2


async def test_a_changed_system_prompt_is_found_at_the_first_request() -> None:
    log = MemoryLog()
    async with ProviderServer([chat(text="Hi.")]) as server:
        await open_session(server.chat_url, log).run([k.UserSaid("Hello")])
    records = [as_record(stored) for stored in log.read()]
    today = msgspec.structs.replace(CONFIGURATION, system="Be brief!")
    found = verify("memory", records, today).first_divergence
    assert found is not None
    assert (found.seq, found.paths[0].recorded, found.paths[0].now) == (3, "Be brief.", "Be brief!")
    assert "messages[0].content" in found.paths[0].path
    assert "system" in found.cause
