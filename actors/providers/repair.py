"""History as providers accept it: every call answered, every answer called for, ids unique.

The state is never changed, only what is sent. A message that needs nothing is passed on as the
same object, so that its encoded form can be used again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import msgspec

from tinyagent.events.messages import Assistant, Block, Message, Result, User

NO_RESULT = "No result was recorded for this call."


class _Round:
    """An answer with calls, and the result found for each of them."""

    __slots__ = ("answer", "results")

    def __init__(self, answer: Assistant, calls: int) -> None:
        self.answer = answer
        self.results: list[Result | None] = [None] * calls


def repaired(messages: Sequence[Message]) -> list[Message]:
    """Return *messages* without what providers refuse.

    - The results of an answer follow it at once, in the order of its calls; a call without one
      gets an error result. A result without a call is left out.
    - The second of two equal call ids gets a suffix, in the call and in its result; a missing
      id gets one.
    - An answer that failed or was cancelled keeps only those of its calls that have results.
    - Messages of the application's own roles are left out.
    """
    items: list[User | Assistant | _Round] = []
    waiting: dict[str, deque[tuple[_Round, int]]] = {}
    for message in messages:
        match message:
            case Assistant(blocks=blocks):
                ids = [block.id for block in blocks if block.op == "call"]
                if not ids:
                    items.append(message)
                    continue
                turn = _Round(message, len(ids))
                items.append(turn)
                # A result never answers a call from before another call of the same id.
                waiting.update((call_id, deque()) for call_id in ids)
                for at, call_id in enumerate(ids):
                    waiting[call_id].append((turn, at))
            case Result(call_id=call_id):
                if calls := waiting.get(call_id):
                    turn, at = calls.popleft()
                    turn.results[at] = message
            case User():
                items.append(message)
            case _:
                pass
    taken: set[str] = set()
    out: list[Message] = []
    for item in items:
        if isinstance(item, _Round):
            out.extend(_whole(item, taken))
        else:
            out.append(item)
    return out


def _whole(turn: _Round, taken: set[str]) -> Iterator[Message]:
    """Yield the answer of *turn* and its results. *taken* are the ids of the calls before."""
    blocks: list[Block] = []
    results: list[Result] = []
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
        if call_id != block.id:
            block = msgspec.structs.replace(block, id=call_id)
        blocks.append(block)
        if result is None:
            result = Result(turn.answer.seq, call_id, block.name, NO_RESULT, ok=False)
        elif result.call_id != call_id:
            result = msgspec.structs.replace(result, call_id=call_id)
        results.append(result)
    # Structs compare by value: equal blocks are as good as the same.
    same = len(blocks) == len(turn.answer.blocks) and all(
        new is old for new, old in zip(blocks, turn.answer.blocks, strict=True)
    )
    yield turn.answer if same else msgspec.structs.replace(turn.answer, blocks=tuple(blocks))
    yield from results


def _unique(call_id: str, taken: set[str]) -> str:
    if call_id and call_id not in taken:
        return call_id
    number = 2 if call_id else len(taken)
    # Letters, digits and underscores: Anthropic allows nothing else but hyphens.
    while (wanted := f"{call_id or 'call'}_{number}") in taken:
        number += 1
    return wanted
