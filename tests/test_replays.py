"""Every recording in ``replays/``: read, replayed, encoded to the same bytes, and readable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.recordings import ALL, REPLAYS, recorded

from tinyagent.cli.transcript import transcript
from tinyagent.events import decode, encode
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import pack
from tinyagent.verbs import load

FILES = sorted(REPLAYS.glob("*.jsonl"))
pytestmark = pytest.mark.skipif(not FILES, reason="replays/ is in the source tree only")


def test_there_are_recordings_of_everything_that_this_project_records() -> None:
    assert {path.stem for path in FILES} >= set(ALL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recording_replays_without_divergence(path: Path) -> None:
    recording = load(path)
    report = recording.replay()
    report.check()
    assert recording.damage is None
    assert report.unfinished == 0
    assert report.requests >= 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recording_is_written_back_byte_for_byte(path: Path) -> None:
    assert pack(read_log(path)) == path.read_bytes()
    for record in load(path).records:
        again = decode(record.event.kind, 1, record.payload)
        assert encode(again) == record.payload


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recording_reads_as_a_conversation(path: Path, snapshot: SnapshotAssertion) -> None:
    recording = load(path)
    lines = [line.replace(str(path.parent), "replays") for line in transcript(recording)]
    words = [event.type for event in recording.events()]
    assert {"transcript": lines, "events": " ".join(words)} == snapshot


@pytest.mark.parametrize("name", ALL)
async def test_a_session_recorded_twice_has_the_same_bytes(name: str) -> None:
    assert pack(await recorded(name)) == pack(await recorded(name))


def test_recordings_replay_under_any_hash_seed() -> None:
    program = (
        "from tests.recordings import REPLAYS\n"
        "from tinyagent.verbs import load\n"
        "for path in sorted(REPLAYS.glob('*.jsonl')):\n"
        "    load(path).replay().check()\n"
        "print('same')"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(REPLAYS.parent)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == "same\n", done.stderr
