"""Text for a terminal. What comes from a log is shown, never sent: no escape sequence passes."""

from __future__ import annotations

import unicodedata

_HIDDEN = ("Cc", "Cf", "Zl", "Zp", "Cs", "Co")


def safe(text: str) -> str:
    """Return *text* with control, format and direction marks written out, on one line."""
    return "".join(
        f"\\u{ord(char):04x}" if unicodedata.category(char) in _HIDDEN else char
        for char in text.replace("\n", " ⏎ ").replace("\t", " ")
    )


def cut(text: str, width_max: int) -> str:
    """Return *text* safe and at most *width_max* characters wide."""
    line = safe(text)
    return line if len(line) <= width_max else f"{line[: width_max - 1]}…"
