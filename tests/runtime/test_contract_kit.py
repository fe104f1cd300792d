"""The contracts are for others too: the example of the manual runs as a project of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tinyagent.runtime.stores import Stored
from tinyagent.testing._crashing import crc32c, line_of

PAGE = Path(__file__).parents[2] / "docs" / "stores.md"
ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"


def run(folder: Path, *options: str) -> str:
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_example_of_the_manual_passes_in_a_project_of_its_own(tmp_path: Path) -> None:
    if not PAGE.is_file():
        pytest.skip("no manual here: the tests run against an installed wheel")
    [example] = re.findall(r"```python fresh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (tmp_path / "test_mine.py").write_text(example)
    # Whatever plugin for asyncio is there, or none.
    said = run(tmp_path, "-p", "no:asyncio")
    assert re.search(r"^6\d passed, 1 skipped in", said, re.MULTILINE), said


BROKEN = """
from pathlib import Path
import pytest
from tinyagent.runtime.sinks.files import FileSink
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import CrashHook, LogContract, MakeLog, SinkContract

class Forgetful(MemoryLog):
    def read(self, first=1, last=None):
        return (record for record in super().read(first, last) if record.seq != 7)

class TestForgetful(LogContract):
    survives = False
    @pytest.fixture
    def make_log(self):
        return lambda crash_hook: Forgetful()

class Ahead:
    kinds = None
    def checkpoint(self):
        return 99
    def write(self, record):
        pass
    async def close(self):
        pass

class TestAhead(SinkContract):
    @pytest.fixture
    def make_sink(self):
        return Ahead
"""


def test_a_store_and_a_sink_that_break_the_contract_are_told_what_was_expected(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_broken.py").write_text(BROKEN)
    said = run(tmp_path)
    assert "FAILED test_broken.py::TestForgetful::test_records_are_numbered_without_gaps" in said
    assert "FAILED test_broken.py::TestAhead::test_a_new_sink_holds_nothing" in said
    assert "assert 99 == 0" in said  # what was compared is shown, as in tests of one's own
    assert re.search(r"At index 6 diff: 8 != 7", said)


TRUSTING = """
import pytest
from tinyagent.actors.transports import Answer, Failure
from tinyagent.actors.transports.native import NativeExchange, NativeTransport
from tinyagent.testing import TransportContract

class Exchange(NativeExchange):
    async def read(self):
        try:
            return await super().read()
        except Failure:
            return []
    def finish(self):
        return Answer(reason="end")

class Transport(NativeTransport):
    def open(self, request):
        return Exchange(self, request)

class TestTrusting(TransportContract):
    @pytest.fixture
    def make_transport(self):
        return Transport
"""


def test_a_transport_that_takes_what_broke_off_for_an_answer_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "test_trusting.py").write_text(TRUSTING)
    said = run(tmp_path, "-p", "no:asyncio")
    found = {line.split("::")[2].split(" ")[0] for line in said.splitlines() if "FAILED" in line}
    assert found == {
        "test_an_answer_arrives_as_pieces_and_says_how_it_ended",
        "test_an_answer_that_breaks_off_is_never_taken_for_a_whole_one",
        "test_one_json_body_is_an_answer_too",
        "test_a_server_that_falls_silent_in_its_answer_is_given_up",
    }
    assert "assert 'end' is None" in said


def test_the_contract_builds_lines_by_itself() -> None:
    assert f"{crc32c(b'123456789'):08x}" == "e3069283"
    record = Stored(
        seq=2,
        ts_us=1795420800051400,
        actor=None,
        kind="user.said",
        v=1,
        cause=0,
        payload=b'{"content":"Remind Ann about INV-7."}',
    )
    assert line_of(ID, record) == (
        b'{"seq":2,"d":0,"ts":1795420800051400,"k":"user.said","v":1,"c":0,'
        b'"e":{"content":"Remind Ann about INV-7."},"x":"c7617ef3"}\n'
    )
