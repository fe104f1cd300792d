"""What models are shown of a conversation, as the host edits it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tinyagent._config.checks import check_edits
from tinyagent.actors.forking import Edit
from tinyagent.events import kinds as k
from tinyagent.events.context import unit_of
from tinyagent.events.messages import Message
from tinyagent.runtime.stores import as_record

if TYPE_CHECKING:
    from tinyagent._run.binding import Binding

_ANSWERS = (k.ModelDelta, k.ModelFinished, k.ModelFailed)


class Edited(msgspec.Struct, frozen=True):
    """An edit that was made.

    Attributes:
        seq: its record; ``edits.undo(seq)`` takes it back.
        moved: what else it is about than was asked for, since a call and its result are never
            parted; empty if nothing.
    """

    seq: int
    moved: str = ""


def edited(binding: Binding, edits: Sequence[Edit], why: str = "user") -> list[Edited]:
    """Record *edits*, each on its own; return what was made of them.

    Raises:
        LookupError: an edit is about a record that said no message, or that is no such edit.
        ValueError: it is none of the context. TypeError: it is none at all.
    """
    check_edits(edits)
    binding.open()
    conversation = binding.session.conversation
    made: list[tuple[list[Any], str]] = []
    for edit in edits:
        match edit.told:
            case ["drop" | "replace" | "pin" as name, int(n), *rest]:
                seq = _message_at(binding, n)
                moved = "" if name == "replace" else _moved(conversation.messages, name, seq)
                made.append(([name, seq, *rest], moved))
            case ["undo", int(n)]:
                if not conversation.layer.is_edit(n):
                    raise LookupError(f"record {n} is no edit of the context: nothing to undo")
                made.append((edit.told, ""))
            case ["compact", int()]:
                made.append((edit.told, ""))
            case told:
                raise ValueError(
                    f"edits.{told[0]} is for a fork; the context takes drop, replace, pin, undo"
                )
    return [_record(binding, op, why, moved) for op, moved in made]


def _record(binding: Binding, op: list[Any], why: str, moved: str) -> Edited:
    record = binding.session.append(k.ContextEdited([op], why))
    if moved:
        binding.session.report("context.moved", moved)
    return Edited(record.seq, moved)


def _message_at(binding: Binding, n: int) -> int:
    """Return the number by which the message that record *n* said is known.

    An answer is known by its request; any record of it will do.
    """
    messages = binding.session.conversation.messages
    known = {message.seq for message in messages}
    if n in known:
        return n
    stored = next(iter(binding.session.log.read(n, n)), None) if n > 0 else None
    if stored is not None:
        record = as_record(stored)
        if isinstance(record.event, _ANSWERS) and record.cause in known:
            return record.cause
    there = ", ".join(str(seq) for seq in sorted(known)) or "none"
    raise LookupError(f"record {n} said no message of the conversation (those that did: {there})")


def _moved(messages: Sequence[Message], name: str, seq: int) -> str:
    others = sorted(unit_of(messages, seq) - {seq})
    if not others:
        return ""
    told = ", ".join(str(other) for other in others)
    return f"{name} {seq} is about {told} too: a call and its result are not parted"
