"""One test on a recorded session: which answers it gets, what is checked, what is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from tinyagent.events import digest, kinds as k
from tinyagent.recording import Recording
from tinyagent.runtime.errors import LogError
from tinyagent.runtime.log import write_packed
from tinyagent.runtime.stores import LogOptions, as_record
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing.answering import RecordedAnswers
from tinyagent.testing.golden import open_golden
from tinyagent.verbs import load

Mode = Literal["none", "once", "new", "all"]
_MEANT = "  try       --ta-record=all asks live and records it again, if the change is meant"


class RecordedSession:
    """The log of one test, answered from the file *path* as *mode* says.

    ``none``: from the file alone. ``once``: so too, but recorded if there is no file. ``new``:
    what the file does not hold is asked live, and the session recorded again. ``all``: everything
    is asked live, and recorded. With *runs_tools* this is so of the model alone: tools do run.
    """

    def __init__(
        self, path: Path, shown: str, mode: Mode, *, allows_live: bool, runs_tools: bool = False
    ) -> None:
        self.path = path
        self.log = MemoryLog(name=path.stem)
        is_there = path.is_file()
        self._recording = _read(path) if is_there and mode != "all" else None
        records = mode in ("new", "all") or (mode == "once" and not is_there)
        self._records = records
        self._shown = shown
        self.answers = RecordedAnswers(
            shown, self._recording, allows_live=records or allows_live, runs_tools=runs_tools
        )
        self.log.options = LogOptions(understudy=self.answers)

    def fault(self) -> str:
        """Return what is wrong at the end of a test that passed, as a report; empty if nothing."""
        return "\n\n".join(self._faults())

    def _faults(self) -> Iterator[str]:
        if self.answers.refused is not None:
            yield str(self.answers.refused)
            return
        if not self.log.seq:
            yield "nothing was run on `recorded`: give it to the agent, build(log=recorded)"
            return
        mine = load(self.log)
        if self._recording is not None and not self.answers.lived:
            today = next((as_record(one) for one in self.log.read(1, 1)), None)
            event = today.event if today is not None else None
            started = event if isinstance(event, k.SessionStarted) else None
            report = self._recording.replay(started)
            if report.first_divergence is not None:
                yield f"{report.first_divergence}\n{_MEANT}"
            elif self.answers.unused:
                yield (
                    f"{self._shown} holds more than was asked for today: "
                    f"{', '.join(self.answers.unused)}\n{_MEANT}"
                )
        if mine.records and (found := mine.replay().first_divergence) is not None:
            yield f"the session of this test does not replay\n{found}"

    def write(self) -> bool:
        """Write the session, if that is wanted and there is something new; say whether."""
        is_new = self._recording is None or self.answers.lived > 0
        if not (self._records and is_new and self.log.seq):
            return False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_packed(self.log, self.path)
        except (OSError, LogError) as error:
            told = f"the session was run, and not recorded: {error}"
            raise pytest.fail.Exception(told, pytrace=False) from None
        return True

    @property
    def session(self) -> Recording:
        """What was recorded by this test so far."""
        return load(self.log)


def _read(path: Path) -> Recording:
    try:
        return load(open_golden(path))
    except (OSError, LogError) as error:
        told = (
            f"the recording cannot be read: {error}\n"
            "  try       restore the file, or --ta-record=all asks live and records it again"
        )
        raise pytest.fail.Exception(told, pytrace=False) from None


NAME_BYTES_MAX = 200
"""Of the name of a file; with its ending most disks take 255."""


def place(folder: Path, test: str, *, records: bool) -> Path:
    """Return the file in *folder* that the session of *test* is in.

    If nothing is recorded, and there is but one of the name that it had when names could be alike,
    it is that one.
    """
    path, before = (folder / f"{name}.jsonl" for name in (file_name(test), _plain(test)))
    return before if not records and not path.is_file() and before.is_file() else path


def file_name(test: str) -> str:
    """Return the name of a test as the name of a file; two tests have two names.

    Where its parameters had to be written otherwise, or it is too long, a digest tells it apart.
    """
    name, given = _plain(test), test.partition("[")[2]
    is_plain = re.fullmatch(r"([\w.-]*[\w.]\])?", given) is not None
    if is_plain and len(name.encode()) < NAME_BYTES_MAX:
        return name
    return f"{name[:100]}-{digest(test.encode())[:8]}"


def _plain(test: str) -> str:
    name = re.sub(r"[^\w.-]+", "-", test).strip("-")
    return name.encode()[:NAME_BYTES_MAX].decode(errors="ignore")
