"""How a log is named on the command line."""

from __future__ import annotations

import os
from pathlib import Path

from tinyagent.runtime.errors import LogNotFoundError


def folder() -> Path:
    """Return where logs are looked for: ``TINYAGENT_LOG_DIR``, else ``./runs``."""
    return Path(os.environ.get("TINYAGENT_LOG_DIR", "runs"))


def resolve(ref: str) -> str | Path:
    """Return the place of the log that *ref* names: a path, or the address of a database.

    Raises:
        LogNotFoundError: there is none; the message lists those that there are.
    """
    if ref == "last":
        logs = sorted(folder().glob("*/00000001.jsonl"), key=lambda path: path.stat().st_mtime)
        if not logs:
            raise LogNotFoundError(f"{folder()}: no logs; record one, or name a path")
        return logs[-1].parent
    if ref.startswith("sqlite:"):
        return ref
    path = Path(ref)
    for candidate in (path, folder() / ref):
        if candidate.exists():
            return candidate
    known = sorted(log.parent.name for log in folder().glob("*/00000001.jsonl"))
    there = f"in {folder()}: {', '.join(known)}" if known else f"{folder()} holds none"
    raise LogNotFoundError(f"{ref}: there is no log ({there})")
