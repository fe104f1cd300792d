"""History as providers accept it: every call answered, every answer called for, ids unique.

The state is never changed, only what is sent. A message that needs nothing is passed on as the
same object, so that its encoded form can be used again.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_

import msgspec

from tinyagent.events.messages import Assistant, Block, Message, Result, User

NO_RESULT = "No result was recorded for this call."


class _Round:
    """An answer with calls, and the result found for each of them."""

    __slots__ = ("answer", "calls", "is_sent", "results")

    def __init__(self, answer: Assistant, calls: list[Block]) -> None:
        self.answer = answer
        self.calls = calls
        self.results: list[Result | None] = [None] * len(calls)
        self.is_sent = False


def repaired(messages: Sequence[Message]) -> list[Message]:
    """Return *messages* without what providers refuse.

    - The results of an answer follow it at once, in the order of its calls; a call without one
      gets an error result. A result without a call is left out.
    - The second of two equal call ids gets a suffix, in the call and in its result; a missing
      id gets one.
    - An answer that failed or was cancelled keeps only those of its calls that have results.
    - Messages of the application's own roles are left out.
    """
    repair = Repair()
    repair.take(messages)
    return [message for turn in repair.turns for message in turn]


class Repair:
    """The same for a history that grows: only what is new in it is looked at.

    Attributes:
        turns: the history that was taken last, repaired; each message that is no result with the
            results behind it. It is added to in place.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.turns: list[Sequence[Message]] = []
        self._seen: list[Message] = []
        self._taken: set[str] = set()
        # The calls of each id that have no result yet, in order.
        self._waiting: dict[str, list[tuple[_Round, int]]] = {}
        self._new: list[User | Assistant | _Round] = []

    def take(self, messages: Sequence[Message]) -> int:
        """Repair *messages*; return how many of ``turns``, from the start, are as they were."""
        seen, same = len(self._seen), len(self.turns)
        is_longer = seen <= len(messages) and all(map(is_, self._seen, messages))
        if not (is_longer and self._go_on(messages[seen:])):
            self._begin()
            self._go_on(messages)
            return 0
        return same

    def _go_on(self, messages: Sequence[Message]) -> bool:
        """Take in *messages*; False if one belongs to what was sent already, and all is to redo."""
        self._seen.extend(messages)
        at, end = 0, len(messages)
        while at < end:
            first, begun = messages[at], at
            at += 1
            if isinstance(first, Assistant):
                if ids := [block.id for block in first.blocks if block.op == "call"]:
                    at += len(ids)
                    answered = list(map(_call_id, messages[begun + 1 : at]))
                    if answered != ids or not self._take_ids(ids):
                        return self._mend(messages[begun:])
            elif not isinstance(first, User):
                return self._mend(messages[begun:])
            self.turns.append(messages[begun:at])
        return True

    def _mend(self, messages: Sequence[Message]) -> bool:
        """The same for messages that may need repair."""
        if not all(map(self._add, messages)):
            return False
        for each in self._new:
            if isinstance(each, _Round):
                self.turns.append(self._whole(each))
                each.is_sent = True
            else:
                self.turns.append((each,))
        self._new = []
        return True

    def _take_ids(self, ids: Sequence[str]) -> bool:
        """Let no later call have one of *ids*; False if one is empty or not unique."""
        new = set(ids)
        is_fresh = len(new) == len(ids) and "" not in new and new.isdisjoint(self._taken)
        if is_fresh:
            self._taken |= new
        return is_fresh

    def _whole(self, turn: _Round) -> list[Message]:
        """Return the answer of *turn* and its results."""
        results = [result for result in turn.results if result is not None]
        if len(results) == len(turn.calls) and self._take_ids([call.id for call in turn.calls]):
            return [turn.answer, *results]
        return _mended(turn, self._taken)

    def _add(self, message: Message) -> bool:
        """Take in one message; False if it belongs to what was sent already, and all is to redo."""
        if isinstance(message, Assistant):
            calls = [block for block in message.blocks if block.op == "call"]
            if not calls:
                self._new.append(message)
                return True
            turn = _Round(message, calls)
            self._new.append(turn)
            # A result never answers a call from before another call of the same id.
            for call in calls:
                self._waiting[call.id] = []
            for at, call in enumerate(calls):
                self._waiting[call.id].append((turn, at))
        elif isinstance(message, Result):
            if found := self._waiting.get(message.call_id):
                turn, at = found.pop(0)
                turn.results[at] = message
                return not turn.is_sent
        elif isinstance(message, User):
            self._new.append(message)
        return True


def _call_id(message: Message) -> str | None:
    return message.call_id if isinstance(message, Result) else None


def _mended(turn: _Round, taken: set[str]) -> list[Message]:
    """Return the same where a result is missing, or an id is missing or not unique.

    *taken* are the ids of the calls before.
    """
    blocks: list[Block] = []
    results: list[Message] = []
    found = iter(turn.results)
    for block in turn.answer.blocks:
        if block.op != "call":
            blocks.append(block)
            continue
        result = next(found)
        if result is None and turn.answer.outcome != "ok":
            continue
        call_id = _unique(block.id, taken)
        taken.add(call_id)
        blocks.append(msgspec.structs.replace(block, id=call_id))
        if result is None:
            result = Result(turn.answer.seq, call_id, block.name, NO_RESULT, ok=False)
        results.append(msgspec.structs.replace(result, call_id=call_id))
    return [msgspec.structs.replace(turn.answer, blocks=tuple(blocks)), *results]


def _unique(call_id: str, taken: set[str]) -> str:
    if call_id and call_id not in taken:
        return call_id
    number = 2 if call_id else len(taken)
    # Letters, digits and underscores: Anthropic allows nothing else but hyphens.
    while (wanted := f"{call_id or 'call'}_{number}") in taken:
        number += 1
    return wanted
