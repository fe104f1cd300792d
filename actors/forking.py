"""Where a log can be cut, and what a fork says behind the cut. Pure.

A cut may fall between any two records, but not where a tool has started and not ended, an answer
is half streamed, or a call waits for a person: those cannot be shared. There it moves to the
nearest earlier record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tinyagent.events import Event, Record, kinds as k
from tinyagent.events.children import own

_ENDS = (k.ToolFinished, k.ToolFailed, k.ToolBlocked, k.ToolSettled)


class Edit(msgspec.Struct, frozen=True):
    """One difference between a fork and its parent; made by ``tinyagent.edits``."""

    told: list[Any]


class Said(msgspec.Struct, frozen=True):
    """What a fork says first, and which record of the parent it says it instead of."""

    event: Event
    cause: int
    instead: int


class Plan(msgspec.Struct, frozen=True):
    """How a fork begins.

    Attributes:
        at: the last record shared. wanted: where the cut was asked for, counting the edits.
        because: why it moved; empty if it did not.
        said: what stands in the place of records of the parent, then what is new.
    """

    at: int
    wanted: int
    because: str
    said: list[Said]
    edits: list[list[Any]]


def planned(records: Sequence[Record], at: int, edits: Sequence[Edit] = ()) -> Plan:
    """Return how a fork begins that shares *records* up to *at*, but for *edits*.

    Raises:
        ValueError: there is no such record, or nothing of the kind that an edit is about.
    """
    last = records[-1].seq if records else 0
    if not 1 <= at <= last:
        there = f"1 to {last}" if last else "none"
        raise ValueError(f"there is no record {at} to fork at; the log has {there}")
    shared = [record for record in records if record.seq <= at]
    ours = list(own(shared))  # what an agent below said or did cannot be edited
    said = [made for edit in edits if (made := _said(edit.told, ours)) is not None]
    said.sort(key=lambda made: made.instead or at + 1)
    wanted = min([at, *(made.instead - 1 for made in said if made.instead)])
    replaced = {made.event.call_id for made in said if isinstance(made.event, k.ToolFinished)}
    cut, because = _quiet(shared, wanted, replaced)
    if cut < 1:
        raise ValueError("nothing is left to share before that edit")
    return Plan(cut, wanted, because, said, [edit.told for edit in edits])


def _said(told: list[Any], shared: Sequence[Record]) -> Said | None:
    match told:
        case ["tool_result", str(call_id), content]:
            return _result(call_id, content, shared)
        case ["user_said", content]:
            for record in reversed(shared):
                if isinstance(record.event, k.UserSaid) and record.event.message is None:
                    event = k.UserSaid(content, record.event.via)
                    return Said(event, 0, record.seq)
            raise ValueError("nobody said anything before the cut; edits.user_said has no place")
        case ["drop" | "replace" | "pin", int(seq), *_]:
            if all(record.seq != seq for record in shared):
                raise ValueError(f"record {seq} is not before the cut; {told[0]} has no place")
            return Said(k.ContextEdited([told], "user" if told[0] == "pin" else "fork"), 0, 0)
        case _:
            return None  # of the configuration: read from session.forked


def _result(call_id: str, content: Any, shared: Sequence[Record]) -> Said:
    requested = 0
    for record in reversed(shared):
        event = record.event
        if getattr(event, "call_id", None) != call_id:
            continue
        if isinstance(event, _ENDS):
            cause = _requested(call_id, shared) or record.cause
            return Said(k.ToolFinished(call_id, content), cause, record.seq)
        if isinstance(event, k.ToolRequested):
            requested = record.seq
            break
    if not requested:
        known = dict.fromkeys(
            record.event.call_id for record in shared if isinstance(record.event, k.ToolRequested)
        )
        raise ValueError(
            f"no call {call_id!r} before the cut (calls there: {', '.join(known) or 'none'})"
        )
    return Said(k.ToolFinished(call_id, content), requested, 0)


def _requested(call_id: str, shared: Sequence[Record]) -> int:
    for record in reversed(shared):
        if isinstance(record.event, k.ToolRequested) and record.event.call_id == call_id:
            return record.seq
    return 0


def _quiet(shared: Sequence[Record], wanted: int, replaced: set[str]) -> tuple[int, str]:
    """Return the last record up to *wanted* behind which a cut may fall, and why not there."""
    busy: dict[str, str] = {}
    quiet = 0
    for record in shared:
        if record.seq > wanted:
            break
        match record.event:
            case k.ToolStarted(call_id=call_id) if call_id not in replaced:
                busy[call_id] = f"call {call_id} was running"
            case k.ToolInDoubt(call_id=call_id) if call_id not in replaced:
                busy[call_id] = f"call {call_id} was in doubt"
            case k.ApprovalRequested(call_id=call_id) if call_id not in replaced:
                busy[call_id] = f"call {call_id} waited for an approval"
            case k.ChildStarted(child=child):
                busy[child] = f"{child} was running"
            case k.ChildEnded(child=child):
                busy.pop(child, None)
            case k.ModelDelta():
                busy[""] = f"the answer to record {record.cause} was half streamed"
            case k.ModelFinished() | k.ModelFailed() | k.ModelRetrying():
                busy.pop("", None)
            case k.ToolFinished(call_id=call_id) | k.ToolFailed(call_id=call_id):
                busy.pop(call_id, None)
            case k.ToolBlocked(call_id=call_id) | k.ToolSettled(call_id=call_id):
                busy.pop(call_id, None)
            case k.ToolReconciled(call_id=call_id) | k.ApprovalDecided(call_id=call_id):
                busy.pop(call_id, None)
            case k.ToolRequested(call_id=call_id):
                busy.pop(call_id, None)
            case _:
                pass
        if not busy:
            quiet = record.seq
    return quiet, "" if quiet == wanted else "; ".join(busy.values())
