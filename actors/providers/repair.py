"""History as providers accept it: every call answered, every answer called for, ids unique.

The state is never changed, only what is sent. A message that needs nothing is passed on as the
same object, so that its encoded form can be used again.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tinyagent.events.messages import Assistant, Block, Message, Result, User

NO_RESULT = "No result was recorded for this call."


class _Round:
    """An answer with calls, and the result found for each of them."""

    __slots__ = ("answer", "calls", "results")

    def __init__(self, answer: Assistant, calls: list[Block]) -> None:
        self.answer = answer
        self.calls = calls
        self.results: list[Result | None] = [None] * len(calls)


def repaired(messages: Sequence[Message]) -> list[Message]:
    """Return *messages* without what providers refuse.

    - The results of an answer follow it at once, in the order of its calls; a call without one
      gets an error result. A result without a call is left out.
    - The second of two equal call ids gets a suffix, in the call and in its result; a missing
      id gets one.
    - An answer that failed or was cancelled keeps only those of its calls that have results.
    - Messages of the application's own roles are left out.
    """
    rounds: list[User | Assistant | _Round] = []
    # The calls of each id that have no result yet, in order.
    waiting: dict[str, list[tuple[_Round, int]]] = {}
    for message in messages:
        if isinstance(message, Assistant):
            calls = [block for block in message.blocks if block.op == "call"]
            if not calls:
                rounds.append(message)
                continue
            turn = _Round(message, calls)
            rounds.append(turn)
            # A result never answers a call from before another call of the same id.
            for call in calls:
                waiting[call.id] = []
            for at, call in enumerate(calls):
                waiting[call.id].append((turn, at))
        elif isinstance(message, Result):
            if found := waiting.get(message.call_id):
                turn, at = found.pop(0)
                turn.results[at] = message
        elif isinstance(message, User):
            rounds.append(message)
    taken: set[str] = set()
    out: list[Message] = []
    for each in rounds:
        if isinstance(each, _Round):
            out.extend(_whole(each, taken))
        else:
            out.append(each)
    return out


def _whole(turn: _Round, taken: set[str]) -> list[Message]:
    """Return the answer of *turn* and its results. *taken* are the ids of the calls before."""
    results = [result for result in turn.results if result is not None]
    ids = {call.id for call in turn.calls}
    if len(results) == len(turn.calls) == len(ids) and "" not in ids and not ids & taken:
        taken |= ids
        return [turn.answer, *results]
    return _mended(turn, taken)


def _mended(turn: _Round, taken: set[str]) -> list[Message]:
    """Return the same where a result is missing, or an id is missing or not unique."""
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
