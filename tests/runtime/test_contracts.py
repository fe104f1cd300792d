"""Every built-in store and sink keeps the contract that others are held to."""

from __future__ import annotations

import resource
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tinyagent import StructlogSink
from tinyagent.runtime.load import read_log
from tinyagent.runtime.sinks.files import FileSink
from tinyagent.runtime.sinks.sqlite import SqliteSink
from tinyagent.runtime.stores import Durability
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.runtime.stores.sqlite import SqliteLog
from tinyagent.testing import CrashHook, LogContract, MakeLog, MakeSink, SinkContract

NOW_US = 1_795_420_800_000_000


@contextmanager
def no_file_grows() -> Generator[None]:
    """Let every write that makes a file longer than a page fail, in the whole process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestMemoryLog(LogContract):
    survives = False

    @pytest.fixture
    def make_log(self) -> MakeLog:
        return lambda crash_hook: MemoryLog(name="trip")


@pytest.mark.parametrize("durability", ["interval", "group", "strict"], scope="class")
class TestFileLog(LogContract):
    @pytest.fixture
    def make_log(self, tmp_path: Path, durability: Durability) -> MakeLog:
        def make(crash_hook: CrashHook) -> FileLog:
            # Nobody trusts the lock: on some file systems it lies.
            crash_hook.kill = (tmp_path / "log" / "LOCK").unlink
            crash_hook.failing = no_file_grows
            return FileLog(
                tmp_path / "log",
                now_us=lambda: NOW_US,
                durability=durability,
                name="trip",
                segment_bytes_max=20_000,
            )

        return make


class TestSqliteLog(LogContract):
    @pytest.fixture
    def make_log(self, tmp_path: Path) -> MakeLog:
        def make(crash_hook: CrashHook) -> SqliteLog:
            address = f"sqlite:///{tmp_path}/logs.db#trip"
            log = SqliteLog(address, now_us=lambda: NOW_US)
            crash_hook.kill = (tmp_path / f"logs.db-owner-{log.meta.log}").unlink
            crash_hook.failing = no_file_grows
            return log

        return make


class TestFileSink(SinkContract):
    @pytest.fixture
    def make_sink(self, tmp_path: Path) -> MakeSink:
        self.folder = tmp_path / "copy"
        return lambda: FileSink(self.folder)

    def held(self) -> list[int]:
        return [record.seq for record in read_log(self.folder).records]


class TestSqliteSink(SinkContract):
    @pytest.fixture
    def make_sink(self, tmp_path: Path) -> MakeSink:
        self.file = tmp_path / "mirror.db"
        return lambda: SqliteSink(self.file)

    def held(self) -> list[int]:
        return [record.seq for record in read_log(f"sqlite:///{self.file}#trip").records]


class TestStructlogSink(SinkContract):
    survives = False

    @pytest.fixture
    def make_sink(self) -> MakeSink:
        sink = StructlogSink(kinds=None)
        return lambda: sink
