"""What a warning says of a log that holds texts in the form of tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tinyagent.cli.summary import counted
from tinyagent.events import Record
from tinyagent.events.tokens import tokens_in


class Unmasked(NamedTuple):
    """How many such texts there are, and the number of the first record with one."""

    texts: int = 0
    seq: int = 0

    def __str__(self) -> str:
        have = "has" if self.texts == 1 else "have"
        return (
            f"{counted(self.texts, 'text')} {have} the form of a token, first in record "
            f"{self.seq}; `tinyagent redact` takes them out, Redact(patterns=True) masks them"
        )


def unmasked(records: Iterable[Record]) -> Unmasked:
    """Return what of *records* has the form of a token."""
    found = [(tokens, record.seq) for record in records if (tokens := tokens_in(record.payload))]
    return Unmasked(sum(tokens for tokens, _ in found), found[0][1]) if found else Unmasked()
