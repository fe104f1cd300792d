"""Every session that a test records is replayed: at once, and at the end under two hash seeds.

A test that makes a log diverge on purpose says so: ``@pytest.mark.diverges``. One that replays a
great many logs itself is spared the second time: ``@pytest.mark.replays_itself``; a few of its logs
take part in the end all the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tinyagent.actors.replaying import verify
from tinyagent.actors.session import Session
from tinyagent.runtime.chain import pruned_of
from tinyagent.runtime.child_log import ChildLog
from tinyagent.runtime.errors import LogError
from tinyagent.runtime.load import LoadedLog, read_log
from tinyagent.runtime.log import pack, write_packed
from tinyagent.runtime.stores import Log, as_record
from tinyagent.runtime.stores.files import FileLog

HASH_SEEDS = ("1", "4177")
collect_ignore = ["example_project"]  # has an environment of its own: test_example_project.py
OF_ONE_TEST_MAX = 20
"""So many logs of a test that replays its own are kept for the end."""
PROGRAM = Path(__file__).with_name("replay_all.py")


class Recorded:
    """The logs of the sessions that tests opened.

    *given*: what a worker of xdist is told; it keeps its logs where the others do.

    Attributes:
        kept: how many there are of this process. told: what came of them at the end.
    """

    def __init__(self, given: dict[str, Any] | None) -> None:
        self.is_worker = given is not None
        self._worker = given["workerid"] if given is not None else ""
        self._own = tempfile.TemporaryDirectory(prefix="tinyagent-sessions-")
        self.folder = Path(given[_FOLDER] if given is not None else self._own.name)
        self._opened: dict[int, Log] = {}
        self.kept = 0
        self.failures: list[str] = []
        self.told: list[str] = []

    def watch(self) -> None:
        """Note from now on each log that a session is opened over."""
        open_session = Session.open

        def opened(session: Session) -> None:
            self._opened[id(session.log)] = session.log
            open_session(session)

        setattr(Session, "open", opened)  # noqa: B010 - the one place that all sessions pass

    def forget(self) -> None:
        """A test begins."""
        self._opened = {}

    def logs(self) -> Iterator[Log | LoadedLog]:
        """Yield what the test recorded, as far as it can still be read."""
        for log in self._opened.values():
            if isinstance(log, ChildLog):
                continue  # a part of another
            if not isinstance(log, FileLog):
                yield log
                continue
            try:
                yield read_log(log.where)
            except (LogError, OSError):
                continue  # a test of damage, or it has cleaned up
        self._opened = {}

    def keep(self, log: Log | LoadedLog, test: str) -> None:
        """Put *log* aside for the end."""
        self.kept += 1
        named = "".join(c if c.isalnum() else "-" for c in test)[-80:]
        path = self.folder / f"{self._worker}{self.kept:05}-{named}.jsonl"
        try:
            path.write_bytes(pack(log))
        except ValueError:
            write_packed(log, path)  # with its large values; it syncs, which takes its time

    def finish(self) -> None:
        """Replay all of them in processes of their own, each under its hash seed."""
        running = [
            subprocess.Popen(
                [sys.executable, PROGRAM, self.folder],
                env={**os.environ, "PYTHONHASHSEED": seed},
                stdout=subprocess.PIPE,
                text=True,
            )
            for seed in HASH_SEEDS
        ]
        for seed, process in zip(HASH_SEEDS, running, strict=True):
            said = process.communicate()[0].strip()
            self.told.append(f"PYTHONHASHSEED={seed}: {said}")
            if process.returncode:
                self.failures.append(said)
        self._own.cleanup()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to watch."""
    recorded = config.stash[_RECORDED] = Recorded(getattr(config, "workerinput", None))
    recorded.watch()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist where logs are kept."""
    node.workerinput[_FOLDER] = str(node.config.stash[_RECORDED].folder)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test begins."""
    item.config.stash[_RECORDED].forget()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Replay what the test recorded; it fails with the first divergence."""
    yield
    if item.get_closest_marker("diverges") is not None:
        return
    recorded = item.config.stash[_RECORDED]
    is_done = item.get_closest_marker("replays_itself") is not None
    for number, log in enumerate(recorded.logs()):
        if is_done and number >= OF_ONE_TEST_MAX:
            return
        stored = log.records if isinstance(log, LoadedLog) else log.read()
        records = [as_record(one) for one in stored]
        if not records or pruned_of(log.meta) is not None:
            continue
        report = verify(log.where, records)
        if not report.ok:
            pytest.fail(f"a session of this test does not replay\n{report.first_divergence}")
        recorded.keep(log, item.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Replay all of them again."""
    recorded = session.config.stash[_RECORDED]
    if not recorded.is_worker and any(recorded.folder.iterdir()):
        recorded.finish()
    if recorded.failures:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how many there were."""
    for line in config.stash[_RECORDED].told:
        terminalreporter.write_line(line)


_RECORDED = pytest.StashKey[Recorded]()
_FOLDER = "tinyagent_sessions"
