"""Reads a log for a command; one that is encrypted with the keys in a folder."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from tinyagent.cli.refs import RefError
from tinyagent.runtime.crypto import KEY_BYTES, KeyFolder
from tinyagent.verbs import Recording, load as load_log

VARIABLE = "TINYAGENT_KEYS"


def load(where: str | Path, keys: str | None) -> Recording:
    """Read the log at *where*, with the keys in the folder *keys*, else in ``TINYAGENT_KEYS``.

    Without such a folder texts that are encrypted say so; so do those whose key is not in it.

    Raises:
        RefError: it is no folder of keys, or none of those that the log needs is in it.
        LogError: as ``verbs.load``.
    """
    wanted = _wanted(keys)
    recording = load_log(where, keys=wanted)
    if wanted is not None:
        wanted.check(where)
    return recording


def _wanted(given: str | None) -> _Wanted | None:
    folder = given or os.environ.get(VARIABLE)
    return _Wanted(Path(folder)) if folder else None


class _Wanted:
    """The keys in a folder, and which of them a log asked for."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise RefError(f"{folder}: there is no such folder of keys (--keys, {VARIABLE})")
        self._folder = folder
        self._keys = KeyFolder(folder)
        self._asked: dict[str, bool] = {}

    def get(self, kid: str, /) -> bytes | None:
        if find_spec("cryptography") is None:
            raise RefError("to read an encrypted log, install the extra `crypto`")
        try:
            key = self._keys.get(kid)
        except ValueError:  # whoever wrote the log keeps keys elsewhere
            key = None
        if key is not None and len(key) != KEY_BYTES:
            raise RefError(f"{self._folder}: the key {kid!r} has {len(key)} bytes, not {KEY_BYTES}")
        self._asked[kid] = key is not None
        return key

    def check(self, where: str | Path) -> None:
        """Raise if there was none of those that were asked for."""
        if self._asked and not any(self._asked.values()):
            names = ", ".join(map(repr, sorted(self._asked)))
            raise RefError(
                f"{where}: it is encrypted, and {self._folder} has no key {names}; put it there as "
                f"<name>.key, or leave out --keys and {VARIABLE}: texts then say that they are "
                "encrypted"
            )
