"""A real process, a real disk, ``kill -9``: what was acknowledged is there, to the byte."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tinyagent.runtime.load import read_log
from tinyagent.runtime.stores.files import FileLog

RECORDER = """
    import asyncio, os, sys
    from tinyagent.runtime.stores.files import FileLog

    path, durability = sys.argv[1:]

    async def main():
        log = FileLog(path, now_us=lambda: 1, durability=durability, segment_bytes_max=30_000)
        os.write(1, b"%d\\n" % log.durable_seq)
        seq = log.seq
        while True:
            for _ in range(7):
                seq += 1
                size = 70_000 if seq % 97 == 0 else seq % 300
                payload = b'{"n":%d,"text":"%s"}' % (seq, b"x" * size)
                log.append(seq, seq, None, "user.said", 1, seq - 1, payload)
            await log.durable(seq)
            os.write(1, b"%d\\n" % seq)

    asyncio.run(main())
"""


def payload_of(seq: int) -> bytes:
    size = 70_000 if seq % 97 == 0 else seq % 300
    return b'{"n":%d,"text":"%s"}' % (seq, b"x" * size)


def killed(path: Path, durability: str, delay_s: float) -> int:
    """Record in another process, kill it after *delay_s*; return the last acknowledgement."""
    command = [sys.executable, "-c", textwrap.dedent(RECORDER), str(path), durability]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        acknowledged = int(process.stdout.readline())
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
    whole = rest[: rest.rfind(b"\n") + 1].split()
    return int(whole[-1]) if whole else acknowledged


def run(path: Path, kills: int, seed: int) -> tuple[int, int]:
    """Kill and check *kills* times; return records at the end, and how often an end was torn."""
    dice = random.Random(seed)
    torn = last = 0
    for round_ in range(kills):
        durability = dice.choice(["interval", "group", "strict"])
        last = max(last, killed(path, durability, dice.uniform(0, 0.03)))
        loaded = read_log(path)
        assert loaded.seq >= last, f"round {round_}: acknowledged {last}, found {loaded.seq}"
        assert [r.seq for r in loaded.records] == list(range(1, loaded.seq + 1))
        wrong = [r.seq for r in loaded.records if r.payload != payload_of(r.seq)]
        assert wrong == [], f"round {round_}"
        torn += loaded.verdict == "torn"
    return last, torn


def test_a_killed_recording_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    last, _ = run(tmp_path / "log", 4, seed=1)
    assert last > 0


@pytest.mark.slow
def test_five_hundred_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    kills = 0
    for folder in range(50):
        run(tmp_path / str(folder), 10, seed=folder)
        kills += 10
    assert kills == 500


def test_after_a_kill_the_next_opening_takes_over_what_was_written(tmp_path: Path) -> None:
    killed(tmp_path, "interval", 0.02)
    before = read_log(tmp_path)
    log = FileLog(tmp_path, now_us=lambda: 1)
    assert log.seq == log.durable_seq == before.seq
    shown = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("*.jsonl")))
    records = [line for line in shown.splitlines(True) if line.startswith(b'{"seq":')]
    assert records == [record.line for record in before.records]
