"""One scenario under many schedules: who is delivered first is chosen by a seed.

::

    async def scenario(sim: Sim) -> None:
        log = sim.log()
        await build(log=log, clock=sim.clock).run("Pay both bills")
        assert effects(log)["pay"].runs == 1

    def test_bills_are_paid_once_in_any_order() -> None:
        explore(scenario, schedules=1000)

A seed that fails is named, with the shortest list of choices that fails too; both repeat exactly.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import re
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing.loop import SimClock, SimLoop
from tinyagent.testing.schedules import Choose, Tape, read, strategy, written

AGAIN_EVERY = 100
"""Each seed divisible by this is run twice, and must go the same way."""
SHRINKS_MAX = 300
_ADDRESS = re.compile(r"0x[0-9a-f]+")


class Sim:
    """What a scenario is given: everything in it is the same in every run of a tape.

    Attributes:
        clock: the loop's time, for ``AgentOptions(clock=)``; hours take no time.
    """

    def __init__(self) -> None:
        self.clock = SimClock()
        self._logs = 0

    def log(self) -> MemoryLog:
        """Return an empty log whose id is the same in every run."""
        self._logs += 1
        return MemoryLog(log_id=hashlib.sha256(b"sim %d" % self._logs).hexdigest()[:32])


Scenario: TypeAlias = (
    Callable[[Sim], Coroutine[Any, Any, object]] | Callable[[], Coroutine[Any, Any, object]]
)


class Explored(msgspec.Struct, frozen=True, kw_only=True):
    """What was tried: schedules, those among them that differ, and the time that passed in them."""

    schedules: int
    distinct: int
    virtual_s: float


class ScheduleError(AssertionError):
    """A scenario fails under a schedule. ``__cause__`` is what it raised.

    Attributes:
        seed: the seed, None for a tape. tape: the shortest list of choices found that fails so.
    """

    def __init__(self, message: str, *, seed: int | None, tape: str) -> None:
        super().__init__(message)
        self.seed = seed
        self.tape = tape


class NotRepeatableError(AssertionError):
    """The same schedule went another way the second time: the scenario reads something outside."""


class _Ran(NamedTuple):
    tape: Tape
    trace: tuple[str, ...]
    virtual_s: float
    error: BaseException | None

    @property
    def ending(self) -> tuple[str, str]:
        return type(self.error).__name__, _ADDRESS.sub("0x", str(self.error))


def explore(
    scenario: Scenario,
    schedules: int = 1000,
    *,
    strategy: str = "portfolio",
    seeds: Iterable[int] | None = None,
) -> Explored:
    """Run *scenario* under *schedules* seeds, 0, 1, 2 ..., or under *seeds*.

    Args:
        scenario: an ``async def`` that takes a ``Sim``, or nothing.
        strategy: ``random``, ``pct`` (one order of a few things), ``delay`` (somebody is late),
            ``fifo`` (an ordinary loop), ``portfolio`` (all of them in turn).

    Raises:
        ScheduleError: it raises under one of them. NotRepeatableError: a schedule did not repeat.
        RuntimeError: called in a running loop; a scenario has one of its own.
    """
    _no_loop()
    traces: set[str] = set()
    count, virtual_s = 0, 0.0
    for seed in range(schedules) if seeds is None else seeds:
        name, ran = _seeded(scenario, strategy, seed)
        if ran.error is not None:
            raise _failure(scenario, name, seed, ran) from ran.error
        if seed % AGAIN_EVERY == 0:
            _check_same(ran, _run(scenario, ran.tape.chosen), f"seed {seed}")
        traces.add(hashlib.sha256("\n".join(ran.trace).encode()).hexdigest())
        virtual_s += ran.virtual_s
        count += 1
    return Explored(schedules=count, distinct=len(traces), virtual_s=virtual_s)


def replay_tape(scenario: Scenario, tape: str) -> None:
    """Run *scenario* once, with the choices of *tape*; what it raises is raised here.

    Raises:
        ValueError: *tape* is none.
    """
    _no_loop()
    error = _run(scenario, read(tape)).error
    if error is not None:
        raise error


def _seeded(scenario: Scenario, named: str, seed: int) -> tuple[str, _Ran]:
    name, choose = strategy(named, seed)
    return name, _run(scenario, choose)


def _run(scenario: Scenario, choices: Sequence[int] | Choose) -> _Ran:
    tape = Tape(choices)
    loop = SimLoop(tape)
    error: BaseException | None = None
    takes_sim = bool(inspect.signature(scenario).parameters)
    try:
        made: Any = scenario
        loop.run(made(Sim()) if takes_sim else made())
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as raised:
        error = raised
    return _Ran(tape, tuple(loop.trace), loop.time(), error)


def _failure(scenario: Scenario, name: str, seed: int, ran: _Ran) -> ScheduleError:
    again = _run(scenario, ran.tape.chosen)
    _check_same(ran, again, f"seed {seed}")
    short = _shrunk(scenario, ran)
    names = [
        f"choice {number} of {len(short.tape.names)} ({label}, of {among} that were ready)"
        for number, (at, (label, among)) in enumerate(
            zip(short.tape.chosen, short.tape.names, strict=True), 1
        )
        if at
    ]
    word = written(short.tape.chosen)
    error = short.error
    lines = [
        f"{type(error).__name__}: {error}",
        f"  seed       {seed}, strategy {name}; repeat it: explore(..., seeds=[{seed}])",
        f"  schedule   in order, except {'; '.join(names)}" if names else "  schedule   in order",
        f'  shortest   replay_tape(..., "{word}")',
    ]
    return ScheduleError("\n".join(lines), seed=seed, tape=word)


def _shrunk(scenario: Scenario, ran: _Ran) -> _Ran:
    """Return the run with the fewest choices out of order that fails in the same way."""
    best, left, before = ran, SHRINKS_MAX, -1
    while left and _cost(best) != before:
        before, size = _cost(best), max(len(best.tape.chosen) // 2, 1)
        while size and left:
            for at in range(0, len(best.tape.chosen), size):
                part = best.tape.chosen[at : at + size]
                if not any(part) or not left:
                    continue
                left -= 1
                zeros = [0] * len(part)
                tried = [*best.tape.chosen[:at], *zeros, *best.tape.chosen[at + size :]]
                found = _run(scenario, tried)
                if type(found.error) is type(ran.error) and _cost(found) < _cost(best):
                    best = found
            size //= 2
    return best


def _cost(ran: _Ran) -> int:
    return sum(at > 0 for at in ran.tape.chosen)


def _check_same(one: _Ran, other: _Ran, what: str) -> None:
    if one.trace == other.trace and one.ending == other.ending:
        return
    at = next(
        (n for n, (a, b) in enumerate(zip(one.trace, other.trace, strict=False)) if a != b),
        min(len(one.trace), len(other.trace)),
    )
    raise NotRepeatableError(
        f"{what} went another way the second time, from step {at + 1} on: {one.ending[0]} "
        f"{one.ending[1]!r}, then {other.ending[0]} {other.ending[1]!r}. The scenario reads a "
        "clock, chance or state from outside; take time and logs from the Sim it is given"
    )


def _no_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("a scenario runs in a loop of its own: call this from a plain def test")
