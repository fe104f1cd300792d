"""What was chosen in a run, as one word that a person can copy: ``r1:`` and base32."""

from __future__ import annotations

import base64
from collections.abc import Sequence

_FORMAT = "r1:"


def written(choices: Sequence[int]) -> str:
    """Return *choices* as one word; zeros at the end are left out."""
    packed = bytearray()
    for choice in _trimmed(choices):
        while choice > 127:
            packed.append(choice & 127 | 128)
            choice >>= 7
        packed.append(choice)
    return _FORMAT + base64.b32encode(_runs(packed)).decode().rstrip("=").lower()


def read(word: str) -> list[int]:
    """Return the choices that ``written`` wrote.

    Raises:
        ValueError: *word* is no tape.
    """
    if not word.startswith(_FORMAT):
        raise ValueError(f"a tape begins with {_FORMAT!r}, got {word[:20]!r}")
    text = word.removeprefix(_FORMAT).upper()
    try:
        packed = _unrun(base64.b32decode(text + "=" * (-len(text) % 8)))
    except ValueError as error:
        raise ValueError(f"{word[:40]!r} is no tape: {error}") from None
    choices, choice, shift = list[int](), 0, 0
    for byte in packed:
        choice |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            choices.append(choice)
            choice, shift = 0, 0
    return choices


def _trimmed(choices: Sequence[int]) -> list[int]:
    end = len(choices)
    while end and choices[end - 1] == 0:
        end -= 1
    return list(choices[:end])


def _runs(packed: bytes | bytearray) -> bytes:
    """Write each run of zeros as a zero and its length: a shrunk tape is almost all zeros."""
    out, at = bytearray(), 0
    while at < len(packed):
        if packed[at]:
            out.append(packed[at])
            at += 1
            continue
        end = at
        while end < len(packed) and not packed[end] and end - at < 255:
            end += 1
        out += bytes((0, end - at))
        at = end
    return bytes(out)


def _unrun(packed: bytes) -> bytes:
    out, at = bytearray(), 0
    while at < len(packed):
        if packed[at]:
            out.append(packed[at])
            at += 1
        else:
            out += bytes(packed[at + 1] if at + 1 < len(packed) else 0)
            at += 2
    return bytes(out)
