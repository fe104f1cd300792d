"""Text that is shown and not sent: nothing in it steers a terminal, or turns what is around it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

_SPECIAL = re.compile(r"[^\n\t -~]")
_HIDDEN = ("Cc", "Cf", "Zl", "Zp", "Cs", "Co")


def escaped(char: str) -> str:
    """Return *char* by its number."""
    return f"\\u{ord(char):04x}"


def spelled(text: str) -> str:
    """Return *text* with what UTF-8 has not written out: the name of a file may be no text."""
    return text.encode(errors="backslashreplace").decode()


def visible(text: str, write: Callable[[str], str] = escaped) -> str:
    """Return *text* with control, format and direction marks written out; lines and tabs stay."""
    if text.isprintable():
        return text
    return _SPECIAL.sub(
        lambda found: write(found[0]) if unicodedata.category(found[0]) in _HIDDEN else found[0],
        text,
    )
