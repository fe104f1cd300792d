"""The shortest tape that fails as a long one did: its end cut off, ranges and choices made zero."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from tinyagent.testing.schedules import Tape

TRIES_MAX = 300
_ADDRESS = re.compile(r"0x[0-9a-f]+")


class Ending(NamedTuple):
    """How a run ended: the type of what it raised, where that was raised, and its text."""

    type: str
    place: str
    text: str


class Run(Protocol):
    """One run."""

    @property
    def tape(self) -> Tape:
        """What was chosen in it."""
        ...

    @property
    def ending(self) -> Ending:
        """How it ended."""
        ...


R = TypeVar("R", bound=Run)


def ending(error: BaseException | None) -> Ending:
    """Return what of *error* is the same in two runs that fail alike."""
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return Ending(type(error).__name__, place, _ADDRESS.sub("0x", str(error)))


def shrunk(run: Callable[[Sequence[int]], R], failed: R) -> R:
    """Return the run with the fewest choices out of order that fails in the place of *failed*.

    It is tried ``TRIES_MAX`` times; whatever is found by then is returned.
    """
    best, left, before = failed, TRIES_MAX, -1
    while best.tape.cost != before:
        before, size = best.tape.cost, len(best.tape.choices)
        while size:  # all of them, then the end, then ever smaller parts, at last single ones
            for at in reversed(range(0, len(best.tape.choices), size)):
                now = best.tape.chosen
                if not any(now[at : at + size]):
                    continue
                if not left:
                    return best
                left -= 1
                found = run([*now[:at], *[0] * len(now[at : at + size]), *now[at + size :]])
                if found.tape.cost < best.tape.cost and found.ending[:2] == failed.ending[:2]:
                    best = found
            size //= 2
    return best
