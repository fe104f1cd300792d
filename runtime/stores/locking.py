"""A file that at most one holder has locked: gone with the process, whatever way that ends."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


class FileLock:
    """An advisory lock on the file *path*, which is made if it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = _opened(path)

    def acquire(self) -> None:
        """Wait for the lock."""
        assert self._fd is not None
        _lock(self._fd, wait=True)

    def try_acquire(self) -> bool:
        """Return whether the lock is ours now; False if another has it."""
        while True:
            assert self._fd is not None
            try:
                _lock(self._fd, wait=False)
            except OSError:
                return False
            if self._is_there():
                return True
            # The holder before removed it between our opening and our locking.
            os.close(self._fd)
            self._fd = _opened(self._path)

    def release(self) -> None:
        """Let another have it."""
        assert self._fd is not None
        _unlock(self._fd)

    def close(self, *, remove: bool = False) -> None:
        """Let go of the lock, and *remove* the file first. Safe to call twice."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        with suppress(OSError):  # a file that stays is locked by the next holder
            if remove and self._is_there(fd):
                self._path.unlink(missing_ok=True)
        os.close(fd)

    def _is_there(self, fd: int | None = None) -> bool:
        """Whether the file at our path is the one that we hold, and not another's."""
        fd = self._fd if fd is None else fd
        try:
            return fd is not None and os.path.samestat(os.fstat(fd), self._path.stat())
        except FileNotFoundError:
            return False


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)


if sys.platform == "win32":  # pragma: no cover - the tests run elsewhere
    import msvcrt

    def _lock(fd: int, *, wait: bool) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

    def _unlock(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(fd: int, *, wait: bool) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)
