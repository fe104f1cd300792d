"""Any history of a log, drawn by Hypothesis, beside a model of it in plain Python.

Appended to, synced, read, followed, forked, closed, killed, cut off by a loss of power, archived,
pruned, opened again, with snapshots beside it: after each step the log holds what the model says.
The short tier is a few dozen histories; the long one has as many as ``docs/testing.md`` says.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.log_model import Model

from tinyagent.runtime.archive import archive
from tinyagent.runtime.errors import LogError, LogFencedError, OutOfOrderError
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import forked_from
from tinyagent.runtime.prune import NeededError, detach, forks, prunable, prune
from tinyagent.runtime.stores import ForkedFrom, Log, as_record
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.snapshots import Snapshots
from tinyagent.runtime.stores.sqlite import SqliteLog

NOW_US = 1_795_420_800_000_000
STEPS = 50
SHORT = settings(max_examples=40, stateful_step_count=STEPS, deadline=None)
LONG = settings(SHORT, max_examples=1_000)
ALL = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
PERMILLE = st.integers(0, 1000)
IN_MEMORY = Path("/dev/shm")
"""A sync takes no time there. The disk's own failures are enumerated by ``rust/log``."""


class Histories(RuleBasedStateMachine):
    """One log and its forks. A subclass says where they lie, and how their owner dies."""

    ran = 0

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        self.loop = asyncio.new_event_loop()
        self.model = Model()
        self.forks = 0
        self.name = "log"
        self.log: Log
        self.stale: list[Log] = []

    def open(self, name: str, fork: ForkedFrom | None = None) -> Log:
        raise NotImplementedError

    def kill(self) -> None:
        """Let the store believe that who has the log open is dead."""
        raise NotImplementedError

    def where(self, name: str) -> str | Path:
        raise NotImplementedError

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 30))

    def reopen(self, at_least: int) -> None:
        self.log = self.open(self.name)
        self.model.opened([record.payload for record in self.log.read()], at_least=at_least)

    def scaled(self, permille: int) -> int:
        """Return a record of the log: so far into it."""
        return round(permille * self.model.seq / 1000)

    @initialize()
    def begin(self) -> None:
        self.log = self.open(self.name)
        self.model.opened([], at_least=0)

    @rule(count=st.integers(1, 8), size=st.sampled_from([1, 40, 3_000]))
    def append(self, count: int, size: int) -> None:
        for _ in range(count):
            payload = b'{"content":"%d %s"}' % (self.model.seq + 1, b"x" * size)
            seq = self.model.append(payload)
            self.log.append(seq, NOW_US + seq, None, "user.said", 1, 0, payload)

    @rule()
    def sync(self) -> None:
        self.wait(self.log.durable(self.model.seq))
        self.model.sync()

    @precondition(lambda self: self.model.seq > self.model.gone)
    @rule(which=PERMILLE)
    def append_again(self, which: int) -> None:
        """The same bytes are a retry, other bytes a conflict that names both numbers."""
        seq = max(self.scaled(which), self.model.gone + 1)
        [there] = self.log.read(seq, seq)
        given = (seq, there.ts_us, None, "user.said", 1, 0)
        self.log.append(*given, there.payload)
        with pytest.raises(OutOfOrderError):
            self.log.append(*given, b'{"content":"another"}')
        with pytest.raises(OutOfOrderError):
            self.log.append(self.model.seq + 2, *given[1:], b"{}")

    @rule(first=PERMILLE, last=PERMILLE)
    def read(self, first: int, last: int) -> None:
        begin, end = self.scaled(first), self.scaled(last)
        found = [record.payload for record in self.log.read(max(begin, 1), end)]
        assert found == self.model.read(begin, end)

    @rule(first=PERMILLE)
    def tail(self, first: int) -> None:
        """Whoever follows gets what is there, and what comes meanwhile, each record once."""
        begin = max(self.scaled(first), self.model.gone + 1)
        wanted = self.model.seq + 3

        async def follow() -> list[bytes]:
            found: list[bytes] = []
            following = self.log.tail(begin)
            while len(found) < wanted - begin + 1:
                if self.model.seq < wanted:
                    self.append(1, 1)
                found.append((await anext(following)).payload)
            return found

        assert self.wait(follow()) == self.model.read(begin, wanted)

    @rule(at=PERMILLE)
    def fork(self, at: int) -> None:
        """A child holds what its parent held, goes on by itself, and leaves its parent alone."""
        cut = self.scaled(at)
        if cut <= self.model.gone:
            return
        self.wait(self.log.written(self.model.seq))
        before = list(self.log.read())
        self.forks += 1
        child = self.open(f"fork{self.forks}", forked_from(self.log, cut))
        model = self.model.forked(cut)
        payload = b'{"content":"of the child"}'
        child.append(model.append(payload), NOW_US, None, "user.said", 1, 0, payload)
        self.wait(child.close())
        loaded = read_log(self.where(f"fork{self.forks}"))
        first = loaded.records[0].seq  # a copy of the parent beside it may hold what was pruned
        assert first <= self.model.gone + 1
        assert [record.payload for record in loaded.records] == model.accepted[first - 1 :]
        assert list(self.log.read()) == before

    @rule()
    def close_and_open(self) -> None:
        self.wait(self.log.close())
        self.model.sync()
        self.reopen(at_least=self.model.seq)

    @rule()
    def killed(self) -> None:
        """What was written survives the process; who was thought dead is fenced off."""
        self.wait(self.log.written(self.model.seq))
        self.stale.append(self.log)
        self.kill()
        self.reopen(at_least=self.model.seq)

    @precondition(lambda self: bool(self.stale))
    @rule()
    def stale_owner_wakes_up(self) -> None:
        old = self.stale.pop()
        seq = old.seq + 1

        async def go_on() -> None:
            old.append(seq, NOW_US, None, "user.said", 1, 0, b'{"content":"of the dead"}')
            await old.durable(seq)

        with pytest.raises(LogFencedError):
            self.wait(go_on())
        with suppress(LogError):
            self.wait(old.close())

    @invariant()
    def they_agree(self) -> None:
        if not self.model.epoch:
            return
        assert self.log.seq == self.model.seq
        assert self.log.epoch == self.model.epoch
        assert self.log.durable_seq >= self.model.durable

    def teardown(self) -> None:
        type(self).ran += 1
        for log in [*self.stale, self.log] if self.model.epoch else []:
            with suppress(LogError):
                self.wait(log.close())
        self.loop.close()
        shutil.rmtree(self.folder)


