"""Runs tools by their declared effect, within limits, and reports doubt.

A tool that may change the world and was cut off after its start is *in doubt*: that is said,
never that it did not happen. What a tool raises is its own statement that it failed.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from tinyagent.actors.context import Contexts, given
from tinyagent.actors.flag import Flag, Running
from tinyagent.actors.gate import NOT_RUN, doubt_text
from tinyagent.actors.limits import is_cut
from tinyagent.actors.reopening import Begun, Reopened
from tinyagent.actors.runnable import (
    Find as Find,
    Invocation as Invocation,
    OutcomeUnknownError as OutcomeUnknownError,
    Progress as Progress,
    Reconcile as Reconcile,
    Reconciled as Reconciled,
    Refused as Refused,
    Returned as Returned,
    Runnable as Runnable,
    Unsettled as Unsettled,
)
from tinyagent.actors.waiting import Cut, Slots, Watch
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


class _Call:
    """A call that runs.

    Attributes:
        ended: what its tool returned or raised. is_cut: somebody else tells what came of it.
        is_over: it says nothing more.
    """

    def __init__(self, event: k.ToolRequested, tool: Runnable, voice: Voice, slots: int) -> None:
        self.event = event
        self.tool = tool
        self.voice = voice
        self.slots = slots
        self.task = voice.task
        self.ended: Returned | BaseException = Unsettled()
        self.is_cut = self.is_over = False


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
        call = _Call(event, tool, voice, await self._slots.take(alone=tool.alone))
        try:
            if not self._cancelled.is_set():
                await voice.tell(k.ToolStarted(call_id, tool.effect, event.attempt))
            if self._cancelled.is_set():  # the barrier took its time, the tool has not begun
                came: Event | Live = k.ToolFailed(call_id, Failure("cancelled", _not_run(began)))
            else:
                await self._run(record, call, arguments)
                if call.is_cut:
                    return  # the rest is told by who cut it off
                came = _outcome(event, tool, call.ended)
            await self._end(voice, call_id, came)
        finally:
            if not call.is_cut:
                self._slots.give(call.slots)

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
            running = Running(_reconciled(tool, invocation))
            task = running.task
            await running.over(self._cancelled, tool.timeout_s)
            if task.done() or not await self._stopped(task, "run"):
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

    async def _run(self, record: Record, call: _Call, arguments: dict[str, Any]) -> None:
        """Run the tool to its end in this task, whoever tells what came of it."""
        event, tool, voice = call.event, call.tool, call.voice

        def progress(content: k.Content, details: dict[str, Any] | None) -> None:
            watch.hear()
            if not call.is_over:
                voice.say(k.ToolProgressed(event.call_id, content, details))

        def cut(why: Cut) -> None:
            call.is_cut = True
            voice.hand_over(partial(self._cut, call, why), f"tools cut off {event.call_id}")

        invocation = self._invocation(
            record, event.call_id, event.name, arguments, event.attempt, progress
        )
        if self._children is not None:
            self._children.begin(event.call_id)
        call.task.set_name(f"tool {event.name}, call {event.call_id}")
        voice.is_away = True
        with Watch(self._cancelled, tool.timeout_s, tool.idle_timeout_s, cut) as watch:
            if not voice.is_alone:
                await asyncio.sleep(0)  # all start before one of them ends
            call.ended = await _ended(tool, invocation)
        if call.is_cut:
            if isinstance(call.ended, BaseException):
                raise call.ended
            return
        call.is_over, voice.is_away = True, False
        if voice.is_over:
            raise asyncio.CancelledError

    async def _cut(self, call: _Call, why: Cut) -> None:
        """Cut off a call, and tell what came of it in the place of its task."""
        event, tool = call.event, call.tool
        try:
            cut = await self._stopped(call.task, why, event.call_id)
            call.is_over = True
            came = self._cut_off(event, tool, cut) if cut else _outcome(event, tool, call.ended)
            await self._end(call.voice, event.call_id, came)
        except asyncio.CancelledError:
            call.task.cancel()
            raise
        finally:
            call.is_over = True
            self._slots.give(call.slots)

    async def _stopped(self, task: asyncio.Task[Any], why: Cut, call_id: str = "") -> Cut | None:
        """Let *task* end; return why it was cut off, None if it ended by itself."""
        if self._cancelled.is_set():
            why = "cancelled"
        if why == "cancelled":
            await self._stop_below(call_id)
            await asyncio.wait({task}, timeout=GRACE_S)
        if task.done():
            _ = task.cancelled() or task.exception()  # whoever asked for it knows
            return None
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


async def _ended(tool: Runnable, invocation: Invocation) -> Returned | BaseException:
    """Run *tool* and return what it returned or raised."""
    try:
        with given(invocation.ctx):
            return await tool.run(invocation)
    except (Exception, asyncio.CancelledError) as error:
        return error


def _outcome(
    event: k.ToolRequested, tool: Runnable, ended: Returned | BaseException
) -> Event | Live:
    call_id = event.call_id
    if isinstance(ended, Returned):
        finished = k.ToolFinished(call_id, ended.content, ended.details, ended.terminate)
        return Live(finished, ended.live)
    if isinstance(ended, asyncio.CancelledError):
        return k.ToolFailed(call_id, Failure("host", CANCELLED))
    if isinstance(ended, Unsettled):
        return _doubt(call_id, "stopped", event.attempt)
    if isinstance(ended, OutcomeUnknownError):
        if tool.effect == "write":
            asks = tool.reconcile is not None
            return k.ToolInDoubt(call_id, "stopped", event.attempt, str(ended), asks)
        return k.ToolFailed(call_id, Failure("interrupted", str(ended)))
    if isinstance(ended, LiveEffectError):
        raise ended
    kind: k.FailureKind = "invalid" if isinstance(ended, Refused) else "host"
    return k.ToolFailed(call_id, Failure(kind, str(ended) or type(ended).__name__))
