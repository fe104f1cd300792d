"""The blocks of an answer, from its pieces. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from tinyagent.events.kinds import ModelDelta, ModelFinished, Piece
from tinyagent.events.messages import Block


class WholeAnswer(ModelDelta, frozen=True):
    """All that a model said before it was done, read back at once: its blocks, and no pieces."""

    pieces: list[Piece] = []
    blocks: list[Block] = []


class Joined(NamedTuple):
    """What a log reads back as one: records of *kind*, on end, of one actor and one cause.

    Attributes:
        field: the list that is all they say.
        end: the kind of what ends an answer. answers: reads an array of whole ones.
    """

    kind: str
    field: str
    end: str
    answers: Callable[[bytes], list[WholeAnswer]]


JOINED = Joined(
    ModelDelta.kind,
    "pieces",
    ModelFinished.kind,
    msgspec.json.Decoder(list[WholeAnswer]).decode,
)

_OPENED = {"args": "call", "sign": "think"}
"""What a block is that begins with an operation of another name."""


_NAMED = frozenset({"call", "sign", "keep"})
"""Operations whose data is no text."""


def blocks_of(heard: Iterable[Any], *, is_cut: bool = False) -> list[Block]:
    """Return the blocks that the pieces make that were *heard*, in their order.

    Of each piece its block, its operation and its data, all in one row: the collector of garbage
    counts what holds other things, and looks at all there is for so many pieces that are kept.

    If the answer *is_cut* off, without calls that are not whole: a call is whole if it was a
    complete object when another block began behind it.
    """
    drafts: dict[int, Draft] = {}
    row = iter(heard)
    for block, op, data in zip(row, row, row, strict=True):
        draft = drafts.get(block)
        if draft is None:
            if is_cut:
                for before in drafts.values():
                    before.is_whole = before.is_whole or is_object("".join(before.parts))
            opened = _OPENED.get(op) or op
            draft = drafts[block] = Draft(opened, opened != "call")
        if op in _NAMED:
            draft.take(op, data)
        else:
            draft.parts.append(data)
    return [draft.block() for _, draft in sorted(drafts.items()) if draft.is_whole or not is_cut]


class Draft(msgspec.Struct):
    """A block while its pieces arrive. ``is_whole``: as far as is known, it may be kept."""

    op: str
    is_whole: bool
    parts: list[str] = []
    id: str = ""
    name: str = ""
    sign: str = ""
    keep: Any = None

    def take(self, op: str, data: Any) -> None:
        """Take in a piece that is no text."""
        if op == "call":
            self.id = data.get("id") or self.id
            self.name = data.get("name") or self.name
        elif op == "sign":
            self.sign = data
        else:
            self.keep = data

    def block(self) -> Block:
        """Return what it came to."""
        return Block(self.op, "".join(self.parts), self.id, self.name, self.sign, self.keep)


def is_object(text: str) -> bool:
    """Whether *text* is a whole JSON object."""
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except msgspec.DecodeError:
        return False
