"""The bug garden: planted bugs, one by one, to see that the tests would find them.

Those of the log are in ``rust/log/src/garden.rs``; these are in the rest. A bug is a change of the
source of one function, whose code it replaces while it is planted: whoever changes that source
finds here what no test would have to say about it any more. Each names who finds it, a tool or a
test that is there anyhow, and is run until it does.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import random
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, reduce
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import replay_all, test_crash_everywhere
from tests.events.test_redaction import test_however_an_answer_is_cut_no_value_is_on_record
from tests.face.test_strict import (
    test_a_cancel_is_stepped_on_behind_the_results_that_wait_for_the_disk,
)
from tests.runtime.test_loops import (
    test_a_worker_is_asked_for_more_only_when_what_hangs_on_it_is_safe,
)
from tests.sim.scenarios import SCENARIOS, World

from tinyagent.runtime.log import write_packed
from tinyagent.testing.exploring import Sim, run
from tinyagent.testing.schedules import chooser

HASH_SEEDS = ("1", "4177")


@dataclass(frozen=True)
class Bug:
    """Where it is planted, ``module:name``; what is written there, and what instead; who finds it.

    ``finder`` takes the number of the run and returns what it found; nothing if all is well.
    """

    where: str
    was: str
    becomes: str
    finder: Callable[[int], str]


@contextmanager
def planted(name: str) -> Generator[None]:
    """Let the bug *name* be there, and in the programs that are started meanwhile."""
    bug = BUGS[name]
    function = _function(bug.where)
    code = function.__code__
    function.__code__ = _changed(function, bug)
    os.environ["TA_BUG"] = name
    try:
        yield
    finally:
        function.__code__ = code
        del os.environ["TA_BUG"]


def _function(where: str) -> FunctionType:
    module, _, path = where.partition(":")
    found: Any = reduce(getattr, path.split("."), importlib.import_module(f"tinyagent.{module}"))
    found = found.fget if isinstance(found, property) else found
    assert isinstance(found, FunctionType)
    return found


def _changed(function: FunctionType, bug: Bug) -> CodeType:
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(bug.was) == 1, f"{bug.where} has changed: where would this bug be now?"
    file = f"{function.__code__.co_filename} with a planted bug"
    module = compile(source.replace(bug.was, bug.becomes), file, "exec", dont_inherit=True)
    [code] = [each for each in module.co_consts if isinstance(each, CodeType)]
    return code


def schedules(number: int) -> str:
    """One schedule of one small world."""
    names = list(SCENARIOS)
    play = SCENARIOS[names[number % len(names)]]
    error = run(play, chooser("portfolio", number // len(names))[1]).error
    return "" if error is None else f"{play.__name__}: {type(error).__name__}: {error}"


def cuts(number: int) -> str:
    """One cut of the session with everything in it, anywhere."""

    made = _everything()
    after = random.Random(number).randint(1, made.log.seq)
    taking = test_crash_everywhere.taken_up(made, after, listens=number % 2 == 0)
    return "; ".join(asyncio.run(taking))


def forks(number: int) -> str:
    """One fork of that session, anywhere."""
    made = _everything()
    at = random.Random(number).randint(1, made.log.seq)
    return "; ".join(asyncio.run(test_crash_everywhere.forked(made, at)))


@cache
def _everything() -> test_crash_everywhere.Session:
    return asyncio.run(test_crash_everywhere.session())


def hash_seeds(number: int) -> str:
    """One session of a small world, replayed in processes with other orders of sets."""

    async def five_calls(sim: Sim) -> None:
        world = World(sim)
        await world.run(world.agent([("slow", {"no": n}) for n in range(5)], "Done."))

    ran = run(five_calls, chooser("portfolio", number)[1])
    with tempfile.TemporaryDirectory() as folder:
        write_packed(ran.logs[0], Path(folder) / "five-calls.jsonl")
        for seed in HASH_SEEDS:
            done = subprocess.run(
                [sys.executable, __file__, folder],
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                return done.stdout or done.stderr
    return ""


def passes(test: Callable[[], Any]) -> Callable[[int], str]:
    """A test that is there anyhow."""

    def finder(number: int) -> str:
        said = test()
        if inspect.isawaitable(said):
            asyncio.run(_waited(said))
        return ""

    return finder


async def _waited(said: Any) -> None:
    await said


BUGS = {
    "barrier_skipped_for_write": Bug(
        "runtime.loops:Voice.tell",
        "if not journal.has_reached(said):",
        'if said.event.kind != "tool.started" and not journal.has_reached(said):',
        passes(test_a_worker_is_asked_for_more_only_when_what_hangs_on_it_is_safe),
    ),
    "write_tool_rerun": Bug(
        "actors.tools:Tools._taken",
        'if "write" in (began.effect, tool.effect):',
        'if "writes" in (began.effect, tool.effect):',
        cuts,
    ),
    "key_from_attempt": Bug(
        "actors.context:Ctx.idempotency_key",
        "self.call_id)",
        "self.call_id + '+' * (self.attempt - 1))",
        cuts,
    ),
    "key_shared_by_fork": Bug(
        "actors.session:Session._cast",
        "Contexts(self.log.meta.log,",
        "Contexts((self.log.meta.fork or self.log.meta).log,",
        forks,
    ),
    "machine_takes_cancel_early": Bug(
        "actors.session:Session.run",
        "Mailbox(self.machine.name, self.machine.inputs)",
        "Mailbox(self.machine.name, self.machine.inputs, control=CONTROL)",
        passes(test_a_cancel_is_stepped_on_behind_the_results_that_wait_for_the_disk),
    ),
    "cut_step_decided_twice": Bug(
        "actors.reopening:reopened", "decided[len(kept) :]", "decided", cuts
    ),
    "uuid4_in_event": Bug(
        "actors.agent:_turn_ended",
        'else ""',
        "else __import__('uuid').uuid4().hex[:16]",
        schedules,
    ),
    "lost_wakeup_in_room": Bug(
        "runtime.mailbox:Mailbox.take", "self._make_room()", "pass", schedules
    ),
    "secret_over_delta_edge": Bug(
        "events.redaction:Redactor.split",
        "len(text) if is_last else self._waits_from(sought, text, at)",
        "len(text)",
        passes(test_however_an_answer_is_cut_no_value_is_on_record),
    ),
    "set_order_in_decision": Bug(
        "actors.gate:answered",
        "for call in calls.values():",
        "for call in [calls[name] for name in set(calls)]:",
        hash_seeds,
    ),
}


if __name__ == "__main__":
    with planted(os.environ["TA_BUG"]) if "TA_BUG" in os.environ else nullcontext():
        sys.exit(replay_all.main(Path(sys.argv[1])))
