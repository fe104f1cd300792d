"""How often Python calls the extension, and how often the loop wakes, for a batch of an answer.

Counted, not timed: every method and attribute of the extension's classes is replaced by one that
counts, and the loop's selector counts how often it came back with something. Only what is between
the second and the last batch of an answer counts: behind the first, which is waited for. How an
answer begins and ends is a turn's cost.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from tinyagent import _alchemy

HTTP, LOG = ("HttpExchange", "LoopBell"), ("LogWriter",)
COUNTED: Counter[str] = Counter()
BATCHES: list[tuple[int, Counter[str]]] = []
"""For each batch its pieces, and all that was counted up to it."""


def count_the_extension() -> None:
    """Let every use of the extension by Python count, for the rest of this process."""
    for owner in (*HTTP, *LOG):
        cls = getattr(_alchemy, owner)
        for name, found in list(vars(cls).items()):
            if name.startswith("__"):
                continue
            if callable(found):
                setattr(cls, name, _counting(owner, name, found))
            else:
                setattr(cls, name, property(_counting(owner, name, found.__get__)))


def _counting(owner: str, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*args: Any, **named: Any) -> Any:
        COUNTED[owner] += 1
        if name == "listen":
            exchange, bell, hear, heard = args
            return call(exchange, bell, _heard(hear), heard)
        return call(*args, **named)

    return counted


def _heard(hear: Callable[..., Any]) -> Callable[..., Any]:
    """Return *hear*, but each batch that it is given by the extension counts."""

    def heard(pieces: list[Any]) -> Any:
        BATCHES.append((sum(map(deltas_of, pieces)), COUNTED.copy()))
        return hear(pieces)

    return heard


def deltas_of(piece: tuple[Any, ...]) -> int:
    """Return how many deltas of the provider *piece* is made of."""
    return len(piece[4]) if len(piece) > 4 else 1


class Selector(selectors.DefaultSelector):
    """Counts how often it came back with something to do."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(timeout)
        COUNTED["wakes"] += bool(found)
        return found


class Loop(asyncio.SelectorEventLoop):
    """Counts what is handed to threads."""

    def __init__(self) -> None:
        super().__init__(Selector())
        vars(self)["run_in_executor"] = _counting("in_threads", "", self.run_in_executor)


async def counts(run: Callable[[str], Awaitable[object]]) -> dict[str, float]:
    """Return what *run* made be counted: an answer with a pace, one without.

    No batch has more than 10,000 deltas, so the one without a pace comes in six at least, however
    busy the loop is: of a few, one that happens to be small would count for much.
    """
    paced, fast = [await _counted(run, model) for model in ("text-400@5", "text-60000")]
    return {
        "http_per_batch": paced["http"] / paced["batches"],
        "log_per_batch": paced["log"] / paced["batches"],
        "wakes_per_batch": paced["wakes"] / paced["batches"],
        "pieces_per_batch": paced["pieces"] / paced["batches"],
        "fast_pieces_per_batch": fast["pieces"] / fast["batches"],
        "per_delta": max(0.0, _slope(paced, fast)),
        "in_threads": float(paced["in_threads"] + fast["in_threads"]),
    }


def _slope(paced: dict[str, int], fast: dict[str, int]) -> float:
    """Return how many crossings more a batch has for each piece more that is in it."""

    def each(found: dict[str, int], name: str) -> float:
        return found[name] / found["batches"]

    more = each(fast, "http") + each(fast, "log") - each(paced, "http") - each(paced, "log")
    return more / (each(fast, "pieces") - each(paced, "pieces"))


async def _counted(run: Callable[[str], Awaitable[object]], model: str) -> dict[str, int]:
    BATCHES.clear()
    await run(model)
    (_, first), (_, last) = BATCHES[1], BATCHES[-1]
    between = last - first
    return {
        "batches": len(BATCHES) - 2,
        "pieces": sum(pieces for pieces, _ in BATCHES[2:]),
        "http": sum(between[owner] for owner in HTTP),
        "log": sum(between[owner] for owner in LOG),
        "wakes": between["wakes"],
        "in_threads": between["in_threads"],
    }
