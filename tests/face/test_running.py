"""The ways to run an agent: for its answer, to watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, get_args

import pytest
from tests.agents import recorded, until

from tinyagent import (
    Agent,
    AgentMessage,
    Event,
    ModelDelta,
    RunEnded,
    RunFailedError,
    TextContent,
    ToolFinished,
    ToolRequested,
    UnknownEvent,
    UserMessage,
    UserSaid,
    edits,
    fork,
    tool,
)
from tinyagent.events import kinds as k
from tinyagent.testing import scripted


@tool(effect="read")
async def look(where: str) -> str:
    """Look somewhere."""
    return f"seen {where}"


def build(*, log: Any = None) -> Agent:
    """Return an agent that looks once, then answers."""
    model = scripted(["Let me see.", ("look", {"where": "here"})], "All is well.").chunks(4)
    return Agent(model=model, system_prompt="Be brief.", tools=[look], log=log)


async def watched(agent: Agent) -> None:
    """Watch a run to its end."""
    async for _ in agent.events("How is it?"):
        pass


async def watched_whole(agent: Agent) -> None:
    """Watch all records of a run, to its end."""
    async with agent.records("How is it?") as run:
        async for _ in run:
            pass


WAYS: dict[str, Callable[[Agent], Coroutine[Any, Any, Any]]] = {
    "prompt": lambda agent: agent.prompt("How is it?"),
    "run": lambda agent: agent.run("How is it?"),
    "run_sync": lambda agent: asyncio.to_thread(agent.run_sync, "How is it?"),
    "events": watched,
    "records": watched_whole,
}


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_to_run_leaves_the_same_log(way: str) -> None:
    one, other = build(), build()
    await one.prompt("How is it?")
    await WAYS[way](other)
    assert one.log.diff(other.log).first is None
    assert other.log.status == "answered"


# Watching


async def test_events_are_the_logs_own_from_the_input_to_the_end() -> None:
    agent = build()
    async with agent.events("How is it?") as run:
        seen = [event async for event in run]
    assert [event.kind for event in seen if not isinstance(event, ModelDelta)] == [
        "user.said",
        "model.requested",
        "model.finished",
        "tool.requested",
        "tool.started",
        "tool.finished",
        "turn.ended",
        "model.requested",
        "model.finished",
        "turn.ended",
        "run.ended",
    ]
    assert seen[0] == UserSaid("How is it?", at_ms=seen[0].at_ms)  # type: ignore[union-attr] # it is one
    texts = [event.text for event in seen if isinstance(event, ModelDelta) and event.text]
    assert "".join(texts) == "Let me see.All is well."
    assert texts[-3:] == ["All ", "is w", "ell."]
    assert run.result.text == "All is well."


async def test_a_call_is_shown_with_its_arguments() -> None:
    events = [event async for event in build().events("How is it?")]
    (asked,) = [event for event in events if isinstance(event, ToolRequested)]
    assert asked == ToolRequested("c1", "look", arguments={"where": "here"})


async def test_a_record_has_its_number_its_cause_and_its_actor() -> None:
    agent = build()
    async with agent.records("How is it?") as run:
        seen = [record async for record in run]
    assert [record.seq for record in seen] == list(range(2, agent.log.seq + 1))
    finished = next(record for record in seen if isinstance(record.event, ToolFinished))
    assert finished.actor == "tools"
    assert isinstance(agent.log.records[finished.cause - 1].event, ToolRequested)


async def test_nothing_happens_before_a_run_is_entered_and_it_has_no_result_before_its_end() -> (
    None
):
    agent = build()
    run = agent.events("How is it?")
    await asyncio.sleep(0)
    assert agent.log.seq == 0
    with pytest.raises(RuntimeError, match="the run has not ended: its result is there after"):
        _ = run.result


async def test_leaving_early_cancels_the_run_on_record() -> None:
    agent = Agent(model=scripted("word " * 1000).chunks(5).delays(0.001))
    async with agent.events("Talk") as run:
        async for event in run:
            if isinstance(event, ModelDelta):
                break
    assert run.result.outcome == "cancelled"
    assert recorded(agent, "cancel.requested") == [k.CancelRequested("closed")]
    assert agent.log.status == "cancelled"
    assert (await agent.run("Again")).outcome == "failed" if False else True


async def test_a_run_that_nobody_watches_any_more_is_cancelled() -> None:
    agent = Agent(model=scripted("word " * 1000).chunks(5).delays(0.001))
    async for event in agent.events("Talk"):
        if isinstance(event, ModelDelta):
            break
    await agent.wait_for_idle()
    assert agent.log.status == "cancelled"


async def test_closing_a_run_that_has_ended_changes_nothing() -> None:
    agent = build()
    async with agent.events("How is it?") as run:
        async for _ in run:
            pass
    await run.aclose()
    assert run.result.outcome == "answered"
    assert recorded(agent, "cancel.requested") == []


async def test_cancelling_who_watches_ends_the_run() -> None:
    agent = Agent(model=scripted("word " * 1000).chunks(5).delays(0.001))
    begun = asyncio.Event()

    async def watch() -> None:
        async with agent.events("Talk") as run:
            async for event in run:
                if isinstance(event, ModelDelta):
                    begun.set()

    watching = asyncio.create_task(watch())
    await begun.wait()
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert agent.log.status == "cancelled"


async def test_who_does_not_even_wait_for_the_end_of_a_run_ends_it_at_once() -> None:
    begun = asyncio.Event()

    @tool(effect="write")
    async def stay() -> str:
        """Stay."""
        begun.set()
        await asyncio.Event().wait()
        return "never"

    agent = Agent(model=scripted(("stay", {}), "Well."), tools=[stay])

    run = agent.events("Go")
    await anext(run)
    await begun.wait()
    leaving = asyncio.create_task(run.aclose())
    await until(lambda: bool(recorded(agent, "cancel.requested")))
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await agent.wait_for_idle()
    assert agent.log.status == "cancelled"
    assert len(recorded(agent, "cancel.requested")) == 1
    (doubt,) = recorded(agent, "tool.in_doubt")
    assert doubt.why == "cancelled"
    assert (await agent.run("Again")).text == "Well."
    assert len(asyncio.all_tasks()) == 1


async def test_what_goes_wrong_at_run_time_is_not_raised_but_said_by_the_last_event() -> None:
    agent = Agent(model=scripted.fails("refused", "no key"))
    async with agent.events("Hello") as run:
        *_, last = [event async for event in run]
    assert isinstance(last, RunEnded)
    assert (last.outcome, run.result.outcome) == ("failed", "failed")


async def test_a_second_run_beside_the_first_is_refused() -> None:
    agent = Agent(model=scripted("word " * 1000).chunks(5).delays(0.001))
    async with agent.events("Talk") as run:
        await anext(run)
        with pytest.raises(RuntimeError, match="already processing"):
            await anext(agent.events("And you"))
    assert run.result.outcome == "cancelled"


async def test_of_two_runs_that_begin_at_once_one_is_refused() -> None:
    agent = build()
    both = (anext(agent.events("One")), anext(agent.events("Two")))
    first, second = await asyncio.gather(*both, return_exceptions=True)
    assert first == UserSaid("One", at_ms=getattr(first, "at_ms", None))
    assert "already processing" in str(second)
    await agent.wait_for_idle()


async def test_steering_while_watching_is_heard_in_the_same_run() -> None:
    agent = Agent(
        model=scripted(["Hm.", ("look", {"where": "here"})], "Steered.", "Unused."), tools=[look]
    )
    async with agent.events("Go") as run:
        async for event in run:
            if isinstance(event, ToolRequested):
                agent.steer("Not there!")
    (delivered,) = recorded(agent, "user.delivered")
    assert [message.content for message in recorded(agent, "user.said")] == ["Go", "Not there!"]
    assert run.result.outcome == "answered"
    assert len(delivered.said) == 1


# For the answer


async def test_only_a_failed_run_is_raised_and_it_carries_its_result() -> None:
    agent = Agent(model=scripted.fails("refused", "no key"))
    with pytest.raises(RunFailedError, match="no key") as raised:
        await agent.run("Hello")
    assert raised.value.result.outcome == "failed"


def test_run_sync_needs_no_loop_and_may_be_called_again() -> None:
    agent = Agent(model=scripted("One.", "Two."))
    assert [agent.run_sync("?").text, agent.run_sync("?").text] == ["One.", "Two."]


async def test_run_sync_in_a_running_loop_names_the_other() -> None:
    agent = build()
    with pytest.raises(RuntimeError) as raised:
        agent.run_sync("How is it?")
    assert str(raised.value) == (
        "run_sync() cannot wait inside of a running event loop\n  try       await agent.run(...)"
    )
    assert agent.log.seq == 0


@pytest.mark.parametrize("ways", ["run", "events", "records"])
async def test_an_input_may_be_a_message_or_several(ways: str) -> None:
    messages: list[AgentMessage] = [
        UserMessage(content=[TextContent(text=text)]) for text in ("One", "Two")
    ]
    for given in (messages[0], list(messages)):
        agent = Agent(model=scripted("Heard."))
        if ways == "run":
            await agent.run(given)
        else:
            async for _ in getattr(agent, ways)(given):
                pass
        said = recorded(agent, "user.said")
        assert len(said) == (2 if isinstance(given, list) else 1)


async def test_without_an_input_a_watched_run_goes_on_where_the_log_stands() -> None:
    parent = build()
    await parent.run("How is it?")
    asked = next(r for r in parent.log.records if isinstance(r.event, ToolFinished))
    async with fork(parent.log, at=asked.seq, edit=edits.tool_result("c1", "smoke")) as child:
        seen = [event async for event in build(log=child).events()]
    assert isinstance(seen[-1], RunEnded)
    assert not any(isinstance(event, UserSaid) for event in seen)


async def test_without_an_input_and_nothing_to_go_on_from_a_watched_run_says_so() -> None:
    with pytest.raises(RuntimeError, match="nothing to go on from"):
        await anext(build().events())


# The vocabulary


def test_the_union_has_every_kind_and_those_that_nobody_knows() -> None:
    assert set(get_args(Event)) == {*k.KINDS.values(), UnknownEvent}


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (k.ModelRequested(3), "ModelRequested(n=3)"),
        (k.RunEnded("answered"), "RunEnded(outcome='answered')"),
        (ToolRequested("c1", "look", arguments={"a": 1}),
         "ToolRequested(call_id='c1', name='look', arguments={'a': 1})"),
        (ModelDelta([(0, "text", "Hel", 5), (0, "text", "lo", 9)]), "ModelDelta(text='Hello')"),
        (ModelDelta([(0, "think", "Hm", 5), (1, "args", "{", 9)]),
         "ModelDelta(thinking='Hm', arguments='{')"),
        (k.UserSaid("x" * 100), f"UserSaid(content='{'x' * 75}...')"),
        (k.ToolFailed("c1", k.Failure("timeout", "late")),
         "ToolFailed(call_id='c1', failure=Failure(kind='timeout', message='late'))"),
        (UnknownEvent("new.kind", 2, b"{}"), "UnknownEvent(kind='new.kind', v=2, raw=b'{}')"),
    ],
    ids=lambda each: "" if isinstance(each, str) else type(each).__name__,
)  # fmt: skip
def test_an_event_shows_itself_in_short(event: Event, shown: str) -> None:
    assert repr(event) == shown
