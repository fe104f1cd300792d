"""What happens to a tool call between the answer that made it and its end."""

from __future__ import annotations

from typing import Any, Literal

from tinyagent.events.fact import Barrier, Content, Effect, Fact, Failure


class ApprovalRequested(Fact, frozen=True):
    """A call waits for a person. ``args``: digest of its arguments; an approval is bound to it."""

    kind = "approval.requested"
    emitter = "agent"
    call_id: str
    args: str
    attempt: int = 1


class ApprovalDecided(Fact, frozen=True):
    """Somebody allowed or refused one attempt of one call. ``by``: who. ``why``: for the model."""

    kind = "approval.decided"
    emitter = "host"
    call_id: str
    args: str
    approved: bool
    by: str = "host"
    attempt: int = 1
    why: str = ""


class ToolBlocked(Fact, frozen=True):
    """The call ends here; the tool never ran."""

    kind = "tool.blocked"
    emitter = "agent"
    call_id: str
    by: Literal["hook", "limit", "cancel", "approval"]
    content: Content = ""
    ok: bool = False
    details: dict[str, Any] | None = None
    terminate: bool = False


class ToolRequested(Fact, frozen=True):
    """A tool shall run. ``arguments`` only if they are not those that the model gave."""

    kind = "tool.requested"
    emitter = "agent"
    call_id: str
    name: str
    attempt: int = 1
    arguments: dict[str, Any] | None = None


class ToolStarted(Fact, frozen=True):
    """The tool is about to run. Durable first, if it may change the world."""

    kind = "tool.started"
    emitter = "tools"
    call_id: str
    effect: Effect
    attempt: int = 1

    @property
    def barrier(self) -> Barrier:  # type: ignore[override] # its kind alone does not say
        """As safe as what it does is dangerous."""
        return "durable" if self.effect in ("idempotent", "write") else "written"


class ToolProgressed(Fact, frozen=True):
    """A running tool had something to say."""

    kind = "tool.progressed"
    emitter = "tools"
    call_id: str
    content: Content = ""
    details: dict[str, Any] | None = None


class ToolFinished(Fact, frozen=True):
    """The tool gave its result. ``terminate``: no further model call after this batch."""

    kind = "tool.finished"
    emitter = "tools"
    call_id: str
    content: Content = ""
    details: dict[str, Any] | None = None
    terminate: bool = False


class ToolFailed(Fact, frozen=True):
    """The tool failed, or could not be run: unknown tool and bad arguments are ``invalid``."""

    kind = "tool.failed"
    emitter = "tools"
    call_id: str
    failure: Failure


class ToolInDoubt(Fact, frozen=True):
    """A tool that may change the world was cut off: nobody knows whether it did.

    ``content``: what the model is told if nobody decides otherwise. ``asks``: the tool can say
    what came of it, and is asked first.
    """

    kind = "tool.in_doubt"
    emitter = "tools"
    call_id: str
    why: Literal["stopped", "cancelled", "timeout"]
    attempt: int = 1
    content: Content = ""
    asks: bool = False


class ToolReconciled(Fact, frozen=True):
    """The tool was asked what became of a doubtful call of it; ``done`` ends the call."""

    kind = "tool.reconciled"
    emitter = "tools"
    call_id: str
    outcome: Literal["done", "not_done", "unknown"]
    content: Content = ""


class ToolSettled(Fact, frozen=True):
    """A doubtful call ends without another run. ``content``: what the model is told."""

    kind = "tool.settled"
    emitter = "agent"
    call_id: str
    outcome: Literal["done", "failed", "unknown"]
    by: Literal["host", "policy"]
    content: Content = ""
