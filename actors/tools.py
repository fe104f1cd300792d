"""Runs tools by their declared effect, within limits, and reports doubt.

A tool that may change the world and was cut off after its start is *in doubt*: that is said,
never that it did not happen. What a tool raises is its own statement that it failed.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from tinyagent.actors.context import Contexts, give, given, no_run
from tinyagent.actors.flag import Flag, Running
from tinyagent.actors.gate import NOT_RUN, doubt_text
from tinyagent.actors.limits import is_cut
from tinyagent.actors.reopening import Begun, Reopened
from tinyagent.actors.runnable import (
    Find as Find,
    Invocation as Invocation,
    OutcomeUnknownError as OutcomeUnknownError,
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


class _Call(Invocation, kw_only=True, eq=False):
    """A call that runs.

    Attributes:
        task: runs it. slots: how many it has taken. watch: cuts it off when its time is up.
        ended: what its tool returned or raised. is_cut: somebody else tells what came of it.
        is_stopping: it begins no agent any more. is_over: nor does it say anything.
    """

    tools: Tools
    tool: Runnable
    voice: Voice
    task: asyncio.Task[None]
    slots: int = 0
    watch: Watch | None = None
    ended: Returned | BaseException | None = None
    is_cut: bool = False
    is_stopping: bool = False
    is_over: bool = False

    def progress(self, content: k.Content, details: dict[str, Any] | None = None) -> None:
        if self.watch is not None:
            self.watch.hear()
        if not self.is_over:
            self.voice.say(k.ToolProgressed(self.call_id, content, details))

    async def run(self, child: Any, text: Any, output: Any) -> Any:
        if self.is_over or self.is_stopping:
            raise RuntimeError(f"call {self.call_id} is over, and begins no agent any more")
        return await self.tools.run_below(self, child, text, output)

    def wake(self) -> None:
        """The run is cancelled."""
        self.tools.cut(self, "cancelled")


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
        self._disk = asyncio.Lock()  # held by a call that waits for it; others have it in line

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
        if not isinstance(event, k.ToolRequested):
            await voice.tell(await self._reconcile(record))
            return
        call = self._taken(record, event, voice)
        if not isinstance(call, _Call):
            await self._end(voice, event.call_id, call)
            return
        call.slots = await self._slots.take(alone=call.tool.alone)
        try:
            if self._cancelled.is_set() or not await self._started_safely(call):
                not_run = _not_run(self._earlier(event))
                came: Event | Live = k.ToolFailed(call.call_id, Failure("cancelled", not_run))
            else:
                await self._run(call)
                if call.is_cut:
                    return  # the rest is told by who cut it off
                came = _outcome(call)
            await self._end(voice, call.call_id, came)
        finally:
            if not call.is_cut:
                self._slots.give(call.slots)

    async def _started_safely(self, call: _Call) -> bool:
        """Tell the start of *call*; return whether it may run: not if that took its time.

        Calls that start together run in their order, and the disk is asked once for them all.
        """
        voice = call.voice
        voice.say(k.ToolStarted(call.call_id, call.tool.effect, call.attempt))
        if not voice.is_alone:
            await asyncio.sleep(0)  # all start before one ends
        if not self._disk.locked() and voice.is_safe:
            return True
        async with self._disk:
            await voice.safe()
        return not self._cancelled.is_set()

    def _earlier(self, event: k.ToolRequested) -> Begun | None:
        """Return the attempt of an earlier process that *event* asks for again."""
        began = self._started.get(event.call_id)
        return None if began is None or began.attempt < event.attempt else began

    def _taken(self, record: Record, event: k.ToolRequested, voice: Voice) -> _Call | Event:
        """Return the call that is to run, or how it ends without that."""
        call_id, attempt = event.call_id, event.attempt
        began = self._earlier(event) if self._started else None
        try:
            tool = self._find(event.name)
            if began is not None:
                if "write" in (began.effect, tool.effect):
                    asks = tool.reconcile is not None
                    return _doubt(call_id, "stopped", began.attempt, asks=asks)
                attempt = began.attempt + 1
            arguments = self._arguments(call_id, event.arguments, tool)
        except Refused as refused:
            if began is not None and began.effect not in ("pure", "read"):
                return _doubt(call_id, "stopped", began.attempt)
            return k.ToolFailed(call_id, Failure("invalid", str(refused)))
        return _Call(
            call_id=call_id,
            name=event.name,
            arguments=arguments,
            attempt=attempt,
            asked=record,
            contexts=self._contexts,
            tools=self,
            tool=tool,
            voice=voice,
            task=voice.task,
        )

    def _end(self, voice: Voice, call_id: str, item: Event | Live) -> Coroutine[Any, Any, None]:
        children = self._children
        if children is None or call_id not in children.of_call:
            return voice.tell(item)
        return self._end_below(children, voice, call_id, item)

    async def _end_below(
        self, children: Children, voice: Voice, call_id: str, item: Event | Live
    ) -> None:
        await children.leave(call_id, is_in_doubt=isinstance(item, k.ToolInDoubt))
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

    async def _reconcile(self, record: Record) -> k.ToolReconciled:
        """Ask the tool; whatever it does, there is an answer."""
        doubt = record.event
        assert isinstance(doubt, k.ToolInDoubt)
        name = self._conversation.calls[doubt.call_id].name
        said = Reconciled("unknown")
        task: asyncio.Task[Reconciled] | None = None
        try:
            tool = self._find(name)
            invocation = Invocation(
                call_id=doubt.call_id,
                name=name,
                arguments=self._arguments(doubt.call_id, None, tool),
                attempt=doubt.attempt,
                asked=record,
                contexts=self._contexts,
            )
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

    async def run_below(self, call: _Call, child: Any, text: Any, output: Any) -> Any:
        """Run the agent *child* for *call*."""
        if self._children is None:
            return await no_run(child, text, output)
        provided = self._contexts.provided
        return await self._children.run(call.asked, call.name, provided, child, text, output)

    async def _run(self, call: _Call) -> None:
        """Run the tool to its end in this task, whoever tells what came of it."""
        tool, voice, children = call.tool, call.voice, self._children
        if children is not None and call.call_id in children.of_call:
            children.begin(call.call_id)
        call.task.set_name(f"tool {call.name}, call {call.call_id}")
        voice.is_away = True
        if tool.timeout_s is not None or tool.idle_timeout_s is not None:
            call.watch = Watch(tool.timeout_s, tool.idle_timeout_s, partial(self.cut, call))
        self._cancelled.join(call)
        give(lambda: call.ctx)
        try:
            call.ended = await tool.run(call)
        except (Exception, asyncio.CancelledError) as error:
            call.ended = error
        finally:
            self._unwatch(call)
        if call.is_cut:
            if isinstance(call.ended, BaseException):
                raise call.ended
            return
        call.is_over, voice.is_away = True, False
        if voice.is_over:
            raise asyncio.CancelledError

    def _unwatch(self, call: _Call) -> None:
        self._cancelled.leave(call)
        if call.watch is not None:
            call.watch.end()
            call.watch = None

    def cut(self, call: _Call, why: Cut) -> None:
        """Cut off *call*, which runs: once, and not after its end."""
        call.is_cut = True
        self._unwatch(call)
        call.voice.hand_over(partial(self._cut, call, why), f"tools cut off {call.call_id}")

    async def _cut(self, call: _Call, why: Cut) -> None:
        """Cut off a call, and tell what came of it in the place of its task."""
        try:
            cut = await self._stopped(call.task, why, call)
            call.is_over = True
            came = self._cut_off(call, cut) if cut else _outcome(call)
            await self._end(call.voice, call.call_id, came)
        except asyncio.CancelledError:
            call.task.cancel()
            raise
        finally:
            call.is_over = True
            self._slots.give(call.slots)

    async def _stopped(
        self, task: asyncio.Task[Any], why: Cut, call: _Call | None = None
    ) -> Cut | None:
        """Let *task* end; return why it was cut off, None if it ended by itself."""
        if self._cancelled.is_set():
            why = "cancelled"
        if why == "cancelled":
            await self._stop_below(call)
            await asyncio.wait({task}, timeout=GRACE_S)
        if task.done():
            _ = task.cancelled() or task.exception()  # whoever asked for it knows
            return None
        task.cancel()
        await self._stop_below(call)
        await asyncio.wait({task}, timeout=GRACE_S * 0.8)
        if not task.done():
            self._report("tool.abandoned", f"{task.get_name()}: swallowed its cancellation")
        elif not task.cancelled() and (error := task.exception()) is not None:
            self._report("tool.cut_off", f"raised while it was cancelled: {error!r}")
        return why

    async def _stop_below(self, call: _Call | None) -> None:
        """Wait for the end of the agents below: each of them ends what it runs in its time."""
        if self._children is not None and call is not None:
            call.is_stopping = True
            await self._children.stop(call.call_id)

    def _cut_off(self, call: _Call, cut: str) -> Event:
        tool = call.tool
        why: Literal["cancelled", "timeout"] = "cancelled" if cut == "cancelled" else "timeout"
        timed_out = {
            "run": f"Tool {call.name} timed out after {tool.timeout_s or 0:g} s",
            "silence": f"Tool {call.name} timed out: silent for {tool.idle_timeout_s or 0:g} s",
        }.get(cut, "")
        if tool.effect == "write":
            asks = tool.reconcile is not None and why == "timeout"
            return k.ToolInDoubt(call.call_id, why, call.attempt, timed_out or DOUBT, asks)
        return k.ToolFailed(call.call_id, Failure(why, timed_out or CANCELLED))


def _doubt(call_id: str, why: Any, attempt: int, *, asks: bool = False) -> k.ToolInDoubt:
    return k.ToolInDoubt(call_id, why, attempt, doubt_text(why), asks)


def _not_run(began: Begun | None) -> str:
    if began is None:
        return NOT_RUN
    return CANCELLED if began.effect in ("pure", "read") else DOUBT


async def _reconciled(tool: Runnable, invocation: Invocation) -> Reconciled:
    if tool.reconcile is None:  # it could say, when it was cut off
        return Reconciled("unknown")
    with given(lambda: invocation.ctx):
        return await tool.reconcile(invocation)


def _outcome(call: _Call) -> Event | Live:
    call_id, tool, ended = call.call_id, call.tool, call.ended
    if isinstance(ended, Returned):
        finished = k.ToolFinished(call_id, ended.content, ended.details, ended.terminate)
        return finished if ended.live is None else Live(finished, ended.live)
    if isinstance(ended, asyncio.CancelledError):
        return k.ToolFailed(call_id, Failure("host", str(ended) or CANCELLED))
    if ended is None or isinstance(ended, Unsettled):
        return _doubt(call_id, "stopped", call.attempt)
    if isinstance(ended, OutcomeUnknownError):
        if tool.effect == "write":
            asks = tool.reconcile is not None
            return k.ToolInDoubt(call_id, "stopped", call.attempt, str(ended), asks)
        return k.ToolFailed(call_id, Failure("interrupted", str(ended)))
    if isinstance(ended, LiveEffectError):
        raise ended
    kind: k.FailureKind = "invalid" if isinstance(ended, Refused) else "host"
    return k.ToolFailed(call_id, Failure(kind, _told(ended)))


def _told(error: BaseException) -> str:
    """Return what the model is told of *error*: of a group, also what is in it."""
    text = str(error) or type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        text = f"{text}: {'; '.join(map(_told, error.exceptions))}"
    return text
