"""One scenario under many schedules: who is delivered first is chosen by a seed.

::

    async def scenario(sim: Sim) -> None:
        log = sim.log()
        await build(log=log, clock=sim.clock).run("Pay both bills")
        assert effects(log)["pay"].runs == 1

    def test_bills_are_paid_once_in_any_order() -> None:
        explore(scenario, schedules=1000)

A seed that fails is named, with the shortest tape that fails too; both repeat exactly.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from tinyagent.runtime.stores import Log
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing.loop import SimClock, SimLoop
from tinyagent.testing.schedules import (
    CHOICES_ALL_MAX,
    Chooser,
    Tape,
    chooser,
    next_order,
    parsed,
)
from tinyagent.testing.shrinking import Ending, ending, shrunk
from tinyagent.testing.tapes import read, written

T = TypeVar("T")
AGAIN_EVERY = 100
"""Each run whose number is divisible by this is made twice, and must go the same way."""
TOLD_MAX = 8
"""So many choices out of order are named in a report; the tape has them all."""
STALE_RUNS = 500
STALE_SHARE = 0.01
"""If fewer than this share of so many runs went a way that none had gone before, it is enough."""


class Sim:
    """What a scenario is given: everything in it is the same in every run of a tape.

    Attributes:
        clock: the loop's time, for ``AgentOptions(clock=)``; hours take no time.
        logs: the logs that were made, in order.
    """

    def __init__(self, tape: Tape) -> None:
        self.clock = SimClock()
        self.logs: list[MemoryLog] = []
        self._tape = tape

    def log(self) -> MemoryLog:
        """Return an empty log whose id is the same in every run."""
        number = len(self.logs) + 1
        name = hashlib.sha256(b"sim %d" % number).hexdigest()[:32]
        self.logs.append(MemoryLog(log_id=name, name=f"sim-{number}"))
        return self.logs[-1]

    def pick(self, kind: str, *options: T) -> T:
        """Return one of *options*, of which the first is the ordinary one; it is on the tape.

        For what may go wrong: ``sim.pick("provider", None, "overloaded", "network")``. Half of the
        seeds have no faults of a *kind*.
        """
        return options[self._tape.pick(kind, options)]


Scenario: TypeAlias = (
    Callable[[Sim], Coroutine[Any, Any, object]] | Callable[[], Coroutine[Any, Any, object]]
)


class Explored(msgspec.Struct, frozen=True, kw_only=True):
    """What was tried: schedules, those among them that differ, and the time that passed in them.

    ``complete``: there are no others, as ``dfs`` finds out.
    """

    schedules: int
    distinct: int
    virtual_s: float
    complete: bool = False


class ScheduleError(AssertionError):
    """A scenario fails under a schedule. ``__cause__`` is what it raised.

    Attributes:
        seed: the seed, None for a tape. tape: the shortest one found that fails so.
        error: what it raised. told: under which schedule. logs: of that run.
    """

    def __init__(
        self, error: BaseException, told: str, *, seed: int | None, tape: str, logs: Sequence[Log]
    ) -> None:
        super().__init__(
            f'{type(error).__name__}: {error}\n{told}\n  reproduce  replay_tape(..., "{tape}")'
        )
        self.error = error
        self.told = told
        self.seed = seed
        self.tape = tape
        self.logs = logs


class NotRepeatableError(AssertionError):
    """The same schedule went another way the second time: the scenario reads something outside."""


class Ran(NamedTuple):
    """One run of a scenario."""

    tape: Tape
    trace: tuple[str, ...]
    virtual_s: float
    error: BaseException | None
    logs: Sequence[Log]

    @property
    def ending(self) -> Ending:
        """How it ended, told so that two runs can be compared."""
        return ending(self.error)


def explore(
    scenario: Scenario,
    schedules: int = 1000,
    *,
    strategy: str = "portfolio",
    seeds: Iterable[int] | None = None,
) -> Explored:
    """Run *scenario* under *schedules* seeds, 0, 1, 2 ..., or under *seeds*.

    It stops before that where hardly any run is new.

    Args:
        scenario: an ``async def`` that takes a ``Sim``, or nothing.
        strategy: ``random``; ``pct`` or ``pct(3)``, so many things in one order; ``delay`` or
            ``delay(2)``, so often somebody is late; ``faults``, in order, with what
            ``Sim.pick`` picks; ``fifo``, an ordinary loop; ``portfolio``, all of these in turn;
            ``dfs`` or ``dfs(12)``, every order of the first so many choices, without seeds.

    Raises:
        ScheduleError: it raises under one of them. NotRepeatableError: a schedule did not repeat.
        RuntimeError: called in a running loop; a scenario has one of its own. ValueError: there is
            no such strategy, or *schedules* is less than 1, and nothing would be tried.
    """
    _no_loop()
    if schedules < 1:
        raise ValueError(f"schedules is 1 or more, got {schedules}")
    name, bound = parsed(strategy)
    if name == "dfs":
        return _every_order(scenario, schedules, bound or CHOICES_ALL_MAX)
    chosen = range(schedules) if seeds is None else seeds
    runs = (_Try(seed, *chooser(strategy, seed)) for seed in chosen)
    return _tried(scenario, runs, _Count())


class _Try(NamedTuple):
    seed: int | None
    strategy: str
    chooser: Chooser | Sequence[int]


class _Count:
    """What was tried so far."""

    def __init__(self) -> None:
        self.schedules = 0
        self.virtual_s = 0.0
        self._traces: set[bytes] = set()
        self._before: list[int] = []

    def add(self, ran: Ran) -> None:
        self.schedules += 1
        self.virtual_s += ran.virtual_s
        self._before.append(len(self._traces))
        self._traces.add(hashlib.sha256("\n".join(ran.trace).encode()).digest())

    @property
    def is_stale(self) -> bool:
        """Whether of the last runs hardly any was new."""
        if self.schedules < STALE_RUNS:
            return False
        return len(self._traces) - self._before[-STALE_RUNS] < STALE_RUNS * STALE_SHARE

    def told(self, *, complete: bool = False) -> Explored:
        return Explored(
            schedules=self.schedules,
            distinct=len(self._traces),
            virtual_s=self.virtual_s,
            complete=complete,
        )


def _tried(scenario: Scenario, tries: Iterable[_Try], count: _Count) -> Explored:
    for each in tries:
        _checked(scenario, each, count)
        if count.is_stale:
            break
    return count.told()


def _every_order(scenario: Scenario, schedules: int, choices_max: int) -> Explored:
    count, tape = _Count(), list[int]()
    while count.schedules < schedules:
        ran = _checked(scenario, _Try(None, "dfs", tape), count)
        following = next_order(ran.tape.choices, choices_max)
        if following is None:
            return count.told(complete=len(ran.tape.choices) <= choices_max)
        tape = following
    return count.told()


def _checked(scenario: Scenario, each: _Try, count: _Count) -> Ran:
    """Run *scenario* as *each* says, and count it."""
    ran = run(scenario, each.chooser)
    what = f"tape {written(ran.tape.chosen)}" if each.seed is None else f"seed {each.seed}"
    if ran.error is not None:
        failed = failure(scenario, each.strategy, each.seed, ran)
        raise failed from failed.error
    number = count.schedules if each.seed is None else each.seed
    if number % AGAIN_EVERY == 0:
        _check_same(ran, run(scenario, ran.tape.chosen), what)
    count.add(ran)
    return ran


def replay_tape(scenario: Scenario, tape: str) -> None:
    """Run *scenario* once, with the choices of *tape*; what it raises is raised here.

    Raises:
        ValueError: *tape* is none.
    """
    _no_loop()
    error = run(scenario, read(tape)).error
    if error is not None:
        raise error


def check_tape(scenario: Scenario, tape: str) -> None:
    """Run *scenario* with the choices of *tape*, as ``explore`` does with those of a seed.

    Raises:
        ScheduleError: it fails. ValueError: *tape* is none.
    """
    _no_loop()
    _checked(scenario, _Try(None, "tape", read(tape)), _Count())


def run(scenario: Scenario, choices: Sequence[int] | Chooser) -> Ran:
    """Run *scenario* once; whatever it raises is told by what is returned."""
    tape = Tape(choices)
    loop = SimLoop(tape)
    sim = Sim(tape)
    error: BaseException | None = None
    takes_sim = bool(inspect.signature(scenario).parameters)
    try:
        made: Any = scenario
        loop.run(made(sim) if takes_sim else made())
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as raised:
        error = raised
    return Ran(tape, tuple(loop.trace), loop.time(), error, sim.logs)


def failure(scenario: Scenario, strategy: str, seed: int | None, ran: Ran) -> ScheduleError:
    """Return the error that *ran*, which failed, is.

    Raises:
        NotRepeatableError: with the same choices it does not fail so.
    """
    what = "the tape" if seed is None else f"seed {seed}"
    _check_same(ran, run(scenario, ran.tape.chosen), what)
    short = shrunk(lambda choices: run(scenario, choices), ran)
    named = getattr(scenario, "__name__", "scenario")
    seeded = "" if seed is None else f"   seed {seed}"
    assert short.error is not None
    lines = [
        f"  scenario   {named}{seeded}   strategy {strategy}   "
        f"shrunk from {ran.tape.cost} choices to {short.tape.cost}",
        f"  schedule   {_order(short.tape)}",
    ]
    word = written(short.tape.chosen)
    return ScheduleError(short.error, "\n".join(lines), seed=seed, tape=word, logs=short.logs)


def _order(tape: Tape) -> str:
    """Return what was not as in an ordinary loop."""
    told = [
        f"choice {number} of {len(tape.choices)} ({choice.name}, of {choice.among})"
        for number, choice in enumerate(tape.choices, 1)
        if choice.at
    ]
    more = f"; and {len(told) - TOLD_MAX} more" if len(told) > TOLD_MAX else ""
    return f"in order, except {'; '.join(told[:TOLD_MAX])}{more}" if told else "in order"


def _check_same(one: Ran, other: Ran, what: str) -> None:
    if one.trace == other.trace and one.ending == other.ending:
        return
    at = next(
        (n for n, (a, b) in enumerate(zip(one.trace, other.trace, strict=False)) if a != b),
        min(len(one.trace), len(other.trace)),
    )
    raise NotRepeatableError(
        f"{what} went another way the second time, from step {at + 1} on: {one.ending.type} "
        f"{one.ending.text!r}, then {other.ending.type} {other.ending.text!r}. The scenario reads "
        "a clock, chance or state from outside; take time and logs from the Sim it is given"
    )


def _no_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("a scenario runs in a loop of its own: call this from a plain def test")
