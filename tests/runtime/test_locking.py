"""A lock on a file: one holder, also while the file is removed and made again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tinyagent.runtime.stores.locking import FileLock


def test_one_holds_it_and_the_next_when_that_lets_go(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert one.try_acquire()
    assert not other.try_acquire()
    one.release()
    assert other.try_acquire()
    one.close()
    other.close()
    other.close()


def test_who_waited_for_a_file_that_was_removed_looks_at_the_new_one(tmp_path: Path) -> None:
    one, late = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert one.try_acquire()
    one.close(remove=True)
    new = FileLock(tmp_path / "lock")
    assert new.try_acquire()
    assert not late.try_acquire()
    new.close(remove=True)
    assert late.try_acquire()
    late.close(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_another_is_not_removed(tmp_path: Path) -> None:
    old = FileLock(tmp_path / "lock")
    assert old.try_acquire()
    (tmp_path / "lock").unlink()
    new = FileLock(tmp_path / "lock")
    assert new.try_acquire()
    old.close(remove=True)
    assert not FileLock(tmp_path / "lock").try_acquire()
    new.close()


def test_it_is_let_go_of_although_its_file_cannot_be_reached(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    old = FileLock(folder / "lock")
    assert old.try_acquire()
    folder.rename(tmp_path / "elsewhere")
    folder.write_text("no folder")
    old.close(remove=True)
    new = FileLock(tmp_path / "elsewhere" / "lock")
    assert new.try_acquire()
    new.close()


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from tinyagent.runtime.stores.locking import FileLock\n"
        "assert FileLock(Path(sys.argv[1])).try_acquire(); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "lock")], check=False)
    assert done.returncode == 9
    lock = FileLock(tmp_path / "lock")
    assert lock.try_acquire()
    lock.close()
