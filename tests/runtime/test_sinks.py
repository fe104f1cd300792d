"""Sinks get every record once, in order, also those that were written between two runs."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from tests.traces import MODEL, script, text

from tinyagent import Agent, AgentOptions, AgentState, UserMessage, open_log, subscribe
from tinyagent.events import Record
from tinyagent.runtime.sinks.structured import StructlogSink


class Listing:
    """Keeps what it gets."""

    def __init__(self, kinds: frozenset[str] | None = None, fails_at: int = 0) -> None:
        self.kinds = kinds
        self.seen: list[tuple[int, str]] = []
        self._fails_at = fails_at

    def checkpoint(self) -> int:
        return self.seen[-1][0] if self.seen else 0

    def write(self, record: Record) -> None:
        if record.seq == self._fails_at:
            raise OSError("disk full")
        self.seen.append((record.seq, record.event.kind))

    async def close(self) -> None:
        pass


def make(*sinks: Any) -> Agent:
    return Agent(
        AgentOptions(
            initial_state=AgentState(model=MODEL, system_prompt="S"),
            stream_fn=script(text("One, my secret."), text("Two.")),
            sinks=sinks,
        )
    )


async def test_a_sink_gets_every_record_of_every_run_and_between() -> None:
    sink, chosen = Listing(), Listing(frozenset({"user.said", "run.ended"}))
    agent = make(sink, chosen)
    await agent.prompt("hi")
    agent.append_message(UserMessage())
    await agent.prompt("ho")
    written = [(stored.seq, stored.kind) for stored in agent.log.read()]
    assert sink.seen == written
    assert [kind for _, kind in chosen.seen] == ["user.said", "run.ended"] * 2
    assert "context.edited" in [kind for _, kind in written]


async def test_a_failing_sink_is_said_and_stops_nobody() -> None:
    broken, other = Listing(fails_at=3), Listing()
    agent = make(broken, other)
    assert await agent.prompt_text("hi") == "One, my secret."
    kinds = [stored.kind for stored in agent.log.read()]
    assert kinds.count("sink.failed") == 1
    assert [kind for _, kind in other.seen][:3] == kinds[:3]


async def test_structlog_lines_name_the_record_and_hold_no_content() -> None:
    with structlog.testing.capture_logs() as lines:
        await make(StructlogSink()).prompt("hi there")
    assert [line["event"] for line in lines][:3] == [
        "session.started",
        "user.said",
        "model.requested",
    ]
    assert lines[2] == {
        "event": "model.requested",
        "log_level": "info",
        "seq": 3,
        "cause": 2,
        "actor": "agent",
        "n": 1,
    }
    assert "secret" not in str(lines)
    assert "hi there" not in str(lines)


async def test_with_content_the_whole_payload_is_written() -> None:
    with structlog.testing.capture_logs() as lines:
        await make(StructlogSink(content=True)).prompt("hi there")
    assert "hi there" in str(lines)


class Nearly:
    checkpoint = 0

    def write(self, record: Record) -> None:
        raise AssertionError

    def close(self) -> None:
        pass


def test_what_an_object_lacks_to_be_a_sink_is_named_where_it_is_given() -> None:
    wrong: Any = Nearly()
    for give in (lambda: make(wrong), lambda: open_log(sinks=[subscribe(wrong)])):
        with pytest.raises(TypeError) as told:
            give()
        assert str(told.value) == (
            "sinks must be a list of sinks; Nearly is in it, and has no kinds (None for all), "
            "checkpoint()"
        )


async def test_the_kinds_of_a_subscription_may_be_any_collection() -> None:
    sink = Listing()
    await make(subscribe(sink, ["run.ended"])).prompt("hi")
    assert [kind for _, kind in sink.seen] == ["run.ended"]
