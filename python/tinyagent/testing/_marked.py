"""Tests that are run more than once: under many schedules, or with a crash at every record."""

from __future__ import annotations

import asyncio
import inspect
import os
import shlex
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tinyagent.runtime.stores import Log
from tinyagent.testing._recorded import file_name
from tinyagent.testing.crash import CrashRun, Cuts, Factory, Script, prompts_of
from tinyagent.testing.exploring import ScheduleError, Sim, check_tape, explore
from tinyagent.testing.tapes import read

_SEEDS_SAID = (
    "# Schedules under which this test failed; they are run first. Remove none that was a bug.\n"
)


def run_explored(
    item: pytest.Function,
    logs: list[Log],
    *,
    schedules: int = 500,
    strategy: str = "portfolio",
) -> None:
    """Run the body of *item* as a scenario: a tape, or the tapes that failed before and seeds.

    What the body raises says under which schedule, and how to repeat it; the tape is kept, and
    *logs* are those of that run.
    """
    body = body_of(item, "explore")
    given = given_to(item, body)

    async def scenario(sim: Sim) -> None:
        own = {"sim": sim, "agent_log": sim.log()} if "agent_log" in given else {"sim": sim}
        await body(**given | own)

    scenario.__name__ = item.name
    option: Callable[[str], Any] = item.config.getoption
    tape, seed = option("--ta-tape"), option("--ta-seed")
    kept = Seeds(item)
    try:
        for known in [tape] if tape is not None else kept.tapes() if seed is None else []:
            check_tape(scenario, known)
        if tape is None:
            count = option("--ta-schedules") or schedules
            seeds = None if seed is None else [seed]
            explore(scenario, count, strategy=strategy, seeds=seeds)
    except ValueError as wrong:  # of the marker, an option or a kept tape; not of the scenario
        told = f"{item.name} is not explored: {wrong}"
        raise pytest.fail.Exception(told, pytrace=False) from None
    except ScheduleError as failed:
        logs[:] = failed.logs
        failed.error.add_note(f"{failed.told}\n  reproduce  {_command(item, failed.tape)}")
        try:
            kept.add(failed)
        except OSError as error:
            failed.error.add_note(f"  the tape was not kept: {error}")
        raise failed.error from failed.error.__cause__


def _command(item: pytest.Item, tape: str) -> str:
    """Return what repeats *tape*, from the folder that the tests are run in."""
    path, *names = item.nodeid.split("::")
    path = os.path.relpath(item.config.rootpath / path)
    return f"pytest {shlex.quote('::'.join([path, *names]))} --ta-tape {tape}"


class Seeds:
    """The tapes under which a test failed: ``tests/seeds/<test>.txt``, one a line."""

    def __init__(self, item: pytest.Item) -> None:
        folder = Path(item.config.rootpath, item.config.getini("tinyagent_seeds_dir"))
        self.path = folder / f"{file_name(item.name)}.txt"

    def tapes(self) -> list[str]:
        """Return them.

        Raises:
            ValueError: something else is there too.
        """
        if not self.path.is_file():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines()
        found = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
        try:
            for tape in found:
                read(tape)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None
        return found

    def add(self, error: ScheduleError) -> None:
        """Add the tape of *error*, with what failed."""
        if error.tape in self.tapes():
            return
        begin = "" if self.path.is_file() else _SEEDS_SAID
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{begin}{error.tape}  {str(error).splitlines()[0]}\n")


class Crashed:
    """Runs a session, cut behind a record that is another each time the test is repeated.

    ``run = await crashed(build, "Remind Ann.")``; *logs* is its log then.
    """

    def __init__(self, logs: list[Log]) -> None:
        self._logs = logs
        self.points: int | str | Iterable[int | str] = "all"
        self.left: list[int] | None = None
        self._cuts: Cuts | None = None

    async def __call__(self, factory: Factory, script: Script) -> CrashRun:
        """Run *script* on what *factory* builds, cut it, take it up; return what came of it.

        Raises:
            AssertionError: something does not hold that must hold of every session.
        """
        if self._cuts is None or self.left is None:
            self._cuts = Cuts(factory, prompts_of(script))
            await self._cuts.play()
            self.left = list(self._places(self._cuts.whole))
            if not self.left:
                held = ", ".join(dict.fromkeys(record.kind for record in self._cuts.whole.read()))
                told = f"it has 1 to {self._cuts.whole.seq}, of the kinds {held}"
                wanted = f"the session has no record that is one of {self.points!r}"
                pytest.fail(f"{wanted}; {told}", pytrace=False)
        run = await self._cuts.at(self.left[0])
        self._logs[:] = [run.log]
        return run

    def _places(self, whole: Log) -> Iterator[int]:
        points = [self.points] if isinstance(self.points, int | str) else [*self.points]
        for record in whole.read():
            if not {"all", record.seq, record.kind}.isdisjoint(points):
                yield record.seq


def run_crashed(item: pytest.Function, *, points: int | str | Iterable[int | str] = "all") -> None:
    """Repeat the body of *item*, each time with another cut."""
    body = body_of(item, "crash")
    given = given_to(item, body)
    crashed: Crashed = given["crashed"]
    crashed.points = points
    call: Callable[..., Any] = item.obj
    while crashed.left is None or crashed.left:
        try:
            done = call(**given)  # a plugin for asyncio may have made it an ordinary function
            if inspect.iscoroutine(done):
                asyncio.run(done)
        except Exception as error:
            if crashed.left:
                after = crashed.left[0]
                error.add_note(f"cut behind record {after}: @pytest.mark.crash(points=[{after}])")
            raise
        if not crashed.left:
            pytest.fail("a crash test awaits what 'crashed' runs", pytrace=False)
        crashed.left.pop(0)


def body_of(item: pytest.Function, marker: str) -> Callable[..., Coroutine[Any, Any, object]]:
    """Return the function that *item* was collected from.

    Raises:
        pytest.fail.Exception: it is no ``async def``.
    """
    body: Any = inspect.unwrap(item.obj, stop=inspect.iscoroutinefunction)
    if not inspect.iscoroutinefunction(body):
        pytest.fail(f"a test with the marker {marker!r} is an async def", pytrace=False)
    found: Callable[..., Coroutine[Any, Any, object]] = body
    return found


def given_to(item: pytest.Function, body: Callable[..., object]) -> dict[str, Any]:
    """Return the fixtures that *body* takes."""
    names = inspect.signature(body).parameters
    return {name: item.funcargs[name] for name in names if name in item.funcargs}
