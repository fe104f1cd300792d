"""Values that are held in common: thousands of sessions are configured alike. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import msgspec

V = TypeVar("V")
KEPT_MAX = 256
"""So many are held for whoever comes next; who has one keeps it as long as it likes."""


def in_common(value: V) -> V:
    """Return what is equal to *value*, which JSON can say, the same for all; nobody changes it."""
    kind: type = type(value)
    shared: V = _decoded(kind, msgspec.json.encode(value))
    return shared


@lru_cache(maxsize=KEPT_MAX)
def _decoded(kind: type, body: bytes) -> Any:
    return msgspec.json.decode(body, type=kind)
