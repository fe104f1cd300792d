"""Marks where a provider shall cache the prompt."""

from __future__ import annotations

import copy

from tinyagent.agent_types import (
    ZERO_USAGE as ZERO_USAGE,
    AgentMessage as AgentMessage,
    CacheControl as CacheControl,
    Context as Context,
    JsonObject as JsonObject,
    TextContent as TextContent,
    UserMessage as UserMessage,
)

EPHEMERAL_CACHE = CacheControl(type="ephemeral")


async def add_cache_breakpoints(
    messages: list[AgentMessage], signal: object = None
) -> list[AgentMessage]:
    """Return *messages* with a mark on the last text of every user message that ends in text.

    The messages given are not changed; where there is nothing to mark, the same list comes back.
    *signal* is what every ``transform_context`` is given; nothing here takes long enough to look.
    """
    marked = [_marked(message) for message in messages]
    if all(new is old for new, old in zip(marked, messages, strict=True)):
        return messages
    return marked


def _marked(message: AgentMessage) -> AgentMessage:
    if not isinstance(message, UserMessage) or not message.content:
        return message
    if not isinstance(message.content[-1], TextContent):
        return message
    copied = copy.deepcopy(message)
    last = copied.content[-1]
    assert isinstance(last, TextContent)
    last.cache_control = CacheControl(type="ephemeral")
    return copied
