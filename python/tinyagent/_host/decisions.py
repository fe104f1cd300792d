"""What only a person can decide: what became of a doubtful call, and whether a call may run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from tinyagent._host.host import parsed_or_empty
from tinyagent._reading.state import awaited
from tinyagent.actors.context import Ctx, current_ctx, idempotency_key
from tinyagent.agent_types import AgentTool
from tinyagent.events import Conversation, Event, Record, kinds as k
from tinyagent.runtime.loops import Live


class Decision(msgspec.Struct, frozen=True):
    """What shall become of a doubtful call. Made by the methods of ``UnknownOutcome``."""

    decide: Literal["done", "failed", "tell", "again", "wait"]
    content: k.Content | None = None


class UnknownOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool that may change the world, of which nobody knows what came.

    Attributes:
        why: ``stopped``: the process ended while it ran. ``timeout``: it took too long.
        idempotency_key: what the tool was given as its key; ask the service about it.
    """

    call_id: str
    name: str
    arguments: dict[str, Any]
    attempt: int
    why: str
    idempotency_key: str

    def done(self, result: str) -> Decision:
        """It took effect; the model gets *result*."""
        return Decision("done", result)

    def failed(self, why: str) -> Decision:
        """It did not take effect; the model is told *why*."""
        return Decision("failed", why)

    def tell(self) -> Decision:
        """Nobody knows: the model is told that."""
        return Decision("tell")

    def again(self) -> Decision:
        """Run it once more, although it may have taken effect."""
        return Decision("again")

    def wait(self) -> Decision:
        """Decide later: the run is paused."""
        return Decision("wait")


class PendingApproval(msgspec.Struct, frozen=True, kw_only=True):
    """A call that runs only if a person allows it."""

    call_id: str
    name: str
    arguments: dict[str, Any]
    attempt: int


OnUnknown = Callable[[UnknownOutcome], Any]
"""Returns a ``Decision``, or a coroutine that does; None waits."""
OnApproval = Callable[[PendingApproval], Any]
"""Returns whether the call may run, or None to decide later; or a coroutine that does."""

Rule = Callable[[Ctx[Any], dict[str, Any]], Any]
"""A tool's own rule: returns whether the call waits for a person; or a coroutine that does."""


class Decisions:
    """The calls of one session that wait for a person; a reader of its journal."""

    kinds = frozenset(
        {
            k.ToolInDoubt.kind,
            k.ApprovalRequested.kind,
            k.ApprovalDecided.kind,
            k.ToolBlocked.kind,
        }
    )

    def __init__(self, conversation: Conversation, log_id: str) -> None:
        self.on_unknown: OnUnknown | None = None
        self.on_approval: OnApproval | None = None
        self.rule_of: Callable[[str], Rule | None] = lambda name: None
        self._conversation = conversation
        self._log_id = log_id
        self._doubts: dict[str, k.ToolInDoubt] = {}
        self._approvals: dict[str, k.ApprovalRequested] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no call waits, or ever was in doubt."""
        return not self._doubts and not self._approvals

    def post(self, record: Record) -> None:
        """Take in a call that waits, or that waits no more."""
        match record.event:
            case k.ToolInDoubt(call_id=call_id) as event:
                self._doubts[call_id] = event
            case k.ApprovalRequested(call_id=call_id) as event:
                self._approvals[call_id] = event
            case k.ApprovalDecided(call_id=call_id) | k.ToolBlocked(call_id=call_id):
                self._approvals.pop(call_id, None)
            case _:
                pass

    def verdict(self, call_id: str, *, approved: bool, by: str, why: str) -> k.ApprovalDecided:
        """Return the event that decides about *call_id*.

        Raises:
            LookupError: it waits for none, or does no more.
        """
        asked = self._approvals.get(call_id)
        if asked is None:
            known = ", ".join(self._approvals) or "none"
            raise LookupError(f"call {call_id!r} waits for no approval (those that do: {known})")
        return k.ApprovalDecided(call_id, asked.args, approved, by, asked.attempt, why)

    async def ask_unknown(self, asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        """Ask what became of a doubtful call.

        Raises:
            TypeError: the host answered something else than a decision.
        """
        assert asked.call_id is not None
        doubt = self._doubts[asked.call_id]
        if self.on_unknown is None:
            return [k.HostAnswered(asked.hook, asked.call_id, decide="wait")]
        decision = await awaited(
            self.on_unknown(
                UnknownOutcome(
                    **self._call(asked.call_id),
                    attempt=doubt.attempt,
                    why=doubt.why,
                    idempotency_key=idempotency_key(self._log_id, asked.call_id),
                )
            )
        )
        if decision is None:
            decision = Decision("wait")
        if not isinstance(decision, Decision):
            raise TypeError(
                f"on_unknown returned {type(decision).__name__}; return call.done(...), "
                "call.failed(...), call.tell(), call.again() or call.wait()"
            )
        decided = k.HostAnswered(
            asked.hook, asked.call_id, decide=decision.decide, content=decision.content
        )
        return [decided]

    async def ask_approval(self, asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        """Ask whether a call may run; without an answer it waits."""
        assert asked.call_id is not None
        answer = k.HostAnswered(asked.hook, asked.call_id)
        rule = self.rule_of(self._conversation.calls[asked.call_id].name)
        if rule is not None:
            call = self._call(asked.call_id)
            if not await awaited(rule(current_ctx(), call["arguments"])):
                decided = self.verdict(asked.call_id, approved=True, by="tool", why="")
                return [decided, answer]
        if self.on_approval is None:
            return [answer]
        attempt = self._approvals[asked.call_id].attempt
        pending = PendingApproval(**self._call(asked.call_id), attempt=attempt)
        approved = await awaited(self.on_approval(pending))
        if approved is None:
            return [answer]
        decided = self.verdict(asked.call_id, approved=bool(approved), by="on_approval", why="")
        return [decided, answer]

    def _call(self, call_id: str) -> dict[str, Any]:
        call = self._conversation.calls[call_id]
        arguments = self._conversation.given.get(call_id)
        if arguments is None:
            arguments = parsed_or_empty(call.arguments)
        return {"call_id": call_id, "name": call.name, "arguments": arguments}


def rule_of(tool: AgentTool) -> Rule | None:
    """Return the function that says which calls of *tool* wait for a person, if it has one."""
    return tool.approval if callable(tool.approval) else None


def rule_in(tools: Sequence[AgentTool] | None, name: str) -> Rule | None:
    """Return the rule of the tool called *name*."""
    return next((rule_of(tool) for tool in tools or () if tool.name == name), None)
