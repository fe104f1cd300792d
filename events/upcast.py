"""Payloads of older versions to today's: one pure function per kind and version, chained.

Empty so far: every kind is at version 1. Register ``("tool.requested", 1): function`` here when
a kind reaches version 2; the function takes and returns plain objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

UPCASTERS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}


def upcast(kind: str, v: int, to: int, payload: bytes) -> bytes:
    """Return *payload* of version *v* as version *to*.

    Raises:
        KeyError: no upcaster leads from one version to the next; every release ships all.
    """
    value = msgspec.json.decode(payload)
    for version in range(v, to):
        value = UPCASTERS[kind, version](value)
    return msgspec.json.encode(value)
