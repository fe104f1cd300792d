"""What an answer says, read from a decoder's pieces, and altered streams that say the same."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tinyagent._alchemy import Decoder


@dataclass
class Block:
    """One block of an answer, its pieces joined."""

    op: str
    text: str = ""
    id: str = ""
    name: str = ""
    sign: str = ""
    keep: Any = None


@dataclass
class Reading:
    """One answer. Equal readings say the same; ``unterminated`` is how they came, not what."""

    blocks: list[Block]
    end: dict[str, Any]
    done: bool = field(compare=False)
    unterminated: bool = field(compare=False)

    def joined(self, op: str) -> str:
        return "".join(block.text for block in self.blocks if block.op == op)

    @property
    def calls(self) -> list[Block]:
        return [block for block in self.blocks if block.op == "call"]

    @property
    def kept(self) -> list[Any]:
        return [block.keep for block in self.blocks if block.keep is not None]

    @property
    def failure(self) -> str | None:
        """The kind of failure."""
        failure: tuple[str, str] | None = self.end["failure"]
        return failure[0] if failure else None

    def runnable(self) -> list[Block]:
        """The calls whose arguments are complete."""
        bad = self.end["bad_calls"]
        return [b for n, b in enumerate(self.blocks) if b.op == "call" and n not in bad]


def read(api: str, chunks: Iterable[bytes]) -> Reading:
    """Decode *chunks*, and check what holds for the pieces of every answer."""
    decoder = Decoder(api)
    pieces = [piece for chunk in chunks for piece in decoder.feed(chunk)]
    done = decoder.done
    pieces += decoder.close()
    end = decoder.finish()
    assert end.pop("pieces") == []
    assert decoder.feed(b"data: {}\n\n") == []
    blocks: list[Block] = []
    for number, op, data in pieces:
        _take(blocks, number, op, data)
    return Reading(blocks, end, done, end.pop("unterminated"))


def _take(blocks: list[Block], number: int, op: str, data: Any) -> None:
    if number == len(blocks):
        assert op in {"text", "think", "refuse", "call", "keep"}, "it opens a block"
        blocks.append(Block(op))
    block = blocks[number]
    match op:
        case "call":
            assert block.op == "call"
            assert block.id in ("", data["id"]), "an id never changes"
            assert block.name in ("", data["name"]), "a name never changes"
            block.id, block.name = data["id"], data["name"]
        case "args":
            assert block.op == "call"
            block.text += data
        case "sign":
            assert block.op == "think"
            block.sign = data
        case "keep":
            assert block.keep is None, "kept once"
            assert isinstance(data, dict)
            block.keep = data
        case _:
            assert op == block.op
            assert data, "text is never empty"
            block.text += data


def whole(body: bytes) -> list[bytes]:
    return [body]


def by_byte(body: bytes) -> list[bytes]:
    return [body[at : at + 1] for at in range(len(body))]


def at_cuts(body: bytes, seed: str) -> list[bytes]:
    """Cut *body* at random places, the same for the same *seed*."""
    chance = random.Random(seed)
    cuts = sorted(chance.randrange(len(body) + 1) for _ in range(min(len(body), 40)))
    edges = [0, *cuts, len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def lf(body: bytes) -> bytes:
    return body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def events(body: bytes) -> list[bytes]:
    """Return the events of *body*, each with its blank line. Lines end with LF."""
    parts = lf(body).removeprefix(b"\xef\xbb\xbf").split(b"\n\n")
    return [part.strip(b"\n") + b"\n\n" for part in parts if part.strip(b"\n")]


def payload(event: bytes) -> Any:
    """Return the JSON of an event; None if it has none."""
    lines = [line[5:] for line in event.split(b"\n") if line.startswith(b"data:")]
    try:
        return json.loads(b"\n".join(lines))
    except ValueError:
        return None


def with_unknown_fields(event: bytes) -> bytes:
    """Add fields to every object of the event's payload that is not the model's own data."""
    value = payload(event)
    if not isinstance(value, dict):
        return event
    names = [line for line in event.split(b"\n") if line.startswith(b"event:")]
    data = json.dumps(_extended(value), ensure_ascii=False).encode()
    return b"\n".join([*names, b"data: " + data]) + b"\n\n"


def without_unknown_fields(value: Any) -> Any:
    """Undo ``with_unknown_fields`` in what was kept: unknown fields must be kept as well."""
    if isinstance(value, list):
        return [without_unknown_fields(item) for item in value]
    if isinstance(value, dict):
        items = [(k, without_unknown_fields(v)) for k, v in value.items() if k not in _NEW]
        return dict(items)
    return value


_NEW: dict[str, Any] = {"x_new": {"a": [1]}, "zz": None}
_DATA = {"usage", "usageMetadata", "arguments", "args", "input", "reasoning_details", "error"}


def _extended(value: Any, key: str = "") -> Any:
    if key in _DATA:
        return value
    if isinstance(value, list):
        return [_extended(item) for item in value]
    if isinstance(value, dict):
        return _NEW | {k: _extended(v, k) for k, v in value.items()}
    return value
