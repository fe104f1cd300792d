"""What was said so far: the fold of a log that requests, tools and interfaces read.

One fold serves the whole session. It is evolved as each record is posted, so what it holds at
record n is what the records 1..n say. Messages are only ever appended; an edit, and a hook that
changes a result which somebody has a view of, start a new list. So a ``View`` never changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from tinyagent.events import kinds as k
from tinyagent.events.children import MAIN, is_below
from tinyagent.events.closing import Closings
from tinyagent.events.codec import restored
from tinyagent.events.context import LAYERED, Layer
from tinyagent.events.drafts import WholeAnswer, blocks_of
from tinyagent.events.messages import (
    Assistant,
    Block,
    CallEnd,
    Message,
    Outcome,
    Result,
    applied,
    edited,
    message_of,
    rejection,
    result_of,
    revised,
    said_in,
)
from tinyagent.events.settings import Settings, changed, settings_of
from tinyagent.events.settled import NOTHING, Settled, settle, settled
from tinyagent.events.views import Call as Call, Transcript, View as View

_NO_CALLS: frozenset[str] = frozenset()


class Conversation:
    """The fold. ``evolve`` takes the records in order, each once.

    Attributes:
        settings: the configuration in force.
        calls: every tool call of the log, by its id. given: arguments that a hook put in the
            place of the model's, by the same. queued: what waits for its delivery, by number.
        layer: edits of what models are shown. closings: what is said of runs that did not end
            with an answer.
        claimed: call ids of the whole log, each with the agent that has it; owner: this agent.
        asked_n: the ``n`` of the last ``model.requested``.
        kinds: those that change something.
    """

    kinds: frozenset[str]

    def __init__(self) -> None:
        self.configured(Settings())
        self._earlier = NOTHING
        self._messages: list[Message] = []
        self.calls: dict[str, Call] = {}
        self.given: dict[str, dict[str, Any]] = {}
        self._refusals: dict[str, str] = {}
        self._asked = View(self.settings, self._messages, 0)
        self._ops: list[Any] = []
        self._edits: tuple[Any, ...] = ()
        self.queued: dict[int, Message] = {}
        self.closings = Closings()
        self.layer = Layer()
        self._pieces: list[Any] = []  # as of ``blocks_of``
        self._blocks: Sequence[Block] = ()
        self._asked_seq = self.asked_n = 0
        self._numbers: dict[str, int] = {}
        self._instead: dict[str, Any] | None = None
        self.owner = MAIN
        self.claimed: dict[str, str] = {}
        self._batch: dict[str, Result | None] = {}
        self._missing = self._viewed = 0
        self._terminating = _NO_CALLS
        self._is_open = False
        self._inserted: list[Message] = []

    @property
    def messages(self) -> list[Message]:
        """What was said."""
        return self._earlier.recall(self._messages)

    @property
    def asked(self) -> View:
        """What the last ``model.requested`` asked the model to answer."""
        self._earlier.recall(self._messages)
        return self._asked

    def transcript(self) -> Transcript:
        """Return what was said, as of the last record folded."""
        self._viewed = self._earlier.count + len(self._messages)
        return Transcript(self._messages, self._viewed, self._earlier)

    def view(self) -> View:
        """Return the conversation as of the last record folded."""
        self._viewed = len(self.messages)
        return View(self.settings, self._messages, self._viewed)

    def context(self) -> View:
        """Return what a model is shown of it, as of the last record folded."""
        self._earlier.recall(self._messages)
        return View(self.settings, *self._shown())

    def _shown(self) -> tuple[list[Message], int]:
        if self.layer.is_idle:
            self._viewed = self._earlier.count + len(self._messages)
            return self._messages, self._viewed
        shown = self.layer.shown(self.messages)
        return shown, len(shown)

    @property
    def is_settled(self) -> bool:
        """Whether it is not in the midst of a run."""
        return not (self._pieces or self._missing or self._inserted or self.closings.is_in_run)

    def settled(self) -> Callable[[], Settled] | None:
        """Return what makes plain data of it as it is now, in any thread; None in a run."""
        return settled(self) if self.is_settled else None

    def settle(self, told: Settled) -> None:
        """Be what *told* says, instead of a fold that has taken in nothing yet.

        But for ``asked``, which nobody asks for before the next ``model.requested``.
        """
        settle(self, told)

    def evolve(self, record: k.Record) -> None:
        """Take in one record, unless it is of an agent below."""
        if not is_below(record):
            self.post(record)

    def post(self, record: k.Record) -> None:
        """Take in one record of the agent itself. Unknown and irrelevant kinds change nothing."""
        event = record.event
        _TAKES[type(event)](self, record, event)

    def read(self, records: Iterable[k.Record]) -> None:
        """Take in *records* of the agent itself, as ``post`` does."""
        for record in records:
            event = record.event
            _TAKES[type(event)](self, record, event)

    def _ask(self, record: k.Record, event: k.ModelRequested) -> None:
        self.asked_n = event.n
        self._asked_seq, self._is_open = record.seq, True
        self._pieces, self._blocks, self._instead = [], (), None
        self._asked = self._next_asked(record.seq)
        self._numbers[self._model] = self._asked.number
        self._ops, self._edits = [], ()

    def next_asked(self, seq: int) -> View:
        """Return what a ``model.requested`` would ask that was record *seq*."""
        self._earlier.recall(self._messages)
        return self._next_asked(seq)

    def _next_asked(self, seq: int) -> View:
        number = self._numbers.get(self._model, 0) + 1
        messages, length = self._shown()
        if self._ops:
            self._earlier.recall(self._messages)  # in place
            messages = applied(messages[:length], self._ops, seq)
            length = len(messages)
        return View(self.settings, messages, length, self._edits, number)

    def _retry(self, record: k.Record, event: k.ModelRetrying) -> None:
        self._pieces = []
        self._instead = event.model or self._instead

    def _hear(self, record: k.Record, event: k.ModelDelta) -> None:
        for piece in event.pieces:
            self._pieces += piece[:3]

    def _hear_all(self, record: k.Record, event: WholeAnswer) -> None:
        self._blocks = event.blocks

    def _close(self, record: k.Record, event: k.ModelFinished) -> None:
        said, model = self._blocks or blocks_of(self._pieces), self._instead or self.settings.model
        seq, at_ms, reason = self._asked_seq, record.at_ns // 1_000_000, event.reason
        self._append_answer(
            Assistant(seq, tuple(said), model, "ok", reason, event.usage, None, at_ms)
        )
        self._batch, self._terminating = {}, _NO_CALLS
        is_bad = {ref.id: ref.args == "bad" for ref in event.calls}
        has_calls = False
        for block in said:
            if block.op == "call":
                has_calls = True
                if block.id in is_bad:
                    self.calls[block.id] = Call(block.id, block.name, block.text, is_bad[block.id])
                    self._batch[block.id] = None
        self._missing = len(self._batch)
        if not has_calls:
            self._settle()

    def _fail(self, record: k.Record, event: k.ModelFailed) -> None:
        said = self._blocks or blocks_of(self._pieces, is_cut=True)
        model, failure = self._instead or self.settings.model, event.failure
        outcome: Outcome = "cancelled" if failure.kind == "cancelled" else "failed"
        seq, at_ms = self._asked_seq, record.at_ns // 1_000_000
        self._append_answer(
            Assistant(seq, tuple(said), model, outcome, "error", event.usage, failure, at_ms)
        )
        self._settle()
        calls = (block for block in said if block.op == "call")
        self.calls.update((call.id, Call(call.id, call.name, call.text)) for call in calls)

    def _append_answer(self, message: Assistant) -> None:
        """Append what the model has said since it was asked."""
        self._pieces, self._blocks = [], ()
        self.closings.answer = message
        self._messages.append(message)

    def _settle(self) -> None:
        """Nothing is open any more: what was put in meanwhile takes its place."""
        self._is_open = False
        if self._inserted:
            self._messages.extend(self._inserted)
            self._inserted = []

    def _say(self, record: k.Record, event: k.UserSaid) -> None:
        message = said_in(record, event)
        if event.via == "prompt":
            self.closings.begin(self._messages, goes_on=bool(self._missing))
            # Behind the results of a run that was paused before it had them all.
            (self._inserted if self._missing else self._messages).append(message)
        else:
            self.queued[record.seq] = message

    def _go_on(self, record: k.Record, event: k.UserContinued) -> None:
        self.closings.begin(self._messages, goes_on=bool(self._missing))

    def _deliver(self, record: k.Record, event: k.UserDelivered) -> None:
        self._messages.extend(self.queued.pop(seq) for seq in event.said if seq in self.queued)

    def _withdraw(self, record: k.Record, event: k.UserWithdrawn) -> None:
        for seq in event.said:
            self.queued.pop(seq, None)

    def _request(self, record: k.Record, event: k.ToolRequested) -> None:
        if event.arguments is not None:
            self.given[event.call_id] = event.arguments

    def _refuse(self, record: k.Record, event: k.ApprovalDecided) -> None:
        if not event.approved and event.why:
            self._refusals[event.call_id] = event.why

    def _take_answer(self, record: k.Record, event: k.HostAnswered) -> None:
        match event.hook:
            case "before_tool_call":
                self._gate(event)
            case "after_tool_call":
                self._revise(record, event)
            case "context":
                self._ops = event.ops or []
            case "request":
                self._edits = tuple(restored(event.ops or []))
            case _:
                pass

    def _take_failure(self, record: k.Record, event: k.HostFailed) -> None:
        if event.hook == "after_tool_call":
            self._revise(record, event)
        else:
            self._close_run(record, event)

    def _gate(self, event: k.HostAnswered) -> None:
        if event.call_id is not None and event.terminate:
            self._terminating |= {event.call_id}
        if event.call_id is not None and event.arguments is not None:
            self.given[event.call_id] = event.arguments

    def worded(self, event: CallEnd) -> CallEnd:
        """Return *event*; where a person refused the call, with that person's words."""
        if isinstance(event, k.ToolBlocked) and event.by == "approval":
            why = self._refusals.get(event.call_id, event.content)
            return msgspec.structs.replace(event, content=why)
        return event

    def _return(self, record: k.Record, event: CallEnd) -> None:
        """Results join the conversation together, in call order, when the last one is there."""
        call = self.calls.get(event.call_id)
        if call is None or self._batch.get(event.call_id, call) is not None:
            return
        is_last = event.call_id in self._terminating
        self._batch[event.call_id] = result_of(record, event, call.name, is_last=is_last)
        self._missing -= 1
        if not self._missing:
            self._show_results()

    def _block(self, record: k.Record, event: k.ToolBlocked) -> None:
        self._return(record, self.worded(event))

    def _reconcile(self, record: k.Record, event: k.ToolReconciled) -> None:
        if event.outcome == "done":
            self._return(record, event)

    def _show_results(self) -> None:
        self._messages += [result for result in self._batch.values() if result is not None]
        self._settle()

    def _end_turn(self, record: k.Record, event: k.TurnEnded) -> None:
        if self._missing:  # the host ran the batch itself, and left out some
            self._batch = {call_id: r for call_id, r in self._batch.items() if r is not None}
            self._missing = 0
            self._show_results()

    def _close_run(
        self, record: k.Record, event: k.HostFailed | k.BudgetExceeded | k.RunEnded
    ) -> None:
        self.closings.evolve(record, self._messages, self.settings.model)

    def _reject(self, record: k.Record, event: k.OutputRejected) -> None:
        self.closings.evolve(record, self._messages, self.settings.model)
        self._messages.append(rejection(record, event.faults))
        self.layer.corrections |= {record.seq}

    def _revise(self, record: k.Record, event: k.HostAnswered | k.HostFailed) -> None:
        for at in reversed(range(len(self.messages))):
            result = self._messages[at]
            if isinstance(result, Result) and result.call_id == event.call_id:
                if at < self._viewed:
                    self._replace(list(self._messages))
                self._messages[at] = revised(result, event)
                return

    def _replace(self, messages: list[Message]) -> None:
        """Go on with a list of its own; views keep the one that they were taken of."""
        self._messages, self._viewed = messages, 0

    def _configure(self, record: k.Record, event: k.SessionStarted | k.ConfigChanged) -> None:
        if isinstance(event, k.SessionStarted):
            self.configured(settings_of(event))
        else:
            self.configured(changed(self.settings, event.set))

    def configured(self, settings: Settings) -> None:
        """Let *settings* be in force."""
        self.settings = settings
        model = settings.model  # of an imported log its values may be anything
        self._model = f"{model.get('provider')}:{model.get('id')}"

    def _edit(self, record: k.Record, event: k.ContextEdited) -> None:
        if event.why in LAYERED:
            self.layer.take(record, self.messages)
            return
        self.closings.evolve(record, self._messages, self.settings.model)
        match event.ops:
            case [["insert", dict(message)]] if self._is_open:
                self._inserted.append(message_of(message, record.seq))
            case ops:
                self._replace(edited(self.messages, ops, record.seq))


