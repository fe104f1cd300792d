"""What a run yields, as an object that can be left at any time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import Generic, TypeVar

from tinyagent._reading.state import extract_text
from tinyagent.agent_types import (
    AgentEvent,
    AssistantMessage,
    AssistantMessageEvent,
    MessageEndEvent,
    MessageUpdateEvent,
)

T = TypeVar("T")


class AgentStream(Generic[T]):
    """An async iterator over a run. ``aclose``, or leaving the context, ends the run.

    Nothing happens before the first item is asked for. *leave* is called when nobody holds it any
    more: what is under way of the run is closed soon.
    """

    def __init__(self, items: AsyncGenerator[T], leave: Callable[[], None]) -> None:
        self._items = items
        self._leave = leave

    def __del__(self) -> None:
        """Say that nobody reads any more."""
        self._leave()

    def __aiter__(self) -> AgentStream[T]:
        """Return this stream."""
        return self

    def __anext__(self) -> Awaitable[T]:
        """Return the next item, to be awaited."""
        return anext(self._items)

    async def aclose(self) -> None:
        """End the run if it is under way, and wait for its end."""
        await self._items.aclose()

    async def __aenter__(self) -> AgentStream[T]:
        """Return this stream."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the run."""
        await self.aclose()


async def close(items: AsyncGenerator[object]) -> None:
    """Close *items*, unless who waits for the next is thrown away: its loop was closed by hand."""
    if not items.ag_running:  # type: ignore[attr-defined] # made by an `async def`
        await items.aclose()


async def cancellable(
    events: AsyncGenerator[AgentEvent],
    signal: asyncio.Event | None,
    cancel: Callable[[str], object],
) -> AsyncGenerator[AgentEvent]:
    """Yield the *events* of a run; *cancel* is called if *signal* is set meanwhile."""

    async def watch(signal: asyncio.Event) -> None:
        await signal.wait()
        cancel("signal")

    watching = asyncio.ensure_future(watch(signal)) if signal is not None else None
    try:
        async for event in events:
            yield event
    finally:
        if watching is not None:
            watching.cancel()
        await close(events)


async def text_of(events: AsyncGenerator[AgentEvent]) -> AsyncGenerator[str]:
    """Yield the text of the answers among *events* as it arrives, each character once."""
    shown = ""
    try:
        async for event in events:
            match event:
                case MessageUpdateEvent(assistant_message_event=AssistantMessageEvent() as said):
                    # By its deltas: the message beside them may be stale, or ahead of them.
                    if said.type == "text_delta" and said.delta:
                        shown += said.delta
                        yield said.delta
                case MessageEndEvent(message=AssistantMessage() as message):
                    text = extract_text(message)
                    if text.startswith(shown) and text != shown:
                        yield text[len(shown) :]
                    shown = ""
                case _:
                    pass
    finally:
        await close(events)
