"""What people ask a log first: its tool calls, what it cost, how it ended. Pure folds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from tinyagent._reading.partial import arguments_of
from tinyagent.events import Conversation, Failure, Record, kinds as k
from tinyagent.events.codec import restored
from tinyagent.events.conversations import Conversations
from tinyagent.events.lifecycle import SessionForked
from tinyagent.events.messages import result_of
from tinyagent.events.work import CALL_ENDS, REQUESTS, field, is_end

Status: TypeAlias = Literal[
    "empty",
    "running",
    "crashed",
    "forked",
    "answered",
    "stopped",
    "failed",
    "cancelled",
    "over_budget",
    "paused",
]


class RecordedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call, as far as its log tells.

    Attributes:
        arguments: what the tool was, or would be, given; None if the model wrote no JSON object.
        effect: as the tool declared it; empty if nobody knows the tool.
        outcome: the last thing that happened to the call: ``called`` by the model, ``requested``,
            ``started``, ``blocked``, ``finished``, ``failed``, ``in_doubt``, ``settled`` ...
        content: what the call gave; of a failed one, why. None before its end.
        called, requested, started, ended: numbers of these records; 0 where there is none.
        called_ns, started_ns, ended_ns: their times, 0 likewise.
    """

    call_id: str
    name: str
    arguments: dict[str, Any] | None = None
    effect: str = ""
    outcome: str = "called"
    content: k.Content | None = None
    failure: Failure | None = None
    attempts: int = 0
    called: int = 0
    requested: int = 0
    started: int = 0
    ended: int = 0
    called_ns: int = 0
    started_ns: int = 0
    ended_ns: int = 0

    @property
    def took_s(self) -> float | None:
        """Seconds from its start, or from the model's call where it never started, to its end."""
        began_ns = self.started_ns or self.called_ns
        return (self.ended_ns - began_ns) / 1e9 if self.ended and began_ns else None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens, summed over all answers. ``untold``: answers whose provider told nothing."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    total_tokens: int = 0
    answers: int = 0
    untold: int = 0


def tool_calls(records: Iterable[Record]) -> dict[str, RecordedCall]:
    """Return every tool call by its id, in the order in which the model made them."""
    conversations = Conversations()
    found: dict[str, RecordedCall] = {}
    for record in records:
        conversation = conversations.evolve(record)
        event = record.event
        if isinstance(event, k.ModelFinished):
            for ref in event.calls:
                found[ref.id] = _called(ref, record, conversation)
        call_id = field(event, "call_id")
        if isinstance(call_id, str) and event.kind.startswith("tool."):
            if isinstance(event, k.ToolBlocked):
                record = msgspec.structs.replace(record, event=conversation.worded(event))
            call = found.get(call_id) or RecordedCall(call_id=call_id, name="")
            found[call_id] = _evolved(call, record)
    return found


def _called(ref: k.CallRef, record: Record, conversation: Conversation) -> RecordedCall:
    call = conversation.calls.get(ref.id)
    tools = conversation.settings.tools
    effect = next((tool.effect for tool in tools if tool.name == ref.name), "")
    return RecordedCall(
        call_id=ref.id,
        name=ref.name,
        arguments=arguments_of(call.arguments) if call is not None and not call.bad else None,
        effect=effect,
        called=record.seq,
        called_ns=record.at_ns,
    )


def _evolved(call: RecordedCall, record: Record) -> RecordedCall:
    event = record.event
    if event.kind == k.ToolProgressed.kind:
        return call
    changes: dict[str, Any] = {"outcome": event.kind.partition(".")[2]}
    match event:
        case k.ToolRequested():
            changes |= {"requested": record.seq, "name": event.name, "attempts": event.attempt}
            if event.arguments is not None:
                changes["arguments"] = restored(event.arguments)
        case k.ToolStarted():
            changes |= {"started": record.seq, "started_ns": record.at_ns, "effect": event.effect}
            changes["attempts"] = event.attempt
        case _ if event.kind in CALL_ENDS and is_end(event):
            changes |= {"ended": record.seq, "ended_ns": record.at_ns, **_given(call, record)}
        case _ if event.kind in CALL_ENDS and field(event, "outcome") != "not_done":
            changes["outcome"] = "in_doubt"  # who was asked does not know either
        case _:
            pass
    return msgspec.structs.replace(call, **changes)


def _given(call: RecordedCall, record: Record) -> dict[str, Any]:
    match record.event:
        case k.ToolFinished() | k.ToolFailed() | k.ToolBlocked() | k.ToolSettled() as event:
            content = result_of(record, event, call.name).content
            return {"content": content, "failure": field(event, "failure")}
        case event:
            return {"content": restored(field(event, "content")) or ""}


def usage_of(records: Iterable[Record]) -> Usage:
    """Return what all answers together cost."""
    told = {"input": 0, "output": 0, "cache_read": 0, "cache_write": 0, "total": 0}
    answers = untold = 0
    for record in records:
        if not isinstance(record.event, k.ModelFinished | k.ModelFailed):
            continue
        answers += 1
        usage = record.event.usage
        if not usage:
            untold += 1
            continue
        total = usage.get("total") or usage.get("input", 0) + usage.get("output", 0)
        for name, value in {**usage, "total": total}.items():
            if name in told and isinstance(value, int):
                told[name] += value
    summed: dict[str, Any] = {f"{name}_tokens": value for name, value in told.items()}
    return Usage(**summed, answers=answers, untold=untold)


def status_of(records: Sequence[Record], *, is_live: bool) -> Status:
    """Return how the last run ended, or how it stands: it goes on only if *is_live*."""
    for record in reversed(records):
        match record.event:
            case k.RunEnded(outcome=outcome):
                return outcome
            case k.UserContinued() | k.UserSaid(via="prompt"):
                return "running" if is_live else _cut_off(records)
            case event if event.kind in REQUESTS and event.kind != k.CancelRequested.kind:
                return "running" if is_live else _cut_off(records)
            case _:
                pass
    return "empty"


def _cut_off(records: Sequence[Record]) -> Literal["crashed", "forked"]:
    """Return by what a run has no end: a crash, or a fork's cut from where nobody went on yet."""
    for record in reversed(records):
        if isinstance(record.event, SessionForked):
            return "forked"
        if record.event.kind in REQUESTS or isinstance(record.event, k.TurnEnded):
            break
    return "crashed"
