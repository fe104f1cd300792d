"""Runs tools by their declared effect, within limits, and reports doubt.

A tool that may change the world and was cut off after its start is *in doubt*: that is said,
never that it did not happen. What a tool raises is its own statement that it failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import msgspec

from tinyagent.events import Conversation, Event, Failure, Record, kinds as k
from tinyagent.runtime.loops import Live, Say

GRACE_S = 0.05
"""Time to end by itself that the host's code has after a cancel; for a tool, the same again after
its task's."""
CANCELLED = "Tool execution cancelled"
DOUBT = f"{CANCELLED}. It may or may not have taken effect."
NOT_RUN = "Tool not run: the request was aborted"
PARALLEL_MAX = 64


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a tool.

    Attributes:
        arguments: the tool's own copy. signal: set when the run is cancelled.
        progress: says something while the tool runs; ignored after its end.
    """

    call_id: str
    name: str
    arguments: dict[str, Any]
    attempt: int
    signal: asyncio.Event
    progress: Callable[[k.Content, dict[str, Any] | None], None]


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool gave back. ``live``: the host's own object, for listeners in this process."""

    content: k.Content
    details: dict[str, Any] | None = None
    terminate: bool = False
    live: object = None


class Refused(Exception):
    """The call cannot be run; the text is for the model."""


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

    def arguments(self, call: k.CallRef, text: str) -> dict[str, Any]:
        """Return checked arguments from the text that the model wrote.

        Raises:
            Refused: they do not fit.
        """
        ...

    def run(self, invocation: Invocation) -> Awaitable[Returned]:
        """Run it. What is raised is the tool's statement that it failed."""
        ...


Find = Callable[[str], Runnable]
"""Returns the tool of a name, or raises ``Refused``."""


class Tools:
    """The worker that answers ``tool.requested``, all calls of a turn side by side."""

    name = "tools"
    requests = frozenset({k.ToolRequested.kind})

    def __init__(
        self,
        find: Find,
        conversation: Conversation,
        signal: asyncio.Event,
        *,
        parallel_max: int = PARALLEL_MAX,
        report: Callable[[str, str], None],
    ) -> None:
        self._find = find
        self._conversation = conversation
        self._signal = signal
        self._slots = asyncio.Semaphore(parallel_max)
        self._report = report
        self._cancelled = asyncio.Event()

    def fold(self, record: Record) -> None:
        """Cancel what is under way when the host asks for it."""
        if isinstance(record.event, k.CancelRequested):
            self._cancelled.set()

    async def answer(self, record: Record, say: Say) -> AsyncIterator[Event | Live]:
        """Yield the start, the progress and the end of one call."""
        event = record.event
        assert isinstance(event, k.ToolRequested)
        try:
            tool = self._find(event.name)
            arguments = event.arguments
            if arguments is None:
                call = self._conversation.calls[event.call_id]
                ref = k.CallRef(call.id, call.name, "bad" if call.bad else "")
                arguments = tool.arguments(ref, call.arguments)
        except Refused as refused:
            yield k.ToolFailed(event.call_id, Failure("invalid", str(refused)))
            return
        async with self._slots:
            if self._cancelled.is_set():
                yield k.ToolFailed(event.call_id, Failure("cancelled", NOT_RUN))
                return
            yield k.ToolStarted(event.call_id, tool.effect, event.attempt)
            if self._cancelled.is_set():  # the barrier took its time, the tool has not begun
                yield k.ToolFailed(event.call_id, Failure("cancelled", NOT_RUN))
                return
            yield await self._run(event, tool, arguments, say)

    async def _run(
        self, event: k.ToolRequested, tool: Runnable, arguments: dict[str, Any], say: Say
    ) -> Event | Live:
        running = True

        def progress(content: k.Content, details: dict[str, Any] | None) -> None:
            if running:
                say(k.ToolProgressed(event.call_id, content, details))

        invocation = Invocation(
            call_id=event.call_id,
            name=event.name,
            arguments=arguments,
            attempt=event.attempt,
            signal=self._signal,
            progress=progress,
        )
        named = f"tool {event.name}, call {event.call_id}"
        task = asyncio.create_task(_awaited(tool, invocation), name=named)
        try:
            cut = await self._finished(task, tool.timeout_s)
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            running = False
        if cut:
            return self._cut_off(event, tool, cut)
        return _outcome(event.call_id, task)

    async def _finished(self, task: asyncio.Future[Returned], timeout_s: float | None) -> Any:
        """Wait for *task*; return why it was cut off, or nothing if it ended by itself."""
        waiter = asyncio.ensure_future(self._cancelled.wait())
        both: set[asyncio.Future[Any]] = {task, waiter}
        try:
            await asyncio.wait(both, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
        if task.done():
            return None
        why = "cancelled" if self._cancelled.is_set() else "timeout"
        if why == "cancelled":
            await asyncio.wait({task}, timeout=GRACE_S)
            if task.done():
                return None
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE_S * 0.8)
        if not task.done():
            named = task.get_name() if isinstance(task, asyncio.Task) else "a tool"
            self._report("tool.abandoned", f"{named}: swallowed its cancellation")
        elif not task.cancelled() and (error := task.exception()) is not None:
            self._report("tool.cut_off", f"raised while it was cancelled: {error!r}")
        return why

    def _cut_off(self, event: k.ToolRequested, tool: Runnable, why: Any) -> Event:
        timed_out = (
            f"Tool {event.name} timed out after {tool.timeout_s:g} s"
            if (why == "timeout")
            else CANCELLED
        )
        if tool.effect == "write":
            told = timed_out if why == "timeout" else DOUBT
            return k.ToolInDoubt(event.call_id, why, event.attempt, told)
        return k.ToolFailed(event.call_id, Failure(why, timed_out))


async def _awaited(tool: Runnable, invocation: Invocation) -> Returned:
    return await tool.run(invocation)


def _outcome(call_id: str, task: asyncio.Future[Returned]) -> Event | Live:
    if task.cancelled():
        return k.ToolFailed(call_id, Failure("host", CANCELLED))
    error = task.exception()
    if error is None:
        given = task.result()
        finished = k.ToolFinished(call_id, given.content, given.details, given.terminate)
        return Live(finished, given.live)
    if not isinstance(error, Exception | asyncio.CancelledError):
        raise error
    kind: k.FailureKind = "invalid" if isinstance(error, Refused) else "host"
    return k.ToolFailed(call_id, Failure(kind, str(error) or type(error).__name__))
