"""Runs tools by their declared effect, within limits, and reports doubt.

A tool that may change the world and was cut off after its start is *in doubt*: that is said,
never that it did not happen. What a tool raises is its own statement that it failed.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from tinyagent.actors.context import Contexts, Ctx, given
from tinyagent.actors.flag import Flag, Running
from tinyagent.actors.gate import NOT_RUN, doubt_text
from tinyagent.actors.limits import is_cut
from tinyagent.actors.reopening import Begun, Reopened
from tinyagent.actors.waiting import Patience, Slots, ended_or
from tinyagent.events import Conversation, Event, Failure, Record, kinds as k
from tinyagent.runtime.errors import LiveEffectError
from tinyagent.runtime.loops import Live, Voice

if TYPE_CHECKING:
    from tinyagent.actors.children import Children

GRACE_S = 0.05
"""Time to end by itself that the host's code has after a cancel; for a tool, the same again after
its task's."""
CANCELLED = "Tool execution cancelled"
DOUBT = f"{CANCELLED}. It may or may not have taken effect."
PARALLEL_MAX = 64
Progress = Callable[[k.Content, dict[str, Any] | None], None]


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a tool.

    Attributes:
        arguments: the tool's own copy. signal: set when the run is cancelled.
        progress: says something while the tool runs; ignored after its end.
        ctx: what the tool's own code may ask for.
    """

    call_id: str
    name: str
    arguments: dict[str, Any]
    attempt: int
    signal: asyncio.Event
    progress: Progress
    ctx: Ctx[Any]


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


class Tools:
    """The worker that answers ``tool.requested``, all calls of a turn side by side.

    It also asks the tool when one of its calls is in doubt (``tool.in_doubt``).

    Args:
        reopened: what an earlier process left open: calls that were begun there.
        children: the agents that tools run.
    """

    name = "tools"
    requests = frozenset({k.ToolRequested.kind, k.ToolInDoubt.kind})

    def __init__(
        self,
        find: Find,
        conversation: Conversation,
        contexts: Contexts,
        *,
        parallel_max: int = PARALLEL_MAX,
        report: Callable[[str, str], None],
        reopened: Reopened | None = None,
        children: Children | None = None,
    ) -> None:
        self._find = find
        self._children = children
        self._conversation = conversation
        self._contexts = contexts
        self._slots = Slots(parallel_max)
        self._report = report
        self._started = reopened.started if reopened is not None else {}
        self._cancelled = Flag()

    def is_asked(self, event: Event) -> bool:
        """Say whether *event* is a call, or a doubt that the tool is to be asked about."""
        return isinstance(event, k.ToolRequested) or bool(getattr(event, "asks", False))

    def fold(self, record: Record) -> None:
        """Cancel what is under way when the host asks for it."""
        if is_cut(record.event):
            self._cancelled.set()

    async def answer(self, record: Record, voice: Voice) -> None:
        """Tell the start, the progress and the end of one call; or what came of it, in doubt."""
        event = record.event
        if isinstance(event, k.ToolInDoubt):
            await voice.tell(await self._reconcile(record, event))
            return
        assert isinstance(event, k.ToolRequested)
        call_id = event.call_id
        began = self._started.get(call_id)
        if began is not None and began.attempt < event.attempt:
            began = None
        arguments: dict[str, Any] = {}
        try:
            tool = self._find(event.name)
            if began is None or "write" not in (began.effect, tool.effect):
                arguments = self._arguments(call_id, event.arguments, tool)
        except Refused as refused:
            ended: Event = k.ToolFailed(call_id, Failure("invalid", str(refused)))
            if began is not None and began.effect not in ("pure", "read"):
                ended = _doubt(call_id, "stopped", began.attempt)
            await self._end(voice, call_id, ended)
            return
        if began is not None:
            if "write" in (began.effect, tool.effect):
                asks = tool.reconcile is not None
                ended = _doubt(call_id, "stopped", began.attempt, asks=asks)
                await self._end(voice, call_id, ended)
                return
            event = msgspec.structs.replace(event, attempt=began.attempt + 1)
        taken = await self._slots.take(alone=tool.alone)
        try:
            if not self._cancelled.is_set():
                await voice.tell(k.ToolStarted(call_id, tool.effect, event.attempt))
            if self._cancelled.is_set():  # the barrier took its time, the tool has not begun
                came: Event | Live = k.ToolFailed(call_id, Failure("cancelled", _not_run(began)))
            else:
                came = await self._run(record, event, tool, arguments, voice)
            await self._end(voice, call_id, came)
        finally:
            self._slots.give(taken)

    async def _end(self, voice: Voice, call_id: str, item: Event | Live) -> None:
        if self._children is not None:
            is_in_doubt = isinstance(item, k.ToolInDoubt)
            await self._children.leave(call_id, is_in_doubt=is_in_doubt)
        await voice.tell(item)

    def _arguments(
        self, call_id: str, changed: dict[str, Any] | None, tool: Runnable
    ) -> dict[str, Any]:
        """Return the tool's own copy of what the call asks for."""
        changed = changed if changed is not None else self._conversation.given.get(call_id)
        if changed is not None:
            return copy.deepcopy(changed)
        call = self._conversation.calls[call_id]
        ref = k.CallRef(call.id, call.name, "bad" if call.bad else "")
        return tool.arguments(ref, call.arguments)

    async def _reconcile(self, record: Record, doubt: k.ToolInDoubt) -> k.ToolReconciled:
        """Ask the tool; whatever it does, there is an answer."""
        name = self._conversation.calls[doubt.call_id].name
        said = Reconciled("unknown")
        task: asyncio.Task[Reconciled] | None = None
        try:
            tool = self._find(name)
            arguments = self._arguments(doubt.call_id, None, tool)
            invocation = self._invocation(record, doubt.call_id, name, arguments, doubt.attempt)
            running = self._cancelled.begin(_reconciled(tool, invocation))
            task = running.task
            if not await self._finished(running, Patience(tool.timeout_s, None, lambda: 0.0)):
                said = task.result()
        except asyncio.CancelledError:
            if task is None or not task.cancelled():
                raise
        except Exception as error:
            self._report("tool.reconcile", f"{name} could not say what came of it: {error!r}")
        finally:
            if task is not None:
                task.cancel()
        return k.ToolReconciled(doubt.call_id, said.outcome, said.content)

    def _invocation(
        self,
        record: Record,
        call_id: str,
        name: str,
        arguments: dict[str, Any],
        attempt: int,
        progress: Progress = lambda content, details: None,
    ) -> Invocation:
        below = {}
        if self._children is not None and isinstance(record.event, k.ToolRequested):
            below["run"] = partial(self._children.run, record, name, self._contexts.provided)
        return Invocation(
            call_id=call_id,
            name=name,
            arguments=arguments,
            attempt=attempt,
            signal=self._contexts.signal,
            progress=progress,
            ctx=self._contexts.of(
                record, call_id, attempt, lambda text: progress(text, None), **below
            ),
        )

    async def _run(
        self,
        record: Record,
        event: k.ToolRequested,
        tool: Runnable,
        arguments: dict[str, Any],
        voice: Voice,
    ) -> Event | Live:
        is_over = False
        now_s = asyncio.get_running_loop().time
        heard_s = now_s()

        def progress(content: k.Content, details: dict[str, Any] | None) -> None:
            nonlocal heard_s
            heard_s = now_s()
            if not is_over:
                voice.say(k.ToolProgressed(event.call_id, content, details))

        invocation = self._invocation(
            record, event.call_id, event.name, arguments, event.attempt, progress
        )
        if self._children is not None:
            self._children.begin(event.call_id)
        named = f"tool {event.name}, call {event.call_id}"
        running = self._cancelled.begin(_awaited(tool, invocation), named)
        try:
            patience = Patience(tool.timeout_s, tool.idle_timeout_s, lambda: heard_s)
            cut = await self._finished(running, patience, event.call_id)
        except asyncio.CancelledError:
            running.task.cancel()
            raise
        finally:
            is_over = True
        if cut:
            return self._cut_off(event, tool, cut)
        return _outcome(event, tool, running.task)

    async def _finished(self, running: Running[Any], patience: Patience, call_id: str = "") -> str:
        """Wait for what runs; return why it was cut off, or nothing if it ended by itself."""
        task = running.task
        why: str = await ended_or(running, self._cancelled, patience)
        if task.done():
            return ""
        if self._cancelled.is_set():
            why = "cancelled"
        if why == "cancelled":
            await self._stop_below(call_id)
            await asyncio.wait({task}, timeout=GRACE_S)
            if task.done():
                return ""
        task.cancel()
        await self._stop_below(call_id)
        await asyncio.wait({task}, timeout=GRACE_S * 0.8)
        if not task.done():
            self._report("tool.abandoned", f"{task.get_name()}: swallowed its cancellation")
        elif not task.cancelled() and (error := task.exception()) is not None:
            self._report("tool.cut_off", f"raised while it was cancelled: {error!r}")
        return why

    async def _stop_below(self, call_id: str) -> None:
        """Wait for the end of the agents below: each of them ends what it runs in its time."""
        if self._children is not None:
            await self._children.stop(call_id)

    def _cut_off(self, event: k.ToolRequested, tool: Runnable, cut: str) -> Event:
        why: Literal["cancelled", "timeout"] = "cancelled" if cut == "cancelled" else "timeout"
        timed_out = {
            "run": f"Tool {event.name} timed out after {tool.timeout_s or 0:g} s",
            "silence": f"Tool {event.name} timed out: silent for {tool.idle_timeout_s or 0:g} s",
        }.get(cut, "")
        if tool.effect == "write":
            asks = tool.reconcile is not None and why == "timeout"
            return k.ToolInDoubt(event.call_id, why, event.attempt, timed_out or DOUBT, asks)
        return k.ToolFailed(event.call_id, Failure(why, timed_out or CANCELLED))


