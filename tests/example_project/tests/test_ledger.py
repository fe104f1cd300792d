"""The project's own sink, held to the contract that the built-in ones keep."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from clerk.agents import build
from clerk.ledger import Ledger

from tinyagent import open_log
from tinyagent.testing import SinkContract, scripted


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
