"""Who may write a log in a folder: one process, one writer, until it ends or is replaced."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.children import said_by_child

from tinyagent._alchemy import LogReader
from tinyagent.runtime.errors import (
    CorruptLogError,
    ForkedProcessError,
    LogFencedError,
    LogOwnedError,
)
from tinyagent.runtime.load import read_log
from tinyagent.runtime.stores.files import FileLog

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"


def now_us() -> int:
    return 1795420800000000


def opened(path: Path) -> FileLog:
    return FileLog(path, now_us=now_us, log_id=ID)


def append(log: FileLog, count: int, text: str = "hello") -> None:
    for _ in range(count):
        seq = log.seq + 1
        payload = b'{"content":"%s %d"}' % (text.encode(), seq)
        log.append(seq, now_us() + seq, None, "user.said", 1, seq - 1, payload)


@pytest.mark.parametrize("size", [1, 100_000])
async def test_a_log_whose_folder_was_removed_is_owned_by_nobody_and_not_made_anew(
    tmp_path: Path, size: int
) -> None:
    where = tmp_path / "log"
    log = opened(where)
    append(log, 1)
    await log.durable(1)
    shutil.rmtree(where)
    append(log, 1, "x" * size)
    told = (
        f"{where / '00000001.jsonl'}: it was removed or renamed; records after 1 were never "
        "acknowledged as durable; nobody else opened the log: put its files back as they were, "
        "and open it again"
    )
    for step in (log.durable(2), log.close()):
        with pytest.raises(LogFencedError) as raised:
            await step
        assert str(raised.value) == told
    assert not where.exists()


def removed(segment: Path) -> None:
    segment.unlink()


def shorter(segment: Path) -> None:
    """Put an older state of it in its place, as a copy that was restored."""
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.unlink()
    segment.write_bytes(b"".join(lines[:-1]))


@pytest.mark.parametrize(("change", "missing"), [(removed, 3), (shorter, 4)])
async def test_what_was_written_and_is_gone_from_the_folder_is_missed_by_who_wrote_it(
    tmp_path: Path, change: Callable[[Path], None], missing: int
) -> None:
    log = opened(tmp_path)
    append(log, 2)
    await log.close()
    log = opened(tmp_path)
    append(log, 2)
    await log.written(4)
    change(tmp_path / "00000002.jsonl")
    with pytest.raises(CorruptLogError, match=rf"{tmp_path}: record {missing} was written") as told:
        list(log.read())
    assert str(told.value).endswith("put it back, and open it again")
    if change is shorter:
        with pytest.raises(
            LogFencedError, match="it was replaced by another; records after 2 were"
        ):
            await log.durable(4)


def test_another_writer_is_refused_at_once_with_the_first_ones_process(
    tmp_path: Path,
) -> None:
    log = opened(tmp_path)
    append(log, 1)
    code = f"""
        from tinyagent.runtime.stores.files import FileLog
        from tinyagent.runtime.errors import LogOwnedError
        try:
            FileLog({str(tmp_path)!r}, now_us=lambda: 1)
        except LogOwnedError as error:
            print(error)
    """
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert f"process {os.getpid()} on " in said.stdout
    assert str(tmp_path) in said.stdout
    with pytest.raises(LogOwnedError):
        opened(tmp_path)
    append(log, 1)
    asyncio.run(log.close())
    assert read_log(tmp_path).seq == 2


async def test_a_writer_that_was_replaced_acknowledges_nothing(tmp_path: Path) -> None:
    old = opened(tmp_path)
    append(old, 2)
    await old.durable(2)
    # The lock lies on some file systems; here it is gone.
    (tmp_path / "LOCK").unlink()
    new = opened(tmp_path)
    append(new, 1, "new")
    append(old, 1, "old")
    with pytest.raises(LogFencedError, match=r"records after 2 were never acknowledged"):
        await old.durable(3)
    with pytest.raises(LogFencedError):
        append(old, 1)
    with pytest.raises(LogFencedError):
        await old.close()
    await new.durable(3)
    await new.close()
    payloads = [record.payload for record in read_log(tmp_path).records]
    assert payloads[2:] == [b'{"content":"new 3"}']


def test_a_child_of_fork_may_read_but_not_append(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, 1)
    asyncio.run(log.durable(1))

    def act() -> str:
        with pytest.raises(ForkedProcessError) as refused:
            append(log, 1)
        return f"{refused.value} {len(list(log.read()))}"

    pid, said = said_by_child(act)
    assert f"opened by process {os.getpid()}, this is its child {pid}" in said
    assert said.endswith(" 1")
    append(log, 1)
    asyncio.run(log.close())
    assert read_log(tmp_path).seq == 2


async def test_only_the_owner_may_read(tmp_path: Path) -> None:
    log = opened(tmp_path / "runs" / "trip")
    append(log, 1)
    await log.close()
    for path in (tmp_path / "runs" / "trip").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "runs" / "trip").stat().st_mode) == 0o700


async def test_another_id_is_refused(tmp_path: Path) -> None:
    await opened(tmp_path).close()
    with pytest.raises(ValueError, match=f"the log here has the id {ID}, not {'0' * 32}"):
        FileLog(tmp_path, now_us=now_us, log_id="0" * 32)


def test_a_log_that_is_dropped_leaves_what_was_accepted_and_frees_the_lock(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, 100)
    del log
    gc.collect()
    again = wait_for(lambda: opened(tmp_path))
    assert again.seq == 100


def wait_for(make: Callable[[], FileLog]) -> FileLog:
    """Retry while the dropped log's thread still holds the lock."""
    for _ in range(200):
        try:
            return make()
        except LogOwnedError:
            threading.Event().wait(0.01)
    return make()


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(3)", "1 / 0"])
def test_a_program_may_end_at_any_time_and_what_it_accepted_is_written(
    tmp_path: Path, ending: str
) -> None:
    code = f"""
        import asyncio
        from tinyagent.runtime.stores.files import FileLog
        log = FileLog({str(tmp_path)!r}, now_us=lambda: 1)
        async def main():
            for seq in range(1, 5001):
                log.append(seq, seq, None, "user.said", 1, 0, b'{{"content":"x"}}')
            waiting = asyncio.create_task(log.durable(6000))
            await asyncio.sleep(0)
            {ending}
        asyncio.run(main())
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, check=False, timeout=20
    )
    loaded = read_log(tmp_path)
    assert (loaded.seq, loaded.verdict) == (5000, "unclean")


def test_importing_the_library_does_not_load_the_extension() -> None:
    code = (
        "import sys, tinyagent, tinyagent.runtime.log, tinyagent.runtime.load\n"
        "assert 'tinyagent._alchemy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_reader_counts_what_it_left_out(tmp_path: Path) -> None:
    opened(tmp_path)
    gc.collect()
    wait_for(lambda: opened(tmp_path))
    gc.collect()
    assert LogReader(tmp_path).counts[0] == 2
