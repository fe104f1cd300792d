"""Who goes first: strategies that choose by a seed, and tapes that choose as it was chosen.

A run is a function of the code, the scenario and the tape: the list of its choices. Each is the
place of who was next among those who were ready, or of what the scenario picked (``Sim.pick``). 0
is the oldest, and the first of what can be picked: a tape of zeros is what an ordinary loop does.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

Choose: TypeAlias = Callable[[Sequence[str]], int]
STRATEGIES = ("portfolio", "fifo", "faults", "random", "pct", "delay", "dfs")
CHOICES_EXPECTED = 200
"""Strategies that change their mind at a few places look for them among so many."""
CHOICES_ALL_MAX = 12
"""``dfs`` tries every order of the first so many choices."""
_NAMED = re.compile(r"(\w+)(?:\((\d+)\))?")
_PORTFOLIO = ("faults",) + ("random",) * 3 + ("pct",) * 4 + ("delay",) * 2


class Chooser(Protocol):
    """Who decides at each place of a run where there is a choice."""

    def next(self, ready: Sequence[str]) -> int:
        """Return the place of who is next."""
        ...

    def pick(self, kind: str, count: int) -> int:
        """Return which of *count* possibilities it is; 0 is the ordinary one."""
        ...


class Choice(NamedTuple):
    """One place of a tape: what was taken, its name, and from among how many."""

    at: int
    name: str
    among: int


class Tape:
    """Lets *chooser* choose, or chooses as a list says; keeps what was chosen.

    Where a list is used up, or says what there is not, it is the oldest.
    """

    def __init__(self, chooser: Sequence[int] | Chooser = ()) -> None:
        self._chooser = _Given(chooser) if isinstance(chooser, Sequence) else chooser
        self.choices: list[Choice] = []

    def __call__(self, ready: Sequence[str]) -> int:
        """Return the place of who is next."""
        at = self._chooser.next(ready)
        self.choices.append(Choice(at, ready[at], len(ready)))
        return at

    def pick(self, kind: str, options: Sequence[object]) -> int:
        """Return which of *options* it is."""
        at = self._chooser.pick(kind, len(options))
        self.choices.append(Choice(at, f"{kind}: {options[at]}"[:60], len(options)))
        return at

    @property
    def chosen(self) -> list[int]:
        """The choices so far, as a list that chooses so again."""
        return [choice.at for choice in self.choices]

    @property
    def cost(self) -> int:
        """How many choices were not the ordinary ones."""
        return sum(choice.at > 0 for choice in self.choices)


class _Given:
    """Chooses as a list says."""

    def __init__(self, choices: Sequence[int]) -> None:
        self._left = iter(choices)

    def next(self, ready: Sequence[str]) -> int:
        return self.pick("", len(ready))

    def pick(self, kind: str, count: int) -> int:
        at = next(self._left, 0)
        return at if at < count else 0


class _Seeded:
    """The oldest goes first; what is picked is by chance, if of a kind that this seed has.

    Which kinds of fault there are at all is drawn first: some bugs need that others are rare.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._kinds: dict[str, bool] = {}

    def next(self, ready: Sequence[str]) -> int:
        return 0

    def pick(self, kind: str, count: int) -> int:
        has_it = self._kinds.setdefault(kind, self.chance.random() < 0.5)
        return self.chance.randrange(count) if has_it else 0


class _Random(_Seeded):
    """Whoever, each as likely as the others."""

    def next(self, ready: Sequence[str]) -> int:
        return self.chance.randrange(len(ready))


class _ByPriority(_Seeded):
    """Whoever has the highest priority goes; at a few places whoever would go becomes the last.

    After PCT (Burckhardt and others, "A randomized scheduler with probabilistic guarantees of
    finding bugs", 2010): it finds what needs *depth* things in one order.
    """

    def __init__(self, chance: random.Random, depth: int) -> None:
        super().__init__(chance)
        self._places = {chance.randrange(CHOICES_EXPECTED) for _ in range(depth - 1)}
        self._priorities: dict[str, float] = {}
        self._count = 0

    def next(self, ready: Sequence[str]) -> int:
        priorities = self._priorities
        for name in ready:
            priorities.setdefault(name, 1 + self.chance.random())
        if self._count in self._places:
            first = max(ready, key=lambda name: priorities[name])
            priorities[first] = -self._count
        self._count += 1
        return max(range(len(ready)), key=lambda at: priorities[ready[at]])


class _Late(_Seeded):
    """The oldest goes, but at *times* places the one behind it."""

    def __init__(self, chance: random.Random, times: int) -> None:
        super().__init__(chance)
        self._places = {chance.randrange(CHOICES_EXPECTED) for _ in range(times)}
        self._count = -1

    def next(self, ready: Sequence[str]) -> int:
        self._count += 1
        return int(self._count in self._places)


def parsed(strategy: str) -> tuple[str, int | None]:
    """Return the name of *strategy* and its number: of ``pct(3)`` these are ``pct`` and 3.

    Raises:
        ValueError: there is no such strategy.
    """
    said = _NAMED.fullmatch(strategy)
    if said is None or said[1] not in STRATEGIES:
        raise ValueError(f"no strategy is named {strategy!r} (known: {', '.join(STRATEGIES)})")
    if said[2] is not None and said[1] not in ("pct", "delay", "dfs"):
        raise ValueError(f"the strategy {said[1]!r} takes no number, got {strategy!r}")
    return said[1], None if said[2] is None else int(said[2])


def chooser(strategy: str, seed: int) -> tuple[str, Chooser]:
    """Return who chooses under *seed*, and how that is called."""
    name, number = parsed(strategy)
    chance = random.Random(f"tinyagent {seed}")
    if name == "portfolio":
        # The first is what an ordinary loop does: what fails there fails everywhere.
        name = "fifo" if seed == 0 else _PORTFOLIO[seed % len(_PORTFOLIO)]
    match name:
        case "faults":
            return name, _Seeded(chance)
        case "random":
            return name, _Random(chance)
        case "pct":
            depth = number or chance.choice((2, 3, 4))
            return f"pct({depth})", _ByPriority(chance, depth)
        case "delay":
            times = number or chance.choice((1, 2, 3))
            return f"delay({times})", _Late(chance, times)
        case _:
            return name, _Given(())


def next_order(tried: Sequence[Choice], choices_max: int) -> list[int] | None:
    """Return the tape that follows the one that came to *tried*; None if it was the last.

    In this way each order of the first *choices_max* choices is tried once, depth first.
    """
    left = [*tried[:choices_max]]
    while left and left[-1].at + 1 == left[-1].among:
        left.pop()
    return [*(choice.at for choice in left[:-1]), left[-1].at + 1] if left else None
