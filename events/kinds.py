"""Every event that can happen, in the order of a turn, and the record that gives it a place.

An event says what is new, once, and is frozen. Its kind is a stable string with an integer
version, never the name of its class; fields are only ever added, with defaults. A field that has
its default is not written. ``content`` is a string, or blocks as in the public messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from tinyagent.events.calls import (
    ApprovalDecided as ApprovalDecided,
    ApprovalRequested as ApprovalRequested,
    ToolBlocked as ToolBlocked,
    ToolFailed as ToolFailed,
    ToolFinished as ToolFinished,
    ToolInDoubt as ToolInDoubt,
    ToolProgressed as ToolProgressed,
    ToolReconciled as ToolReconciled,
    ToolRequested as ToolRequested,
    ToolSettled as ToolSettled,
    ToolStarted as ToolStarted,
)
from tinyagent.events.children import ChildEnded as ChildEnded, ChildStarted as ChildStarted
from tinyagent.events.fact import (
    Barrier as Barrier,
    CallRef as CallRef,
    Content as Content,
    Effect as Effect,
    Event as Event,
    Fact as Fact,
    Failure as Failure,
    FailureKind as FailureKind,
    Piece as Piece,
    Record as Record,
    ToolSpec as ToolSpec,
    UnknownEvent as UnknownEvent,
)
from tinyagent.events.lifecycle import (
    ActorFailed as ActorFailed,
    ConfigChanged as ConfigChanged,
    DiagnosticReported as DiagnosticReported,
    Foreign as Foreign,
    LogLost as LogLost,
    LogRecovered as LogRecovered,
    SessionEnded as SessionEnded,
    SessionForked as SessionForked,
    SessionResumed as SessionResumed,
    SessionStarted as SessionStarted,
    SinkFailed as SinkFailed,
)
from tinyagent.events.timing import TimerFired as TimerFired, TimerSet as TimerSet

# Input: how a session starts and ends is in ``lifecycle``, what happens to a call in ``calls``


class UserSaid(Fact, frozen=True):
    """Somebody outside spoke. A prompt joins the conversation at once, the others when delivered.

    Attributes:
        via: ``prompt``, ``steer`` or ``follow_up``. at_ms: the caller's own stamp.
        message: a message of another role than user, whole.
    """

    kind = "user.said"
    emitter = "host"
    content: Content = ""
    via: Literal["prompt", "steer", "follow_up"] = "prompt"
    at_ms: int | None = None
    message: dict[str, Any] | None = None


class UserContinued(Fact, frozen=True):
    """The agent shall go on without a new message."""

    kind = "user.continued"
    emitter = "host"


class UserWithdrawn(Fact, frozen=True):
    """Queued messages were taken back before they were delivered."""

    kind = "user.withdrawn"
    emitter = "host"
    said: list[int]


class UserDelivered(Fact, frozen=True):
    """Queued messages are part of the conversation from here on."""

    kind = "user.delivered"
    emitter = "agent"
    said: list[int]


class CancelRequested(Fact, frozen=True):
    """Somebody asked the run to stop. Reaches workers past any backlog."""

    kind = "cancel.requested"
    emitter = "host"
    reason: str = "host"


# Host hooks


class HostAsked(Fact, frozen=True):
    """User code that decides is asked."""

    kind = "host.asked"
    emitter = "agent"
    barrier = "written"
    hook: str
    call_id: str | None = None


class HostAnswered(Fact, frozen=True):
    """What the hook answered, each with the fields that are its own.

    Attributes:
        n: messages given by a queue hook. ops: changes of the context, or of the body, for one
            request.
        found: a key was found. stop: whether the run ends after this turn.
        arguments: arguments changed. block: the tool is not run, this is its result.
        skipped: the hook was not called, for the arguments do not fit the tool.
        content, ok, details, terminate: what changed in a result.
        decide: what shall become of a doubtful call.
    """

    kind = "host.answered"
    emitter = "hooks"
    hook: str
    call_id: str | None = None
    n: int = 0
    ops: list[Any] | None = None
    found: bool | None = None
    stop: bool = False
    arguments: dict[str, Any] | None = None
    block: dict[str, Any] | None = None
    skipped: bool = False
    content: Content | None = None
    ok: bool | None = None
    details: dict[str, Any] | None = None
    terminate: bool = False
    decide: Literal["done", "failed", "tell", "again", "wait"] | None = None


class HostFailed(Fact, frozen=True):
    """The hook raised, or answered something that is no answer."""

    kind = "host.failed"
    emitter = "hooks"
    hook: str
    failure: Failure
    call_id: str | None = None


# Model


class ModelRequested(Fact, frozen=True):
    """The agent asks the model. The messages are the fold of the log up to here. ``n``: 1, 2 ..."""

    kind = "model.requested"
    emitter = "agent"
    barrier = "written"
    n: int


class ModelDelta(Fact, frozen=True):
    """Part of an answer, as it arrived. Operations: text think refuse call args sign keep."""

    kind = "model.delta"
    emitter = "model"
    pieces: list[Piece]

    @property
    def text(self) -> str:
        """The text of the answer in this batch."""
        return self._joined("text")

    @property
    def thinking(self) -> str:
        """The reasoning in this batch."""
        return self._joined("think")

    @property
    def arguments(self) -> str:
        """The fragments of tool arguments in this batch."""
        return self._joined("args")

    def __told__(self) -> Iterator[tuple[str, object]]:
        """Yield what it says, joined."""
        for name in ("text", "thinking", "arguments"):
            if joined := getattr(self, name):
                yield name, joined

    def _joined(self, op: str) -> str:
        return "".join([piece[2] for piece in self.pieces if piece[1] == op])


class ModelRetrying(Fact, frozen=True):
    """The request is sent again after ``delay_s``; what the attempt before said is void.

    ``model``: who is asked from now on instead; ``request``: digest of the request to it.
    """

    kind = "model.retrying"
    emitter = "model"
    attempt: int
    failure: Failure
    delay_s: int | float = 0.0
    model: dict[str, Any] | None = None
    request: str = ""


class ModelFinished(Fact, frozen=True):
    """The answer is complete; its text is the deltas.

    Attributes:
        raw: the provider's word, where ``reason`` does not say it. response: its id of the answer.
        usage: tokens; None if the provider sent none. request: digest of what was sent.
    """

    kind = "model.finished"
    emitter = "model"
    reason: Literal["end", "tools", "length", "filtered"]
    calls: list[CallRef] = []
    usage: dict[str, Any] | None = None
    request: str = ""
    response: str | None = None
    raw: str | None = None


class ModelFailed(Fact, frozen=True):
    """No answer came of the request, or an incomplete one."""

    kind = "model.failed"
    emitter = "model"
    failure: Failure
    usage: dict[str, Any] | None = None
    request: str = ""


class OutputRejected(Fact, frozen=True):
    """The answer to model call *n* had not the form that was asked for; the model is told why."""

    kind = "output.rejected"
    emitter = "hooks"
    n: int
    faults: list[str]


# Context, end


class ContextEdited(Fact, frozen=True):
    """The conversation was edited; the originals stay in the log.

    Operations: ``["clear"]``, ``["drop", seq]``, ``["replace", seq, text]``,
    ``["insert", message]`` (at the end). With the reasons ``user`` and ``compact`` only what models
    are shown is edited, and there are ``["pin", seq]``, ``["compact", keep_turns]`` and
    ``["undo", seq]`` of such an edit.
    """

    kind = "context.edited"
    emitter = "host"
    ops: list[list[Any]]
    why: str = "api"


class TurnEnded(Fact, frozen=True):
    """One model call with its tools is over. ``state``: digest of the machine's, every 16th."""

    kind = "turn.ended"
    emitter = "agent"
    n: int
    state: str = ""


class BudgetExceeded(Fact, frozen=True):
    """A limit of the run was reached: which, what was seen, what was allowed."""

    kind = "budget.exceeded"
    emitter = "agent"
    limit: str
    seen: int | float
    max: int | float


class RunEnded(Fact, frozen=True):
    """The agent is idle again. Durable before the answer is released to the caller."""

    kind = "run.ended"
    emitter = "agent"
    barrier = "durable"
    outcome: Literal["answered", "stopped", "failed", "cancelled", "over_budget", "paused"]
    state: str = ""


KINDS: dict[str, type[Fact]] = {cls.kind: cls for cls in Fact.__subclasses__()}
"""Every kind that this release knows, in the order of this file."""
