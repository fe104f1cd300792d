"""The project's own sink, held to the contract that the built-in ones keep."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from clerk.agents import build
from clerk.ledger import Ledger
from hypothesis import given, settings

from tinyagent import load, open_log
from tinyagent.testing import SinkContract, scripted, strategies


class TestLedger(SinkContract):
    """All checks of the contract."""

    @pytest.fixture
    def make_sink(self, tmp_path: Path) -> partial[Ledger]:
        self.path = tmp_path / "ledger.txt"
        return partial(Ledger, self.path)

    def held(self) -> list[int]:
        return [int(line.split()[0]) for line in self.path.read_text().splitlines()]


async def test_the_ledger_of_a_run(tmp_path: Path) -> None:
    async with open_log(sinks=[Ledger(tmp_path / "ledger.txt")]) as log:
        await build(log=log, model=scripted("Nothing to pay.")).run("Hello.")
    lines = (tmp_path / "ledger.txt").read_text().splitlines()
    assert lines[0] == "1 session.started"
    assert lines[-1].endswith(" run.ended")


@settings(max_examples=25, deadline=None)
@given(log=strategies.event_logs(build))
def test_whatever_the_clerk_does_the_ledger_has_a_line_for_each_record(log) -> None:
    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.txt")
        for record in load(log).records:
            ledger.write(record)
        assert ledger.checkpoint() == log.seq
        assert len((Path(folder) / "ledger.txt").read_text().splitlines()) == log.seq
