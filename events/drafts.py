"""The blocks of an answer while its pieces arrive. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from tinyagent.events.messages import Block

_OPENED = {"args": "call", "sign": "think"}
"""What a block is that begins with an operation of another name."""


class Draft:
    """A block while its pieces arrive. A call is whole when another block begins behind it."""

    __slots__ = ("id", "is_whole", "keep", "name", "op", "parts", "sign")

    def __init__(self, op: str) -> None:
        self.op = _OPENED.get(op, op)
        self.parts: list[str] = []
        self.id = self.name = self.sign = ""
        self.keep: Any = None
        self.is_whole = self.op != "call"

    def ends(self) -> bool:
        """Whether this call ends as another block begins: if its arguments are complete."""
        self.is_whole = is_object("".join(self.parts))
        return self.is_whole

    def take(self, op: str, data: Any) -> None:
        """Take in a piece."""
        if op == "call":
            self.id = data.get("id") or self.id
            self.name = data.get("name") or self.name
        elif op == "sign":
            self.sign = data
        elif op == "keep":
            self.keep = data
        else:
            self.parts.append(data)

    def block(self) -> Block:
        """Return what it came to."""
        return Block(self.op, "".join(self.parts), self.id, self.name, self.sign, self.keep)


def is_object(text: str) -> bool:
    """Whether *text* is a whole JSON object."""
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except msgspec.DecodeError:
        return False
