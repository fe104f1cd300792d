"""Records to public events: ``agent_start``, ``message_update`` and so on. Pure.

Computed as the records are read, live or from a recording; nothing of it is in the log. Results
are shown in call order although they are recorded as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from tinyagent._reading.bodies import Bodies, blocks_of
from tinyagent._reading.partial import Partial, arguments_of, public_usage
from tinyagent.agent_types import (
    STREAM_UPDATE_EVENTS,
    AgentEndEvent,
    AgentEvent,
    AgentMessage,
    AgentStartEvent,
    AgentToolResult,
    AssistantMessage,
    AssistantMessageEvent,
    JsonObject,
    MessageEndEvent,
    MessageStartEvent,
    MessageUpdateEvent,
    ToolExecutionEndEvent,
    ToolExecutionStartEvent,
    ToolExecutionUpdateEvent,
    ToolResultMessage,
    TurnEndEvent,
    TurnStartEvent,
)
from tinyagent.events import Conversation, Event, Record, kinds as k
from tinyagent.events.codec import restored
from tinyagent.events.messages import CallEnd, Result, result_of, revised

BEFORE, AFTER = "before_tool_call", "after_tool_call"
Showing = Callable[["Projection", Record, Any], Iterable[AgentEvent]]


class Projection:
    """The fold that yields public events; ``read`` takes each record once, in order.

    Attributes:
        new_messages: what the run has added so far, prompts included.
    """

    def __init__(self, conversation: Conversation, bodies: Bodies) -> None:
        self._conversation = conversation
        self._bodies = bodies
        self._settings = conversation.settings
        self._in_run = self._in_turn = False
        self._terminating: set[str] = set()
        self._partial: Partial | None = None
        self._heard: list[k.Piece] = []
        self._is_shown = False
        self._answer: AssistantMessage | None = None
        self._calls: list[str] = []
        self._started: set[str] = set()
        self._results: dict[str, Result] = {}
        self._shown: list[ToolResultMessage] = []
        self._instead: dict[str, Any] | None = None
        self.new_messages: list[AgentMessage] = []

    @property
    def is_idle(self) -> bool:
        """Whether no run is under way, nor paused."""
        return not (self._in_run or self._in_turn or self._calls)

    def read(self, record: Record) -> Iterable[AgentEvent]:
        """Return the public events that *record* makes, to be read before the next record."""
        shown = self._showing.get(type(record.event))
        return () if shown is None else shown(self, record, record.event)

    # Input

    def _hear(self, record: Record, event: k.UserSaid) -> Iterator[AgentEvent]:
        if event.via == "prompt":
            yield from self._go_on(record, event)
            yield from self._add(self._bodies.said(record.seq))

    def _go_on(self, _: Record, __: k.UserSaid | k.UserContinued) -> Iterator[AgentEvent]:
        if not self._in_run:
            yield from self._open_run()

    def _deliver(self, _: Record, event: k.UserDelivered) -> Iterator[AgentEvent]:
        yield from self._open_turn()
        for seq in event.said:
            yield from self._add(self._bodies.said(seq))

    def _reject(self, record: Record, _: k.OutputRejected) -> Iterator[AgentEvent]:
        return self._add(self._bodies.said(record.seq))

    def _report(self, record: Record, _: k.DiagnosticReported) -> Iterable[AgentEvent]:
        return () if record.live is None else (record.live,)  # an event of the application's own

    def _open_run(self) -> Iterator[AgentEvent]:
        self._in_run, self.new_messages = True, []
        if not self._calls:  # else a paused run goes on, in the turn of that answer
            self._answer = None
        yield AgentStartEvent()
        yield from self._open_turn()
        yield from self._start_again()

    def _start_again(self) -> Iterator[AgentEvent]:
        """Calls of a turn that goes on start once more, so that each end has its start."""
        shown = {message.tool_call_id for message in self._shown}
        again = [call for call in self._calls if call in self._started and call not in shown]
        self._started.difference_update(again)
        for call_id in again:
            yield from self._start(call_id)

    def _reopen(self, _: Record, __: k.SessionResumed) -> Iterator[AgentEvent]:
        """A run that was cut off goes on, before listeners who have not seen its beginning."""
        if not self._in_run:
            return
        yield AgentStartEvent()
        self._partial, self._is_shown = None, False
        if self._in_turn:
            yield TurnStartEvent()
            yield from self._start_again()

    def _open_turn(self) -> Iterator[AgentEvent]:
        if not self._in_turn:
            self._in_turn = True
            yield TurnStartEvent()

    def _add(self, message: AgentMessage) -> Iterator[AgentEvent]:
        self.new_messages.append(message)
        yield MessageStartEvent(message=message)
        yield MessageEndEvent(message=message)

    # The answer

    def _ask(self, _: Record, __: k.ModelRequested) -> Iterator[AgentEvent]:
        yield from self._open_turn()
        self._partial, self._is_shown, self._heard = None, False, []
        self._instead = None

    def _retry(self, _: Record, event: k.ModelRetrying) -> Iterable[AgentEvent]:
        self._partial, self._heard = None, []
        self._instead = event.model or self._instead
        return ()

    def _grow(self, record: Record, event: k.ModelDelta) -> Iterable[AgentEvent]:
        if record.live is not None:
            return self._repeat(event.pieces, record.live)
        partial = self._partial if self._is_shown else None
        if partial is not None and (grown := partial.grown(event.pieces)) is not None:
            return (MessageUpdateEvent("message_update", grown.partial, grown),)
        return self._follow(event.pieces)

    def _repeat(self, pieces: list[k.Piece], live: Any) -> Iterator[AgentEvent]:
        """The host's own events are shown as they are."""
        self._heard += pieces
        for event in live:
            yield from self._update(event)

    def _follow(self, pieces: list[k.Piece]) -> Iterator[AgentEvent]:
        if self._partial is None:
            self._partial = Partial(self._blank())
            for _ in self._partial.read(self._heard):
                pass  # shown already, as the host's own events
        for event in self._partial.read(pieces):
            if self._is_shown:  # as for all but the first
                yield MessageUpdateEvent("message_update", event.partial, event)
            else:
                yield from self._update(event)

    def _update(self, event: AssistantMessageEvent) -> Iterator[AgentEvent]:
        if not self._is_shown and event.partial is not None:
            self._is_shown = True
            shown = event.partial
            if event.type != "start":
                shown = shown.model_copy(update={"content": []})
            yield MessageStartEvent(message=shown)
        if event.type in STREAM_UPDATE_EVENTS and event.partial is not None:
            yield MessageUpdateEvent(message=event.partial, assistant_message_event=event)

    def _blank(self) -> AssistantMessage:
        model = self._instead or self._conversation.settings.model
        message = AssistantMessage(
            stop_reason="stop",
            api=model.get("api"),
            provider=model.get("provider"),
            model=model.get("id"),
        )
        message.usage = public_usage(None)  # assigned, for a constructor copies what it gets
        return message

    def _close(
        self, record: Record, event: k.ModelFinished | k.ModelFailed
    ) -> Iterator[AgentEvent]:
        message = self._bodies.answer(record.cause)
        if self._partial is not None and isinstance(event, k.ModelFinished):
            self._partial.finish(message.stop_reason, message.usage)
            for update in self._partial.close():
                yield from self._update(update)
        self._partial = None
        self._calls = [ref.id for ref in event.calls] if isinstance(event, k.ModelFinished) else []
        self._started, self._results, self._shown = set(), {}, []
        self._terminating = set()
        yield from self._say(message)

    def _say(self, message: AssistantMessage) -> Iterator[AgentEvent]:
        if not self._is_shown:
            yield MessageStartEvent(message=message)
        self._is_shown = False
        self._answer = message
        self.new_messages.append(message)
        yield MessageEndEvent(message=message)

    # Tools

    def _asked(self, _: Record, event: k.HostAsked) -> Iterable[AgentEvent]:
        call_id = event.call_id if event.hook == BEFORE else None
        return () if call_id is None else self._start(call_id)

    def _answered(self, _: Record, event: k.HostAnswered | k.HostFailed) -> Iterable[AgentEvent]:
        if event.hook == AFTER:
            return self._revise(event)
        if isinstance(event, k.HostAnswered) and event.hook == BEFORE and event.terminate:
            self._terminating.add(event.call_id or "")
        return ()

    def _request(self, _: Record, event: k.ToolRequested) -> Iterator[AgentEvent]:
        return self._start(event.call_id)

    def _start(self, call_id: str) -> Iterator[AgentEvent]:
        if call_id not in self._started:
            self._started.add(call_id)
            name, args = self._call(call_id)
            yield ToolExecutionStartEvent(tool_call_id=call_id, tool_name=name, args=args)

    def _call(self, call_id: str) -> tuple[str, JsonObject]:
        call = self._conversation.calls.get(call_id)
        if call is None:
            return "(lost)", {}  # the answer that made it is, in a log that was repaired
        return call.name, arguments_of(call.arguments) or {}

    def _progress(self, _: Record, event: k.ToolProgressed) -> Iterator[AgentEvent]:
        if event.call_id not in self._started:  # a function of the host runs the batch
            for call_id in self._calls:
                yield from self._start(call_id)
        name, args = self._call(event.call_id)
        yield ToolExecutionUpdateEvent(
            tool_call_id=event.call_id,
            tool_name=name,
            args=args,
            partial_result=AgentToolResult(
                content=list(blocks_of(restored(event.content))),
                details=restored(event.details) or {},
            ),
        )

    def _return(self, record: Record, event: CallEnd) -> Iterator[AgentEvent]:
        name, _ = self._call(event.call_id)
        yield from self._start(event.call_id)
        told = self._conversation.worded(event)
        self._results[event.call_id] = result_of(
            record, told, name, is_last=event.call_id in self._terminating
        )
        if (
            len(self._results) == len(self._calls)
            and AFTER not in self._conversation.settings.hooks
        ):
            yield from self._show_results()

    def _reconcile(self, record: Record, event: k.ToolReconciled) -> Iterable[AgentEvent]:
        return self._return(record, event) if event.outcome == "done" else ()

    def _revise(self, event: k.HostAnswered | k.HostFailed) -> Iterator[AgentEvent]:
        result = self._results.get(event.call_id or "")
        if result is None:
            return
        changed = self._results[result.call_id] = revised(result, event)
        self._bodies.revise(changed)
        yield from self._show_result(result.call_id)

    def _show_results(self) -> Iterator[AgentEvent]:
        for call_id in self._calls:
            yield from self._show_result(call_id)

    def _show_result(self, call_id: str) -> Iterator[AgentEvent]:
        result = self._results.pop(call_id, None)
        if result is None:
            return
        message = self._bodies.of(result)
        assert isinstance(message, ToolResultMessage)
        name, args = self._call(call_id)
        given = AgentToolResult(
            content=message.content, details=message.details, terminate=message.terminate
        )
        self._shown.append(message)
        self.new_messages.append(message)
        yield ToolExecutionEndEvent(
            tool_call_id=call_id,
            tool_name=name,
            result=given,
            is_error=message.is_error,
            args=args,
        )
        yield MessageStartEvent(message=message)
        yield MessageEndEvent(message=message)

    # Ends

    def _end_turn(self, _: Record, __: k.TurnEnded) -> Iterator[AgentEvent]:
        yield from self._show_results()
        self._in_turn = False
        yield TurnEndEvent(message=self._answer, tool_results=self._shown)
        self._calls, self._shown = [], []

    def _end_run(self, record: Record, _: k.RunEnded) -> Iterator[AgentEvent]:
        """A run that did not end with an answer ends with a message that says why."""
        closing = self._conversation.closings.made.get(record.seq)
        if closing is not None:
            message = self._bodies.closing(record.seq, closing)
            yield from self._open_turn()
            yield from self._say(message)
            yield TurnEndEvent(message=message, tool_results=[])
        elif self._in_turn:
            yield TurnEndEvent(message=self._answer, tool_results=[])
        self._in_turn = self._in_run = False
        yield AgentEndEvent(messages=self.new_messages)

    _showing: ClassVar[dict[type[Event], Showing]] = {
        k.UserSaid: _hear,
        k.UserContinued: _go_on,
        k.UserDelivered: _deliver,
        k.ModelRequested: _ask,
        k.ModelRetrying: _retry,
        k.ModelDelta: _grow,
        k.ModelFinished: _close,
        k.ModelFailed: _close,
        k.OutputRejected: _reject,
        k.HostAsked: _asked,
        k.HostAnswered: _answered,
        k.HostFailed: _answered,
        k.ToolRequested: _request,
        k.ToolProgressed: _progress,
        k.ToolFinished: _return,
        k.ToolFailed: _return,
        k.ToolBlocked: _return,
        k.ToolSettled: _return,
        k.ToolReconciled: _reconcile,
        k.TurnEnded: _end_turn,
        k.RunEnded: _end_run,
        k.SessionResumed: _reopen,
        k.DiagnosticReported: _report,
    }
    """What shows a record of each kind that is seen."""
