"""The goals, and what runs say of them. Pure: numbers in, a table out.

A goal has parts; each is one number for each round, made of costs of that round, and a bound. What
is told is the median. ``in_the_way`` says why a part is missed, as long as it is.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.bench.kept import Cost, Runs, by_round, cost, is_disturbed, spread, told


class Part(NamedTuple):
    """What one number must be.

    The number is ``of``, less ``less`` if given, over the median of ``over``, or as it is. It must
    be at most ``goal``, or at least, if ``is_floor``. ``stretch`` is what would be better still.
    """

    goal_of: str
    what: str
    of: Cost
    over: tuple[Cost, ...]
    goal: float
    stretch: float | None = None
    less: Cost | None = None
    is_floor: bool = False
    in_the_way: str = ""

    @property
    def costs(self) -> tuple[Cost, ...]:
        """All that the number is made of."""
        return (self.of, *self.over, *([self.less] if self.less else []))

    def values(self, runs: Runs) -> list[float]:
        """Return the number of every round in which all it is made of was measured."""
        of = by_round(runs, self.of)
        less = by_round(runs, self.less) if self.less is not None else dict.fromkeys(of, 0.0)
        over = [by_round(runs, one) for one in self.over]
        found: list[float] = []
        for number in of:
            bases = [base[number] for base in over if base.get(number)]
            if number in less and (bases or not over):
                found.append((of[number] - less[number]) / (statistics.median(bases or [1.0])))
        return found

    def reaches(self, value: float, bound: float) -> bool:
        """Say whether *value* is on the right side of *bound*."""
        return value >= bound if self.is_floor else value <= bound

    def verdict(self, values: Sequence[float]) -> str:
        """Return ``stretch``, ``met``, ``missed`` and by how much, or that nothing is known."""
        if not values:
            return "not measured"
        value = statistics.median(values)
        if self.reaches(value, self.goal):
            beyond = self.stretch is not None and self.reaches(value, self.stretch)
            return "stretch" if beyond else "met"
        if not self.goal or value <= 0:
            return f"missed by {told(abs(value - self.goal))}"
        factor = self.goal / value if self.is_floor else value / self.goal
        return f"missed, {factor:.3g} times"


def part(
    goal_of: str,
    what: str,
    of: str,
    over: str = "",
    *,
    most: float | None = None,
    least: float | None = None,
    stretch: float | None = None,
    less: str = "",
    in_the_way: str = "",
) -> Part:
    """Return a part, its costs given as words; several in *over* have a semicolon between."""
    assert (most is None) != (least is None), what
    return Part(
        goal_of,
        what,
        cost(of),
        tuple(cost(words) for words in over.split(";") if words),
        most if most is not None else least or 0.0,
        stretch,
        cost(less) if less else None,
        least is not None,
        in_the_way,
    )


def table(runs: Runs, parts: Sequence[Part]) -> Iterator[str]:
    """Yield how many goals are reached, then a line for each part, then what is in the way."""
    judged = [(one, values, one.verdict(values)) for one in parts for values in [one.values(runs)]]
    verdicts: dict[str, list[str]] = {}
    for one, _, verdict in judged:
        verdicts.setdefault(one.goal_of, []).append(verdict)
    met = [of for of, said in verdicts.items() if set(said) <= {"met", "stretch"}]
    best = [of for of in met if reaches_stretch([one for one in judged if one[0].goal_of == of])]
    yield f"{len(met)} of {len(verdicts)} goals are met: {', '.join(met) or 'none'};"
    yield f"at their stretch value {len(best)}: {', '.join(best) or 'none'}."
    yield ""
    yield "| | what | figure [least–most] | goal | stretch | verdict |"
    yield "|---|---|---:|---:|---:|---|"
    for one, values, verdict in judged:
        shown = "**" if verdict.startswith(("missed", "not")) else ""
        noisy = " ~" if is_disturbed(runs, one.costs) else ""
        figure = f"{spread(values)}{noisy}"
        bounds = f"{bound(one, one.goal)} | {bound(one, one.stretch)}"
        yield f"| {one.goal_of} | {one.what} | {figure} | {bounds} | {shown}{verdict}{shown} |"
    lines = [
        f"- {one.goal_of}, {one.what}: {one.in_the_way or 'not looked into yet'}."
        for one, _, verdict in judged
        if verdict.startswith("missed")
    ]
    if lines:
        yield from ("", "What stands in the way of those that are missed:", "", *lines)


def reaches_stretch(judged: Sequence[tuple[Part, list[float], str]]) -> bool:
    """Say whether every part of a goal that has a stretch value reaches it, and there is one."""
    said = [verdict for one, _, verdict in judged if one.stretch is not None]
    return bool(said) and set(said) == {"stretch"}


def bound(one: Part, value: float | None) -> str:
    """Return *value* as it is read in the table."""
    if value is None:
        return ""
    is_share = 0 < value < 0.5 and abs(1 / value - round(1 / value, 1)) < 1e-9
    number = f"1/{1 / value:.3g}" if is_share else f"{value:.3g}"
    return f"{'≥' if one.is_floor else '≤'} {number}"
