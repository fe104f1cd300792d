"""The messages of a log that is taken up are made when somebody asks for them, as of then."""

from __future__ import annotations

from typing import Any

from tests.crashing import ID, World, text, turns

from tinyagent import UserMessage
from tinyagent.agent_types import TextContent
from tinyagent.agent_types._later import deferred
from tinyagent.runtime.stores.memory import MemoryLog

SCRIPT = turns(text("One."), text("Two."), text("Three."))


async def taken_up() -> tuple[Any, MemoryLog]:
    """Return an agent that has just opened a log of two runs, and the log."""
    log = MemoryLog(log_id=ID)
    first = World().build(log, SCRIPT, [])
    await first.prompt("a")
    await first.prompt("b")
    again = MemoryLog(log_id=ID, records=log.read())
    agent = World().build(again, SCRIPT, [])
    agent.take_up(on_unknown=None, on_approval=None, on_interrupted="retry")
    return agent, again


def user(said: str) -> UserMessage:
    return UserMessage(content=[TextContent(text=said)], timestamp=0)


def texts(messages: list[Any]) -> list[str]:
    return [message.content[0].text for message in messages]


async def test_nothing_is_made_until_it_is_read_and_then_it_is_one_list() -> None:
    agent, _ = await taken_up()
    assert deferred(agent.state, "messages") is not None
    assert texts(agent.state.messages) == ["a", "One.", "b", "Two."]
    assert deferred(agent.state, "messages") is None
    assert agent.state.messages is agent.state.messages


async def test_a_run_goes_on_behind_messages_that_nobody_has_read() -> None:
    agent, log = await taken_up()
    await agent.prompt("c")
    assert texts(agent.state.messages) == ["a", "One.", "b", "Two.", "c", "Three."]
    assert [stored.kind for stored in log.read()].count("context.edited") == 0


async def test_what_is_put_in_their_place_unread_is_an_edit_that_drops_them_all() -> None:
    agent, log = await taken_up()
    agent.state.messages = [user("instead")]
    await agent.prompt("c")
    assert texts(agent.state.messages)[:2] == ["instead", "c"]
    edits = [stored.payload for stored in log.read() if stored.kind == "context.edited"]
    assert sum(edit.count(b'"drop"') for edit in edits) == 4
    assert sum(edit.count(b'"insert"') for edit in edits) == 1


async def test_what_is_appended_to_them_is_kept_as_it_was() -> None:
    agent, _ = await taken_up()
    first = agent.state.messages[0]
    agent.append_message(user("added"))
    await agent.prompt("c")
    assert texts(agent.state.messages)[:6] == ["a", "One.", "b", "Two.", "added", "c"]
    assert agent.state.messages[0] is first


async def test_a_reset_forgets_them_unread() -> None:
    agent, _ = await taken_up()
    agent.reset()
    assert agent.state.messages == []
    await agent.prompt("c")
    assert texts(agent.state.messages)[0] == "c"
