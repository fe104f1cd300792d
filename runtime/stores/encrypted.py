"""Logs whose free text is encrypted on its way there, and read back with the keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tinyagent.events import Record
from tinyagent.events.sealing import is_sealed
from tinyagent.runtime.crypto import NEED, Cipher, Encryption, logs_of
from tinyagent.runtime.stores import AppendEvent, Stored, as_record
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.sqlite import SqliteLog

if TYPE_CHECKING:
    _Store = FileLog
else:
    _Store = object


class _Sealing(_Store):
    """Ahead of a store, for whom there is the key of the subject.

    Raises:
        LookupError: there is none.
    """

    def __init__(self, where: str | Path, *, encryption: Encryption, **how: Any) -> None:
        subject = self._subject = encryption.subject
        if encryption.keys.get(subject) is None:
            raise LookupError(f"{where}: there is no key {subject!r}; make it first")
        super().__init__(where, **how, more=(NEED,))
        self._cipher = Cipher(encryption.keys, logs_of(self.meta), self.where)

    def append(
        self, seq: int, ts_us: int, actor: str | None, kind: str, v: int, cause: int, payload: bytes
    ) -> None:
        """Accept the record, its free text sealed.

        Raises:
            LogError: as the store's. LookupError: the key was destroyed meanwhile.
        """
        sealed = self._cipher.seal(self._subject, seq, kind, payload)
        super().append(seq, ts_us, actor, kind, v, cause, sealed)

    @property
    def append_event(self) -> AppendEvent | None:
        """None: what is written is not what is told to readers."""
        return None

    def read(self, first: int = 1, last: int | None = None) -> Iterator[Stored]:
        """Yield the records, in the clear beside what is stored."""
        return map(self._opened, super().read(first, last))

    def read_records(self, first: int = 1, *, joined: bool = False) -> list[Record]:
        """Return the records with their events, in the clear; none is *joined* to another."""
        return list(map(as_record, self.read(first)))

    async def tail(self, first: int) -> AsyncIterator[Stored]:
        """Yield the records, likewise, and new ones as they come."""
        async with aclosing(super().tail(first)) as records:  # type: ignore[type-var] # a generator
            async for stored in records:
                yield self._opened(stored)

    def _opened(self, stored: Stored) -> Stored:
        if not is_sealed(stored.payload):
            return stored
        clear = self._cipher.unseal(stored.seq, stored.kind, stored.payload)
        return msgspec.structs.replace(stored, clear=clear)


class EncryptedLog(_Sealing, FileLog):
    """In a folder."""


class EncryptedSqliteLog(_Sealing, SqliteLog):  # type: ignore[misc, override] # it is no FileLog
    """In a database."""
