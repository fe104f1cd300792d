"""``tinyagent stats`` and ``tinyagent doctor``."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from importlib import metadata
from pathlib import Path

import pytest
from tests.recordings import REPLAYS

from tinyagent import fork, open_log
from tinyagent.cli.doctor import EXTRAS
from tinyagent.cli.stats import quantile

Run = Callable[..., tuple[int, str, str]]
LOG = str(REPLAYS / "one-tool.jsonl")
BYTES = Path(LOG).read_bytes()
ERROR = str(REPLAYS / "tool-error.jsonl")


def test_tools_have_calls_failures_doubts_and_times(run: Run) -> None:
    code, out, err = run("stats", LOG, ERROR, str(REPLAYS / "unknown-tool.jsonl"), "--by", "tool")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "tides        1 call   1 failed   0 in doubt   p50   2 ms   p95   2 ms",
        "weather     3 calls   2 failed   0 in doubt   p50   2 ms   p95   4 ms",
    ]


def test_models_have_tokens(run: Run) -> None:
    _, out, _ = run("stats", LOG, ERROR)
    assert out == (
        "planner-1     5 calls   0 failed   p50   2 ms   p95   4 ms"
        "          50 in        14 out         0 from cache\n"
    )
    told = json.loads(run("stats", LOG, "--json")[1])
    assert (told["by"], told["logs"]) == ("model", 1)
    assert told["rows"][0]["input_tokens"] == 30


def test_days_are_counted(run: Run) -> None:
    _, out, _ = run("stats", LOG, "--by", "day")
    assert out.startswith("2026-01-01     3 calls")


def test_prometheus_reads_it(run: Run) -> None:
    _, out, _ = run("stats", ERROR, "--by", "tool", "--format", "prom", "--color", "always")
    assert out.splitlines() == [
        "# TYPE tinyagent_tool_calls_total counter",
        'tinyagent_tool_calls_total{tool="weather"} 2',
        "# TYPE tinyagent_tool_failed_total counter",
        'tinyagent_tool_failed_total{tool="weather"} 2',
        "# TYPE tinyagent_tool_in_doubt_total counter",
        'tinyagent_tool_in_doubt_total{tool="weather"} 0',
    ]


async def test_what_a_fork_shares_is_counted_once(run: Run, tmp_path: Path) -> None:
    parent = tmp_path / "parent.jsonl"
    parent.write_bytes(BYTES)
    async with fork(parent, at=14, into=tmp_path / "child"):
        pass
    told = json.loads(run("stats", "--dir", str(tmp_path), "--json")[1])
    assert (told["logs"], told["rows"][0]["calls"]) == (2, 3)


def test_nothing_was_called(run: Run, tmp_path: Path) -> None:
    assert run("stats", "--dir", str(tmp_path), "--by", "tool") == (0, "no tool was called\n", "")


@pytest.mark.parametrize(
    ("values", "percent", "told"),
    [
        ([], 50, None),
        ([3.0], 95, 3.0),
        ([4.0, 1.0, 3.0, 2.0], 50, 2.0),
        ([1.0] * 19 + [9.0], 95, 1.0),
    ],
)
def test_a_quantile_is_a_value_that_was_seen(
    values: list[float], percent: int, told: float | None
) -> None:
    assert quantile(values, percent) == told


def test_a_sound_installation_is_told(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    code, out, err = run("doctor", "--dir", str(folder))
    assert (code, err) == (0, "")
    assert "✓ extension  same version" in out
    assert "✓ extras     cli, testing" in out
    assert f"✓ logs       {folder}: none yet" in out


def test_the_extras_that_are_looked_for_are_those_of_the_package() -> None:
    told = metadata.metadata("tinyagent-runtime").get_all("Provides-Extra", [])
    assert set(told) == set(EXTRAS)


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_a_folder_that_others_can_read_and_a_damaged_log_are_told(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "good.jsonl").write_bytes(BYTES)
    (folder / "bad.jsonl").write_bytes(
        Path(LOG).read_bytes().replace(b'"user.said"', b'"user.sand"')
    )
    code, out, _ = run("doctor", "--dir", str(folder))
    assert code == 1
    assert f"! folder     {folder}/ 0755; others can look into it: chmod 700 {folder}" in out
    assert f"! log        {folder / 'bad.jsonl'}: CorruptLogError: " in out
    assert "✓ logs       1 readable, format 1" in out
    folder.chmod(0o700)
    os.remove(folder / "bad.jsonl")
    assert run("doctor", "--dir", str(folder))[0] == 0


def test_every_damage_to_a_log_is_told_and_what_is_no_log_is_not(run: Run, tmp_path: Path) -> None:
    lines = BYTES.splitlines(keepends=True)
    damages = {
        "torn": ([b"".join(lines[:-1]), b'{"seq":'], "✓ log        {}: torn, "),
        "header": ([lines[0].replace(b"{", b"[", 1), *lines[1:]], "! log        {}: CorruptLogErr"),
        "empty": ([], "! log        {}: CorruptLogError: "),
        "gone": (None, "! log        {}: CorruptLogError: {}: LOCK says that a log was written"),
    }
    for name, (pieces, _) in damages.items():
        (tmp_path / name).mkdir()
        holder = b'{"pid":1,"host":"h","boot":"b","epoch":1,"since":1,"x":"00000000"}'
        (tmp_path / name / "LOCK").write_bytes(holder.ljust(256))
        if pieces is not None:
            (tmp_path / name / "00000001.jsonl").write_bytes(b"".join(pieces))
    (tmp_path / "packed.jsonl").write_bytes(b"".join(damages["header"][0] or ()))
    (tmp_path / "chat.jsonl").write_text('{"messages":[]}\n')
    (tmp_path / "note.jsonl").write_text("no log\n")
    (tmp_path / "folder").mkdir()
    tmp_path.chmod(0o700)
    code, out, _ = run("doctor", "--dir", str(tmp_path))
    told = [line for line in out.splitlines() if line[2:6] == "log "]
    assert (code, len(told)) == (1, 5), out
    for name, (_, start) in damages.items():
        path = tmp_path / name
        assert any(line.startswith(start.format(path, path)) for line in told), out
    assert any(line.startswith(f"! log        {tmp_path / 'packed.jsonl'}: ") for line in told)


@pytest.mark.parametrize("name", ["trip", "trip/00000001.jsonl", "trip/blobs", "."])
def test_what_this_user_may_not_read_is_told(tmp_path: Path, name: str) -> None:
    log, blobs = tmp_path / "runs" / "trip", tmp_path / "runs" / "trip" / "blobs"
    blobs.mkdir(parents=True, mode=0o700)
    (log / "00000001.jsonl").write_bytes(BYTES)
    log.parent.chmod(0o700)
    closed = tmp_path / "runs" / name
    closed.chmod(0)
    try:
        code, out, err = run_confined("doctor", "--dir", str(tmp_path / "runs"))
        assert (code, err) == (0 if name == "trip/blobs" else 1, "")
        assert ("! log  " in out) == (name != "trip/blobs")  # it holds nothing
        code, _, err = run_confined("verify", str(log))
        assert code == (0 if name == "trip/blobs" else 3)
        assert ("ermission" in err) == (name != "trip/blobs")
    finally:
        closed.chmod(0o700)


def run_confined(*args: str) -> tuple[int, str, str]:
    """Run ``tinyagent`` in a process of its own, which may read what modes say: root may all."""
    command = [sys.executable, "-m", "tinyagent", *args]
    if os.geteuid() == 0:
        confined = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        if (
            not shutil.which("setpriv")
            or subprocess.run([*confined, "true"], check=False).returncode
        ):
            pytest.skip("root may read everything, and cannot give that up here (setpriv)")
        command = [*confined, *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_log_that_the_system_cannot_read_is_told(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "00000001.jsonl"
    broken.parent.mkdir()
    broken.symlink_to(broken.name)  # of itself; for root, too, it cannot be opened
    code, out, _ = run("doctor", "--dir", str(tmp_path))
    assert code == 1
    assert f"! log        {broken.parent}: OSError: " in out


def test_logs_in_databases_are_looked_at_and_other_databases_are_not(
    run: Run, tmp_path: Path
) -> None:
    async def write(name: str) -> None:
        async with open_log(f"sqlite:///{tmp_path}/runs.db#{name}") as log:
            for seq in range(1, 4):
                log.store.append(seq, seq, None, "user.said", 1, 0, b'{"content":"hi"}')

    for name in ("sound", "hurt"):
        asyncio.run(write(name))
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE t (a)")
    tmp_path.chmod(0o700)
    code, out, _ = run("doctor", "--dir", str(tmp_path))
    assert (code, "✓ logs       2 readable, format 1" in out) == (0, True), out
    with closing(sqlite3.connect(tmp_path / "runs.db")) as database, database:
        log = database.execute("SELECT id FROM log WHERE meta LIKE '%hurt%'").fetchone()[0]
        database.execute("DELETE FROM record WHERE seq = 2 AND log = ?", (log,))
    code, out, _ = run("doctor", "--dir", str(tmp_path))
    place = f"sqlite:///{tmp_path}/runs.db#hurt"
    told = (
        f"! log        {place}: corrupt, {tmp_path}/runs.db#hurt: record 2: is missing, the next "
    )
    assert code == 1
    assert told in out
    (tmp_path / "runs.db").write_bytes(b"x" * 4096)
    code, out, _ = run("doctor", "--dir", str(tmp_path))
    assert code == 1
    assert (
        f"! log        {tmp_path}/runs.db: CorruptLogError: {tmp_path}/runs.db: file is not" in out
    )


def test_two_owners_of_the_package_are_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another distribution of the same import package is installed beside this one."""
    for name in ("tinyagent-one", "tinyagent-two"):
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "top_level.txt").write_text("tinyagent\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    code, out, _ = run("doctor", "--dir", str(tmp_path / "runs"))
    assert code == 1
    told = out.partition("owners of `tinyagent`: ")[2].partition("; uninstall all but one")
    assert told[1]
    assert {"tinyagent-one", "tinyagent-two"} <= set(told[0].split(", "))  # and us, from a wheel