class InFolders(Histories):
    """Logs in folders, whose power may fail besides."""

    def where(self, name: str) -> Path:
        return self.folder / name

    def open(self, name: str, fork: ForkedFrom | None = None) -> FileLog:
        return FileLog(
            self.where(name),
            now_us=lambda: NOW_US,
            segment_bytes_max=20_000,
            interval_ms=3_600_000,  # nothing is durable by the passing of time alone
            fork=fork,
        )

    def kill(self) -> None:
        (self.where(self.name) / "LOCK").unlink()

    def closed(self) -> Path:
        """Close the log, so that something can be done to its files; return where they are."""
        self.wait(self.log.close())
        self.model.sync()
        return self.where(self.name)

    @rule()
    def archived(self) -> None:
        """Its segments are joined into compressed files: all of it is there as before."""
        archive(self.closed())
        self.reopen(at_least=self.model.seq)

    @rule(before=PERMILLE, detaches=st.booleans())
    def pruned(self, before: int, detaches: bool) -> None:
        """Its beginning is removed, up to a segment; not if a fork shares any of that."""
        where = self.closed()
        upto = prunable(where, self.scaled(before)).upto
        for fork in forks(where) if detaches else ():
            shown = read_log(fork).records
            if shown[0].seq > 1:  # of a log that was pruned itself
                with pytest.raises(NeededError, match="no beginning to copy"):
                    detach(fork)
                continue
            assert detach(fork) > 0
            assert [r.payload for r in read_log(fork).records] == [r.payload for r in shown]
        if upto and forks(where):
            with pytest.raises(NeededError, match="is a fork of it"):
                prune(where, self.scaled(before))
        elif upto:
            assert self.model.gone < upto < self.scaled(before)
            assert prune(where, self.scaled(before)).upto == upto
            self.model.gone = upto
        assert read_log(where).base == self.model.gone + 1
        self.reopen(at_least=self.model.seq)

    @precondition(lambda self: self.model.seq > self.model.gone)
    @rule(at=PERMILLE)
    def snapshot(self, at: int) -> None:
        """One more lies beside the log, and the newest of them is read back; no record changes."""
        seq = max(self.scaled(at), self.model.gone + 1)
        [record] = map(as_record, self.log.read(seq, seq))
        snapshots = Snapshots(self.where(self.name), self.log.meta.log)
        snapshots.keep(record, "today", lambda: b"%d" % seq)
        snapshots.wait()
        [found] = [each for each in snapshots.read("today") if each.seq == seq]
        assert found.is_behind(record)
        assert bytes(found.held) == b"%d" % seq
        assert [*snapshots.read("yesterday")] == []

    @rule(at=PERMILLE, garbage=st.sampled_from([b"", b"\x00" * 700, b'{"seq":1,', b"\n", b"\xff"]))
    def power_fails(self, at: int, garbage: bytes) -> None:
        """The last segment ends anywhere behind what was acknowledged, and anything may follow."""
        self.wait(self.log.written(self.model.seq))
        whole = self.where(self.name)
        self.name += "'"
        shutil.copytree(whole, self.where(self.name), ignore=shutil.ignore_patterns("LOCK"))
        last = max(self.where(self.name).glob("*.jsonl"))
        lines = last.read_bytes().splitlines(keepends=True)
        safe = sum(len(line) for line in lines if self._is_safe(line))
        end = safe + (sum(map(len, lines)) - safe) * at // 1000
        os.truncate(last, end)
        with last.open("ab") as file:
            file.write(garbage)
        self.wait(self.log.close())
        self.reopen(at_least=self.model.durable)

    def _is_safe(self, line: bytes) -> bool:
        number = line.removeprefix(b'{"seq":').split(b",")[0]
        return not number.isdigit() or int(number) <= self.log.durable_seq


class InDatabases(Histories):
    """Logs in one SQLite file."""

    def where(self, name: str) -> str:
        return f"sqlite:///{self.folder}/logs.db#{name}"

    def open(self, name: str, fork: ForkedFrom | None = None) -> SqliteLog:
        return SqliteLog(self.where(name), now_us=lambda: NOW_US, fork=fork)

    def kill(self) -> None:
        (self.folder / f"logs.db-owner-{self.log.meta.log}").unlink()


@pytest.mark.parametrize("store", [InFolders, InDatabases])
def test_any_history_of_a_log_leaves_what_the_model_says(store: type[Histories]) -> None:
    run_state_machine_as_test(store, settings=settings(SHORT, suppress_health_check=ALL))


@pytest.mark.slow
@pytest.mark.parametrize("store", [InFolders, InDatabases])
def test_a_thousand_histories_of_fifty_steps(store: type[Histories]) -> None:
    before = store.ran
    run_state_machine_as_test(store, settings=settings(LONG, suppress_health_check=ALL))
    assert store.ran - before >= 1_000
