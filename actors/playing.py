"""An agent that runs below another: what is asked of it, and what is known of it."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import msgspec

from tinyagent.actors.state import State


class Playing(Protocol):
    """An agent of the host, over the log of a child."""

    @property
    def state(self) -> State:
        """What its machine knows."""
        ...

    @property
    def outcome(self) -> str:
        """How its run ended."""
        ...

    @property
    def text(self) -> str:
        """What it answered."""
        ...

    async def run(self, said: Any, output: Any) -> Any:
        """Run it on *said*, or to the end of what its log has of that; return what came of it.

        *output*: the type of the answer; None: of its own, or any.

        Raises:
            Exception: it failed.
        """
        ...

    def cancel(self) -> None:
        """Ask it to stop. Nothing happens if it does not run yet, or not any more."""
        ...

    def limit(self, left: dict[str, Any]) -> None:
        """Let it use no more in all than *left*, on record, from its next check on."""
        ...


class Child(msgspec.Struct):
    """A child that is on record.

    Attributes:
        claimed: this attempt of the call has asked for it. waits: for a person.
        outcome: how it ended; empty before that.
        limits: what the agent above leaves to it. used: what it has used, where it does not run.
    """

    name: str
    started: int
    call_id: str
    limits: dict[str, Any]
    claimed: bool = False
    waits: bool = False
    outcome: str = ""
    used: dict[str, int] = {}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot holds of children, all of which have ended.

    Attributes:
        ended: their names, numbers, calls and outcomes. claimed: as of ``Children``, but theirs.
    """

    ended: list[tuple[str, int, str, str]]
    claimed: dict[str, str]


class Under(msgspec.Struct):
    """A child that is under way. ``playing``: its agent, once it is made."""

    task: asyncio.Task[Any]
    playing: Any = None