_TAKES: defaultdict[type, Callable[[Conversation, k.Record, Any], None]] = defaultdict(
    lambda: lambda *_: None,
    {
        k.SessionStarted: Conversation._configure,
        k.ConfigChanged: Conversation._configure,
        k.ContextEdited: Conversation._edit,
        k.UserSaid: Conversation._say,
        k.UserContinued: Conversation._go_on,
        k.UserDelivered: Conversation._deliver,
        k.UserWithdrawn: Conversation._withdraw,
        k.ModelRequested: Conversation._ask,
        k.ModelRetrying: Conversation._retry,
        k.ModelDelta: Conversation._hear,
        WholeAnswer: Conversation._hear_all,
        k.ModelFinished: Conversation._close,
        k.ModelFailed: Conversation._fail,
        k.ToolRequested: Conversation._request,
        k.ToolFinished: Conversation._return,
        k.ToolFailed: Conversation._return,
        k.ToolBlocked: Conversation._block,
        k.ToolSettled: Conversation._return,
        k.ToolReconciled: Conversation._reconcile,
        k.ApprovalDecided: Conversation._refuse,
        k.HostAnswered: Conversation._take_answer,
        k.HostFailed: Conversation._take_failure,
        k.OutputRejected: Conversation._reject,
        k.TurnEnded: Conversation._end_turn,
        k.BudgetExceeded: Conversation._close_run,
        k.RunEnded: Conversation._close_run,
    },
)
"""What a record changes, by its event; all others change nothing."""
Conversation.kinds = frozenset(kind for kind, cls in k.KINDS.items() if cls in _TAKES)
