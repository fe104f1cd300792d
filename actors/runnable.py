"""What can be run for a model, and what it says: tools as the worker that runs them knows them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

import msgspec

from tinyagent.actors.context import Contexts, Ctx, no_run
from tinyagent.events import Record, kinds as k


class Invocation(msgspec.Struct, kw_only=True, eq=False):
    """One run of a tool.

    Attributes:
        arguments: the tool's own copy. asked: the request that it answers.
        contexts: makes the context of the tool's own code.
    """

    call_id: str
    name: str
    arguments: dict[str, Any]
    attempt: int
    asked: Record
    contexts: Contexts
    _made: dict[str, Ctx[Any]] = {}

    @property
    def signal(self) -> asyncio.Event:
        """Set when the run is cancelled."""
        return self.contexts.signal

    @property
    def ctx(self) -> Ctx[Any]:
        """What the tool's own code may ask for, from any thread. Made when it is asked for."""
        if not self._made:
            made = self.contexts.of(self.asked, self.call_id, self.attempt, self.progress, self.run)
            self._made.setdefault("ctx", made)  # the first one, if two threads are here at once
        return self._made["ctx"]

    def progress(self, content: k.Content, details: dict[str, Any] | None = None) -> None:
        """Say something while the tool runs; ignored after its end."""

    async def run(self, child: Any, text: Any, output: Any) -> Any:
        """Run the agent *child* below: as ``Ctx.run``."""
        return await no_run(child, text, output)


class Reconciled(msgspec.Struct, frozen=True):
    """What a tool says of an earlier run that was cut off."""

    outcome: Literal["done", "not_done", "unknown"]
    content: k.Content = ""


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool gave back. ``live``: the host's own object, for listeners in this process."""

    content: k.Content
    details: dict[str, Any] | None = None
    terminate: bool = False
    live: object = None


class Refused(Exception):
    """The call cannot be run; the text is for the model."""


class Unsettled(Exception):
    """The tool cannot end: what it began waits for somebody to say what came of a call."""


class OutcomeUnknownError(Exception):
    """Raised by a tool that was parted from what it had asked for: it may have taken effect."""


Reconcile = Callable[[Invocation], Awaitable[Reconciled]]


class Runnable(Protocol):
    """A tool that can be run."""

    @property
    def effect(self) -> k.Effect:
        """What running it may do to the world."""
        ...

    @property
    def timeout_s(self) -> float | None:
        """The longest that it may run, seconds."""
        ...

    @property
    def idle_timeout_s(self) -> float | None:
        """The longest that it may run without a word of progress, seconds."""
        ...

    @property
    def alone(self) -> bool:
        """Whether no other tool may run beside it."""
        ...

    def arguments(self, call: k.CallRef, text: str) -> dict[str, Any]:
        """Return checked arguments from the text that the model wrote.

        Raises:
            Refused: they do not fit.
        """
        ...

    def run(self, invocation: Invocation) -> Awaitable[Returned]:
        """Run it. What is raised is the tool's statement that it failed."""
        ...

    @property
    def reconcile(self) -> Reconcile | None:
        """Says what came of a run that was cut off; None if the tool cannot say."""
        ...


Find = Callable[[str], Runnable]
"""Returns the tool of a name, or raises ``Refused``."""
