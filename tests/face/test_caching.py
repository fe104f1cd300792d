"""Cache marks: where they are put, and that nothing of the host's is touched."""

from __future__ import annotations

from typing import Any

import pytest

from tinyagent.agent_types import (
    AgentMessage,
    AssistantMessage,
    CacheControl,
    CustomAgentMessage,
    ImageContent,
    TextContent,
    ToolResultMessage,
    UserMessage,
)
from tinyagent.caching import EPHEMERAL_CACHE, add_cache_breakpoints

MARK = CacheControl(type="ephemeral")


def user(*blocks: Any, **extras: Any) -> Any:
    make: Any = UserMessage
    return make(content=list(blocks), **extras)


async def test_every_user_message_that_ends_in_text_is_marked_there() -> None:
    messages: list[AgentMessage] = [
        user(TextContent(text="a"), TextContent(text="b")),
        AssistantMessage(content=[TextContent(text="c")]),
        user(ImageContent(url="u"), TextContent(text="d")),
    ]
    marked = await add_cache_breakpoints(messages)
    assert marked == [
        user(TextContent(text="a"), TextContent(text="b", cache_control=MARK)),
        messages[1],
        user(ImageContent(url="u"), TextContent(text="d", cache_control=MARK)),
    ]
    assert marked[1] is messages[1]


@pytest.mark.parametrize(
    "message",
    [
        user(),
        user(TextContent(text="a"), ImageContent(url="u")),
        AssistantMessage(content=[TextContent(text="a")]),
        ToolResultMessage(content=[TextContent(text="a")]),
        CustomAgentMessage(role="note"),
    ],
)
async def test_nothing_to_mark_gives_the_same_list(message: AgentMessage) -> None:
    messages = [message]
    assert await add_cache_breakpoints(messages, None) is messages
    assert messages[0] is message


async def test_the_input_is_never_changed_and_shares_nothing_with_what_is_marked() -> None:
    message = user(TextContent(text="a", shelf={"n": [1]}), note="kept")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] - an extra
    messages: list[AgentMessage] = [message]
    (marked,) = await add_cache_breakpoints(messages)
    assert message.content[0].cache_control is None
    assert isinstance(marked, UserMessage)
    last: Any = marked.content[0]
    assert last.cache_control == MARK
    assert last.cache_control is not EPHEMERAL_CACHE
    assert last.shelf == {"n": [1]}
    assert last.shelf is not message.content[0].shelf
    assert marked.model_dump()["note"] == "kept"


async def test_marking_twice_is_marking_once() -> None:
    once = await add_cache_breakpoints([user(TextContent(text="a"))])
    assert await add_cache_breakpoints(once) == once


def test_the_constant_is_such_a_mark() -> None:
    assert EPHEMERAL_CACHE == MARK
