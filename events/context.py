"""What a model is shown of the conversation: a fold beside it, of edits that can be undone. Pure.

The conversation itself is not touched: people see all of it, and so does the log. An edit is
known by the number of its record. A call and its result are never parted: what is said about one
message of an answer with calls goes for the answer and all results of its calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tinyagent.events import kinds as k
from tinyagent.events.messages import Assistant, Custom, Message, Result, User, reworded

if TYPE_CHECKING:
    from tinyagent.events.settled import Settled

LAYERED = frozenset({"user", "compact"})
"""Reasons of a ``context.edited`` that changes what models are shown, and nothing else."""

NONE: frozenset[int] = frozenset()
"""Held by all who have none: an empty set of one's own takes more than most messages."""


class Layer:
    """The edits. ``take`` gets the records in order, with the conversation as of each.

    Attributes:
        corrections: messages of users that are part of the run they stand in, by number.
    """

    def __init__(self) -> None:
        self.corrections = NONE
        self._edits: dict[int, list[list[Any]]] = {}
        self._compacted: dict[int, frozenset[int]] = {}
        self._dropped = self._pinned = NONE
        self._texts: dict[int, tuple[str, int]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether models are shown everything as it was said."""
        return not self._dropped and not self._texts

    @property
    def is_blank(self) -> bool:
        """Whether nothing was edited."""
        return not (self._edits or self.corrections)

    def take(self, record: k.Record, messages: Sequence[Message]) -> None:
        """Take in one edit."""
        event = record.event
        assert isinstance(event, k.ContextEdited)
        ops: list[list[Any]] = []
        for op in event.ops:
            match op:
                case ["compact", int(keep_turns)]:
                    self._compacted[record.seq] = self._compact(messages, keep_turns)
                    ops.append(op)
                case ["drop" | "pin", int(seq)]:
                    ops += ([op[0], each] for each in sorted(unit_of(messages, seq)))
                case _:
                    ops.append(op)
        self._edits[record.seq] = ops
        self._fold()

    def told(self) -> dict[str, Any]:
        """Return what is known, as fields of ``Settled``."""
        return {
            "edits": dict(self._edits),
            "compacted": {seq: sorted(gone) for seq, gone in self._compacted.items()},
            "corrections": sorted(self.corrections),
        }

    def take_up(self, told: Settled) -> None:
        """Know what ``told`` told."""
        self.corrections, self._edits = frozenset(told.corrections), told.edits
        self._compacted = {seq: frozenset(gone) for seq, gone in told.compacted.items()}
        self._fold()

    def shown(self, messages: Sequence[Message]) -> list[Message]:
        """Return *messages* as a model is shown them."""
        out: list[Message] = []
        gone: set[str] = set()
        for message in messages:
            if message.seq in self._dropped:
                gone.update(calls_of(message))
            elif isinstance(message, Result) and message.call_id in gone:
                continue  # it came when its call was dropped already
            elif message.seq in self._texts:
                out.append(reworded(message, *self._texts[message.seq]))
            else:
                out.append(message)
        return out

    def is_edit(self, seq: int) -> bool:
        """Whether record *seq* is an edit of this kind."""
        return seq in self._edits

    def _fold(self) -> None:
        undone: set[int] = set()
        for seq, ops in reversed(self._edits.items()):
            if seq not in undone:
                undone.update(op[1] for op in ops if op[0] == "undo")
        self._dropped, self._pinned, self._texts = NONE, NONE, {}
        for seq, ops in self._edits.items():
            for op in ops if seq not in undone else ():
                match op:
                    case ["drop", int(about)]:
                        self._dropped |= {about}
                    case ["pin", int(about)]:
                        self._pinned |= {about}
                    case ["replace", int(about), str(text)]:
                        self._texts[about] = text, seq
                    case ["compact", _]:
                        self._dropped |= self._compacted[seq]
                    case _:
                        pass

    def _compact(self, messages: Sequence[Message], keep_turns: int) -> frozenset[int]:
        return compacted(messages, keep_turns, self._pinned, self.corrections)


def unit_of(messages: Sequence[Message], seq: int) -> frozenset[int]:
    """Return the numbers of the messages that cannot be parted from message *seq*, itself too."""
    about = [message for message in messages if message.seq == seq]
    calls = {call for message in about for call in calls_of(message)}
    calls |= {message.call_id for message in about if isinstance(message, Result)}
    found = {seq}
    for message in messages if calls else ():
        if not calls.isdisjoint(calls_of(message)):
            calls.update(calls_of(message))
            found.add(message.seq)
        elif isinstance(message, Result) and message.call_id in calls:
            found.add(message.seq)
    return frozenset(found)


def calls_of(message: Message) -> list[str]:
    """Return the ids of the calls in *message*."""
    if not isinstance(message, Assistant):
        return []
    return [block.id for block in message.blocks if block.op == "call"]


def compacted(
    messages: Sequence[Message],
    keep_turns: int,
    pinned: Iterable[int] = (),
    corrections: Iterable[int] = (),
) -> frozenset[int]:
    """Return the numbers of the messages that are not shown any more.

    The last *keep_turns* answers stay, with their results; of what users said, what began the run
    that the first of them belongs to and what was said in it since; and what is pinned.
    """
    turns = [at for at, message in enumerate(messages) if isinstance(message, Assistant)]
    if len(turns) <= keep_turns:
        return frozenset()
    first = turns[-keep_turns] if keep_turns else len(messages)
    begins = _run_before(messages, first, set(corrections))
    kept: set[int] = set()
    for seq in pinned:
        kept |= unit_of(messages, seq)
    led = 0
    for message in messages[:first]:
        if isinstance(message, User):
            led = message.seq
        elif message.seq in kept and led:
            kept.add(led)  # an answer needs something that it answers
    return frozenset(
        message.seq
        for at, message in enumerate(messages[:first])
        if not isinstance(message, Custom)
        and message.seq not in kept
        and not (isinstance(message, User) and at >= begins)
    )


def _run_before(messages: Sequence[Message], first: int, corrections: set[int]) -> int:
    """Return the index of the message that began the run in which message *first* stands."""
    begins, is_over = 0, True
    for at, message in enumerate(messages[:first]):
        if isinstance(message, User) and is_over and message.seq not in corrections:
            begins, is_over = at, False
        elif isinstance(message, Assistant):
            is_over = not calls_of(message) or message.outcome != "ok"
    return begins
