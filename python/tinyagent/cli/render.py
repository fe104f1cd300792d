"""Text for a terminal. What comes from a log is shown, never sent: no escape sequence passes."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from typing import Any

import msgspec

_HIDDEN = ("Cc", "Cf", "Zl", "Zp", "Cs", "Co")


def safe(text: str) -> str:
    """Return *text* with control, format and direction marks written out, on one line."""
    return "".join(
        f"\\u{ord(char):04x}" if unicodedata.category(char) in _HIDDEN else char
        for char in text.replace("\n", " ⏎ ").replace("\t", " ")
    )


def cut(text: str, width_max: int | None) -> str:
    """Return *text* safe and at most *width_max* characters wide; None: as wide as it is."""
    line = safe(text)
    return line if width_max is None or len(line) <= width_max else f"{line[: width_max - 1]}…"


def width() -> int | None:
    """Return how wide a line may be: the terminal's columns, without limit in a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def document(schema: str, **values: Any) -> str:
    """Return *values* as one JSON document that names its *schema*, safe for a terminal."""
    told = {"schema": f"tinyagent.{schema}/1", **values}
    return "".join(
        json.dumps(char)[1:-1] if unicodedata.category(char) in _HIDDEN else char
        for char in msgspec.json.encode(told).decode()
    )


def value(of: Any) -> str:
    """Return a JSON value as text; a plain string without quotes."""
    return of if isinstance(of, str) else msgspec.json.encode(of).decode()
