"""A session with everything in it is cut after every record, and always comes to the same end."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests import legal
from tests.crash_session import EFFECTS, KINDS, Effect, Host, said
from tests.crashing import ID, cut

from tinyagent import fork, load, open_log, resume
from tinyagent.actors.context import idempotency_key
from tinyagent.events import kinds as k
from tinyagent.runtime.stores import Log, Stored, as_record
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import VirtualClock

pytestmark = pytest.mark.replays_itself
OTHER = "0123456789abcdef0123456789abcdef"
TURNS = 100


class Session:
    """A session that nothing cut off: its log, its effects, the conversation after each run."""

    def __init__(self, log: Log, host: Host) -> None:
        self.log = log
        self.host = host
        self.whole: list[list[Any]] = []

    @property
    def turns(self) -> int:
        return sum(stored.kind == "model.requested" for stored in self.log.read())


async def session(log: Log | None = None, *, runs: int = len(KINDS)) -> Session:
    log = log or MemoryLog(log_id=ID)
    made = Session(log, Host(log))
    for run in range(runs):
        await made.host.play(run)
        made.whole.append(said(made.host.agent.state.messages))
    return made


async def go_on(host: Host, runs: int, *, is_over: bool | None = None) -> int:
    """End the run that was cut off, or play the next one; return its number, *runs* if none."""
    run = host.begun - 1
    if not (host.is_over if is_over is None else is_over):
        await host.finish()
        return run
    if run + 1 < runs:
        await host.play(run + 1)
    return run + 1


def faults_of(host: Host, whole: Sequence[Any], effects: Iterable[Effect]) -> list[str]:
    """Return what is wrong with a log that was taken up, and with what its processes did."""
    found: list[str] = []
    recording = load(host.log)
    report = recording.replay()
    if not report.ok:
        found.append(f"it does not replay: {report.first_divergence}")
    messages = said(host.agent.state.messages)
    if messages != whole:
        found.append(f"it ends with {messages[-3:]}, expected {whole[-3:]}")
    if said(recording.messages) != messages:
        found.append("the log says something else than the agent's state")
    runs = Counter(effect.call_id for effect in effects if EFFECTS[effect.tool] == "write")
    found += (f"{call_id} ran {times} times" for call_id, times in runs.items() if times > 1)
    wrong = [e for e in effects if e.key != idempotency_key(host.log.meta.log, e.call_id)]
    found += (f"{effect.call_id} ran with the key {effect.key}" for effect in wrong)
    if host.agent.state.pending_tool_calls:
        found.append(f"still pending: {host.agent.state.pending_tool_calls}")
    return [*found, *legal.faults(host.events)]


async def taken_up(made: Session, after: int, *, listens: bool) -> list[str]:
    """Cut *made* after a record, take it up; return what is wrong then."""
    rest = cut(made.log, after)
    kept = list(rest.read())
    host = Host(rest, listens=listens)
    run = await go_on(host, len(made.whole))
    if run == len(made.whole):
        return []
    before = [effect for effect in made.host.effects if effect.seq <= after]
    found = faults_of(host, made.whole[run], [*before, *host.effects])
    if list(rest.read(1, after)) != kept:
        found.append("records that were there are not there any more")
    return [f"cut after {after} {kept[-1].kind} of {KINDS[run % 8]}: {fault}" for fault in found]


async def test_cut_after_any_record_a_session_comes_to_the_same_end() -> None:
    made = await session()
    found: list[str] = []
    for after in range(1, made.log.seq + 1):
        found += await taken_up(made, after, listens=after % 2 == 0)
    assert found == []


@pytest.mark.slow
async def test_cut_after_any_record_what_listeners_see_makes_no_difference() -> None:
    made = await session()
    found: list[str] = []
    for after in range(1, made.log.seq + 1):
        found += await taken_up(made, after, listens=after % 2 == 1)
    assert found == []


async def test_a_hundred_turns_cut_anywhere_come_to_the_same_end() -> None:
    made = await session(runs=40)
    assert made.turns >= TURNS
    found: list[str] = []
    for after in random.Random(1).sample(range(1, made.log.seq + 1), 12):
        found += await taken_up(made, after, listens=after % 2 == 0)
    assert found == []


@pytest.mark.slow
async def test_a_hundred_turns_cut_after_every_record_come_to_the_same_end() -> None:
    made = await session(runs=40)
    found: list[str] = []
    for after in range(1, made.log.seq + 1):
        found += await taken_up(made, after, listens=after % 2 == 0)
    assert found == []


async def crashed_again_and_again(made: Session, seed: int) -> list[str]:
    """Cut *made*, take it up, cut what came of that; in the last life somebody decides."""
    chance = random.Random(seed)
    log, effects = made.log, made.host.effects
    after = chance.randint(2, log.seq)
    for _ in range(chance.randint(1, 3)):
        rest = cut(log, after)
        host = Host(rest, listens=chance.random() < 0.5, decides=False)
        if not host.is_over:
            await host.go_on(None)  # as far as it comes without a decision about a doubt
        effects = [*(effect for effect in effects if effect.seq <= after), *host.effects]
        log, after = rest, chance.randint(min(after + 1, rest.seq), rest.seq)
    host = Host(cut(log, after), listens=chance.random() < 0.5)
    run = await go_on(host, len(made.whole))
    effects = [*(effect for effect in effects if effect.seq <= after), *host.effects]
    if run == len(made.whole):
        return []
    return [f"seed {seed}: {fault}" for fault in faults_of(host, made.whole[run], effects)]


@pytest.mark.parametrize("block", range(4))
async def test_crashes_during_the_recovery_from_crashes_change_nothing(block: int) -> None:
    made = await session()
    found: list[str] = []
    for seed in range(block * 30, block * 30 + 30):
        found += await crashed_again_and_again(made, seed)
    assert found == []


async def test_files_cut_at_the_end_of_a_record_come_to_the_same_end(tmp_path: Path) -> None:
    async with open_log(tmp_path / "whole", log_id=ID, clock=VirtualClock()) as log:
        made = await session(log)
        before = list(made.host.effects)
    segment = (tmp_path / "whole" / "00000001.jsonl").read_bytes().splitlines(keepends=True)
    records = segment[1:-1]  # without header and seal
    for after in random.Random(2).sample(range(2, len(records)), 16):
        folder = tmp_path / f"cut-{after}"
        shutil.copytree(tmp_path / "whole", folder)
        (folder / "00000001.jsonl").write_bytes(b"".join(segment[: after + 1]))
        (folder / "LOCK").unlink()  # of a machine that lost its power: no hint of the last sync
        is_over = Host(cut(log, after)).is_over
        hosts: list[Host] = []

        def build(log: Log, hosts: list[Host] = hosts) -> Any:
            hosts.append(Host(log, listens=True))
            return hosts[0].agent

        async with resume(folder, build):
            run = await go_on(hosts[0], len(made.whole), is_over=is_over)
            if run < len(made.whole):
                lived = [effect for effect in before if effect.seq <= after]
                found = faults_of(hosts[0], made.whole[run], [*lived, *hosts[0].effects])
                assert found == [], f"cut after {after}"
        assert load(folder).replay().ok
        assert load(folder).damage is None


async def forked(made: Session, at: int) -> list[str]:
    """Fork *made* at a record, let the fork end what was under way; return what is wrong then."""
    async with fork(made.log, at=at, log_id=OTHER, allow_effects=True) as child:
        host = Host(child, listens=True)
        cut_at = child.meta.fork.at if child.meta.fork is not None else 0
        ended = ends(made.log.read(1, cut_at))
        assert host.model_calls == 0
        assert host.effects == []
        run = host.begun - 1
        if host.is_over:
            return []
        await host.finish()
        wrong = faults_of(host, made.whole[run], host.effects)
        wrong += (f"{e.call_id} ran again" for e in host.effects if e.call_id in ended)
        return [f"fork at {at} of {KINDS[run % 8]}: {fault}" for fault in wrong]


async def test_a_fork_at_any_record_calls_nobody_and_comes_to_the_same_end() -> None:
    made = await session()
    before = list(made.log.read())
    found: list[str] = []
    for at in range(1, made.log.seq + 1):
        found += await forked(made, at)
    assert list(made.log.read()) == before
    assert found == []


def ends(records: Iterable[Stored]) -> set[str]:
    """Return the calls that ended with a tool's own result."""
    events = (as_record(stored).event for stored in records)
    return {event.call_id for event in events if isinstance(event, k.ToolFinished)}
