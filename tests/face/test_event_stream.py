"""The event stream: what its producer, its reader and who waits for its result may count on."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tinyagent.agent_types import (
    AgentEndEvent,
    AgentEvent,
    AgentStartEvent,
    EventStream,
    TurnStartEvent,
    UserMessage,
    is_agent_end_event,
)

START, TURN = AgentStartEvent(), TurnStartEvent()
MESSAGES = [UserMessage(timestamp=1)]
END = AgentEndEvent(messages=[*MESSAGES])


def stream_of(*events: AgentEvent) -> EventStream:
    def result(event: AgentEvent) -> Any:
        return event.messages if isinstance(event, AgentEndEvent) else []

    stream = EventStream(is_agent_end_event, result)
    for event in events:
        stream.push(event)
    return stream


async def all_of(stream: EventStream) -> list[AgentEvent]:
    return [event async for event in stream]


def test_a_stream_needs_no_loop_to_be_made_and_filled() -> None:
    stream = stream_of(START)
    stream.end([])
    assert asyncio.run(all_of(stream)) == [START]


def test_an_empty_stream_is_true() -> None:
    assert stream_of()


async def test_the_stream_is_its_own_iterator_and_needs_no_aiter() -> None:
    stream = stream_of(START)
    assert stream.__aiter__() is stream
    assert await stream.__anext__() is START


async def test_an_event_of_an_unknown_type_passes_untouched() -> None:
    strange: Any = {"type": "strange"}
    stream = stream_of(strange)
    stream.end([])
    assert await all_of(stream) == [strange]


async def test_the_end_event_ends_it_with_its_result_and_what_is_behind_it_is_delivered() -> None:
    stream = stream_of(START, END, TURN)
    assert await all_of(stream) == [START, END, TURN]
    assert await stream.result() is END.messages
    stream.push(START)
    assert await all_of(stream) == []


async def test_end_delivers_what_is_queued_and_drops_what_comes_later() -> None:
    stream = stream_of(START)
    stream.end(list(MESSAGES))
    stream.push(TURN)
    assert await all_of(stream) == [START]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert await stream.result() == MESSAGES


async def test_an_exception_comes_once_after_the_queued_events() -> None:
    stream = stream_of(START)
    stream.set_exception(ValueError("boom"))
    stream.push(TURN)
    assert await anext(stream) is START
    with pytest.raises(ValueError, match="boom"):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert await stream.result() == []


async def test_result_raises_the_exception_once() -> None:
    stream = stream_of(START)
    stream.set_exception(ValueError("boom"))
    with pytest.raises(ValueError, match="boom"):
        await stream.result()
    assert await stream.result() == []
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_an_exception_after_the_end_is_ignored() -> None:
    stream = stream_of()
    stream.end(list(MESSAGES))
    stream.set_exception(ValueError("boom"))
    assert await stream.result() == MESSAGES


async def test_result_without_a_reader_drains_and_is_empty_if_there_was_none() -> None:
    stream = stream_of(START, TURN)
    waiting = asyncio.create_task(stream.result())
    await asyncio.sleep(0)
    stream.push(END)
    assert await waiting is END.messages
    empty = stream_of(START)
    empty.end([])
    assert await empty.result() == []


async def test_result_takes_no_event_away_from_a_reader() -> None:
    stream = stream_of()
    reading = asyncio.create_task(all_of(stream))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(stream.result())
    await asyncio.sleep(0)
    for event in (START, TURN, END):
        stream.push(event)
        await asyncio.sleep(0)
    stream.end(END.messages)
    assert await waiting is END.messages
    assert await reading == [START, TURN, END]


async def test_a_reader_that_comes_later_gets_what_is_left() -> None:
    stream = stream_of()
    waiting = asyncio.create_task(stream.result())
    await asyncio.sleep(0)
    reading = asyncio.create_task(all_of(stream))
    await asyncio.sleep(0)
    stream.push(START)
    stream.push(END)
    stream.end(END.messages)
    assert await reading == [START, END]
    assert await waiting is END.messages


async def test_a_reader_and_who_waits_for_the_result_are_both_told_of_a_failure() -> None:
    stream = stream_of()
    reading = asyncio.create_task(all_of(stream))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(stream.result())
    await asyncio.sleep(0)
    stream.push(START)
    stream.set_exception(ValueError("boom"))
    told = await asyncio.gather(reading, waiting, return_exceptions=True)
    assert [str(error) for error in told] == ["boom", "boom"]


async def test_a_reader_that_leaves_half_way_can_still_have_the_result() -> None:
    stream = stream_of(START, TURN, END)
    async for _ in stream:
        break
    async with asyncio.timeout(1):
        assert await stream.result() is END.messages


async def test_a_reader_that_dies_leaves_the_rest_to_who_waits_for_the_result() -> None:
    stream = stream_of()
    reading = asyncio.create_task(all_of(stream))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(stream.result())
    await asyncio.sleep(0)
    reading.cancel()
    stream.push(END)
    async with asyncio.timeout(1):
        assert await waiting is END.messages


async def test_push_of_an_instance_may_be_replaced() -> None:
    stream = stream_of()
    seen: list[AgentEvent] = []
    original = stream.push

    def push(event: AgentEvent) -> None:
        seen.append(event)
        original(event)

    stream.push = push  # type: ignore[method-assign] # what hosts do
    stream.push(END)
    assert await all_of(stream) == seen == [END]


async def test_push_wakes_a_reader_from_any_thread() -> None:
    stream = stream_of()
    reading = asyncio.create_task(all_of(stream))
    await asyncio.sleep(0)

    def produce() -> None:
        for _ in range(1000):
            stream.push(TURN)
        stream.end([])

    thread = threading.Thread(target=produce)
    thread.start()
    async with asyncio.timeout(5):
        assert len(await reading) == 1000
    thread.join()


async def test_a_cancelled_read_loses_no_event() -> None:
    stream = stream_of()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(stream)
    stream.push(START)
    assert await anext(stream) is START


async def test_closing_cancels_the_run_behind_it_and_waits_for_its_end() -> None:
    stream = stream_of(START)
    ended: list[str] = []

    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("run")

    stream.attach(asyncio.create_task(run()))
    await asyncio.sleep(0)
    await stream.aclose()
    assert ended == ["run"]
    assert await all_of(stream) == [START]
    await stream.aclose()
