"""Who goes first: strategies that choose by a seed, and tapes that choose as it was chosen.

A run is a function of the code, the scenario and the tape: the list of its choices, each the place
of who was next among those who were ready. 0 is the oldest, so a tape of zeros is the order in
which an ordinary loop would have gone.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Sequence
from typing import TypeAlias

Choose: TypeAlias = Callable[[Sequence[str]], int]
STRATEGIES = ("fifo", "random", "pct", "delay", "portfolio")
CHOICES_EXPECTED = 200
"""Strategies that change their mind at a few places look for them among so many."""
_FORMAT = "r1:"
_PORTFOLIO = ("random",) * 3 + ("pct",) * 4 + ("delay",) * 2


class Tape:
    """Chooses as *choices* says, and by the oldest when they are used up; keeps what it chose.

    Attributes:
        chosen: the choices so far. names: whom each took, and from among how many.
    """

    def __init__(self, choices: Sequence[int] | Choose = ()) -> None:
        self._choices = choices
        self.chosen: list[int] = []
        self.names: list[tuple[str, int]] = []

    def __call__(self, ready: Sequence[str]) -> int:
        """Return the place of who is next."""
        at = self._next(ready)
        self.chosen.append(at)
        self.names.append((ready[at], len(ready)))
        return at

    def _next(self, ready: Sequence[str]) -> int:
        if callable(self._choices):
            return self._choices(ready)
        number = len(self.chosen)
        at = self._choices[number] if number < len(self._choices) else 0
        return at if at < len(ready) else 0


def strategy(name: str, seed: int) -> tuple[str, Choose]:
    """Return what chooses under *seed*, and how it is called.

    Raises:
        ValueError: there is no strategy *name*.
    """
    if name not in STRATEGIES:
        raise ValueError(f"no strategy is named {name!r} (known: {', '.join(STRATEGIES)})")
    chance = random.Random(f"tinyagent {seed}")
    if name == "portfolio":
        # The first is the order of an ordinary loop: what fails there fails everywhere.
        name = "fifo" if seed == 0 else _PORTFOLIO[seed % len(_PORTFOLIO)]
    match name:
        case "random":
            return name, lambda ready: chance.randrange(len(ready))
        case "pct":
            return _by_priority(chance)
        case "delay":
            return _late(chance)
        case _:
            return name, lambda ready: 0


def _by_priority(chance: random.Random) -> tuple[str, Choose]:
    """Whoever has the highest priority goes; at a few places whoever would go becomes the last.

    After PCT (Burckhardt and others, "A randomized scheduler with probabilistic guarantees of
    finding bugs", 2010): it finds what needs d things in one order.
    """
    depth = chance.choice((2, 3, 4))
    places = {chance.randrange(CHOICES_EXPECTED) for _ in range(depth - 1)}
    priorities: dict[str, float] = {}
    count = 0

    def choose(ready: Sequence[str]) -> int:
        nonlocal count
        for name in ready:
            priorities.setdefault(name, 1 + chance.random())
        first = max(range(len(ready)), key=lambda at: priorities[ready[at]])
        if count in places:
            priorities[ready[first]] = -count
            first = max(range(len(ready)), key=lambda at: priorities[ready[at]])
        count += 1
        return first

    return f"pct({depth})", choose


def _late(chance: random.Random) -> tuple[str, Choose]:
    """The oldest goes, but at a few places the one behind it."""
    times = chance.choice((1, 2, 3))
    places = {chance.randrange(CHOICES_EXPECTED) for _ in range(times)}
    count = -1

    def choose(ready: Sequence[str]) -> int:
        nonlocal count
        count += 1
        return 1 if count in places else 0

    return f"delay({times})", choose


def written(choices: Sequence[int]) -> str:
    """Return *choices* as one word: ``r1:`` and base32."""
    packed = bytearray()
    for choice in _trimmed(choices):
        while choice > 127:
            packed.append(choice & 127 | 128)
            choice >>= 7
        packed.append(choice)
    return _FORMAT + base64.b32encode(_runs(packed)).decode().rstrip("=").lower()


def read(word: str) -> list[int]:
    """Return the choices that ``written`` wrote.

    Raises:
        ValueError: *word* is no tape.
    """
    if not word.startswith(_FORMAT):
        raise ValueError(f"a tape begins with {_FORMAT!r}, got {word[:20]!r}")
    text = word.removeprefix(_FORMAT).upper()
    packed = _unrun(base64.b32decode(text + "=" * (-len(text) % 8)))
    choices, choice, shift = list[int](), 0, 0
    for byte in packed:
        choice |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            choices.append(choice)
            choice, shift = 0, 0
    return choices


def _trimmed(choices: Sequence[int]) -> list[int]:
    end = len(choices)
    while end and choices[end - 1] == 0:
        end -= 1
    return list(choices[:end])


def _runs(packed: bytes | bytearray) -> bytes:
    """Write each run of zeros as a zero and its length: a shrunk tape is almost all zeros."""
    out, at = bytearray(), 0
    while at < len(packed):
        if packed[at]:
            out.append(packed[at])
            at += 1
            continue
        end = at
        while end < len(packed) and not packed[end] and end - at < 255:
            end += 1
        out += bytes((0, end - at))
        at = end
    return bytes(out)


def _unrun(packed: bytes) -> bytes:
    out, at = bytearray(), 0
    while at < len(packed):
        if packed[at]:
            out.append(packed[at])
            at += 1
        else:
            out += bytes(packed[at + 1] if at + 1 < len(packed) else 0)
            at += 2
    return bytes(out)