def _doubt(call_id: str, why: Any, attempt: int, *, asks: bool = False) -> k.ToolInDoubt:
    return k.ToolInDoubt(call_id, why, attempt, doubt_text(why), asks)


def _not_run(began: Begun | None) -> str:
    if began is None:
        return NOT_RUN
    return CANCELLED if began.effect in ("pure", "read") else DOUBT


async def _reconciled(tool: Runnable, invocation: Invocation) -> Reconciled:
    if tool.reconcile is None:  # it could say, when it was cut off
        return Reconciled("unknown")
    with given(invocation.ctx):
        return await tool.reconcile(invocation)


async def _awaited(tool: Runnable, invocation: Invocation) -> Returned:
    with given(invocation.ctx):
        return await tool.run(invocation)


def _outcome(
    event: k.ToolRequested, tool: Runnable, task: asyncio.Future[Returned]
) -> Event | Live:
    call_id = event.call_id
    if task.cancelled():
        return k.ToolFailed(call_id, Failure("host", CANCELLED))
    error = task.exception()
    if error is None:
        given = task.result()
        finished = k.ToolFinished(call_id, given.content, given.details, given.terminate)
        return Live(finished, given.live)
    if isinstance(error, Unsettled):
        return _doubt(call_id, "stopped", event.attempt)
    if isinstance(error, OutcomeUnknownError):
        if tool.effect == "write":
            asks = tool.reconcile is not None
            return k.ToolInDoubt(call_id, "stopped", event.attempt, str(error), asks)
        return k.ToolFailed(call_id, Failure("interrupted", str(error)))
    is_its_own = isinstance(error, Exception | asyncio.CancelledError)
    if not is_its_own or isinstance(error, LiveEffectError):
        raise error
    kind: k.FailureKind = "invalid" if isinstance(error, Refused) else "host"
    return k.ToolFailed(call_id, Failure(kind, str(error) or type(error).__name__))
