"""Text for a terminal. What comes from a log is shown, never sent: no escape sequence passes."""

from __future__ import annotations

import json
import re
import shutil
import sys
import unicodedata
from typing import Any

import msgspec

_HIDDEN = ("Cc", "Cf", "Zl", "Zp", "Cs", "Co")
_SPECIAL = re.compile(r"[^ -~]")


def safe(text: str) -> str:
    """Return *text* with control, format and direction marks written out, on one line."""
    line = text.replace("\n", " ⏎ ").replace("\t", " ")
    return _SPECIAL.sub(lambda found: _written(found[0], f"\\u{ord(found[0]):04x}"), line)


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
    text = msgspec.json.encode(told).decode()
    return _SPECIAL.sub(lambda found: _written(found[0], json.dumps(found[0])[1:-1]), text)


def value(of: Any) -> str:
    """Return a JSON value as text; a plain string without quotes."""
    return of if isinstance(of, str) else msgspec.json.encode(of).decode()


def _written(char: str, out: str) -> str:
    return out if unicodedata.category(char) in _HIDDEN else char
