"""What a person may want to know of the face: each text once."""

from __future__ import annotations

from functools import lru_cache

from tinyagent.runtime.diagnostics import tell


@lru_cache(maxsize=256)
def diagnose(name: str, message: str) -> None:
    """Tell the logger *name* below ``tinyagent`` of *message*, once."""
    tell(name, message)
