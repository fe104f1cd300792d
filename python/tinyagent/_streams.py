"""What a run yields, as an object that can be left at any time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class AgentStream(Generic[T]):
    """An async iterator over a run. ``aclose``, or leaving the context, ends the run.

    Nothing happens before the first item is asked for.
    """

    def __init__(self, items: AsyncGenerator[T]) -> None:
        self._items = items

    def __aiter__(self) -> AgentStream[T]:
        """Return this stream."""
        return self

    async def __anext__(self) -> T:
        """Return the next item."""
        return await anext(self._items)

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
