"""Encrypts the free text of a log, under a key per subject; the extra ``crypto``.

AES-256-GCM. What is authenticated beside the text is its place: log, record, path. So nothing can
be moved within a log or between logs. Who destroys a subject's key has forgotten what was said, in
all copies; the log still verifies.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from tinyagent.events.sealing import ENC, sealed, unsealed
from tinyagent.runtime.errors import CorruptLogError
from tinyagent.runtime.extras import missing
from tinyagent.runtime.load import LoadedLog
from tinyagent.runtime.stores import LogMeta, Stored

KEY_BYTES, NONCE_BYTES = 32, 12
NEED = ("fork", '"need":["enc"]')
"""What the header of such a log says, as ``LogMeta.more`` holds it."""


class Keys(Protocol):
    """Where keys are: a folder, a mapping, a service of yours."""

    def get(self, kid: str, /) -> bytes | None:
        """Return the key *kid*, 32 bytes; None if there is none, any more."""
        ...


class Encryption(msgspec.Struct, frozen=True):
    """Whose text a log holds: everything free that is written goes under the key *subject*."""

    keys: Keys
    subject: str


class KeyFolder:
    """Keys in a folder, a file each, readable by the owner only.

    It must not lie in a folder of logs, nor in the same backups: else nothing is forgotten.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def get(self, kid: str, /) -> bytes | None:
        """Return the key *kid*; None if there is none."""
        try:
            return self._file(kid).read_bytes()
        except FileNotFoundError:
            return None

    def make(self, kid: str) -> None:
        """Make the key *kid*, unless it is there.

        Raises:
            ValueError: *kid* is no name for a file. ModuleNotFoundError: the extra is missing.
        """
        file, aesgcm = self._file(kid), _aesgcm()
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            file.touch(mode=0o600)
            file.write_bytes(aesgcm.generate_key(8 * KEY_BYTES))

    def destroy(self, kid: str) -> None:
        """Remove the key *kid*: what is under it can never be read again."""
        self._file(kid).unlink(missing_ok=True)

    def _file(self, kid: str) -> Path:
        if not kid.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"{kid!r}: a subject is made of letters, digits, - and _")
        return self._path / f"{kid}.key"


class Cipher:
    """Seals and opens the payloads of one log.

    Args:
        logs: ids under which records of it may have been written: its own, those of its parents.
    """

    def __init__(self, keys: Keys, logs: Sequence[str], where: str) -> None:
        self._keys = keys
        self._logs = logs
        self._where = where

    def seal(self, subject: str, seq: int, kind: str, payload: bytes) -> bytes:
        """Return *payload* with its free text under the key of *subject*.

        Raises:
            LookupError: there is no such key.
        """
        box = self._box(subject)

        def seal(path: str, value: Any) -> Any:
            nonce = os.urandom(NONCE_BYTES)
            text = msgspec.json.encode(value)
            secret = box.encrypt(nonce, text, _place(self._logs[0], seq, path))
            return {ENC: {"kid": subject, "n": _text(nonce), "ct": _text(secret)}}

        return sealed(kind, payload, seal)

    def unseal(self, seq: int, kind: str, payload: bytes) -> bytes:
        """Return *payload* in the clear, as far as there are keys.

        Raises:
            CorruptLogError: a value is not what was sealed in this place.
        """

        def unseal(path: str, body: Any) -> Any:
            from cryptography.exceptions import InvalidTag

            box = self._box(body["kid"])
            nonce, secret = (base64.b64decode(body[name]) for name in ("n", "ct"))
            for log in self._logs:
                try:
                    text = box.decrypt(nonce, secret, _place(log, seq, path))
                except InvalidTag:
                    continue
                return msgspec.json.decode(text)
            raise CorruptLogError(
                f"{self._where}: record {seq}: what is encrypted at {path} was not sealed there "
                f"under the key {body['kid']!r}: it was changed or moved, or the key is another",
                path=self._where,
                seq=seq,
            )

        return unsealed(kind, payload, unseal)

    def _box(self, kid: str) -> Any:
        aesgcm, key = _aesgcm(), self._keys.get(kid)
        if key is None:
            raise LookupError(f"there is no key {kid!r}")
        return aesgcm(key)


def _aesgcm() -> Any:
    """Return what encrypts.

    Raises:
        ModuleNotFoundError: it is not installed; says how to.
    """
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ModuleNotFoundError as error:
        raise missing("encrypted logs need", "crypto", error) from None
    return AESGCM


def logs_of(meta: LogMeta) -> list[str]:
    """Return the ids under which records of a log may have been sealed."""
    fork = meta.fork
    return [meta.log] if fork is None else [meta.log, fork.log, *filter(None, [fork.root])]


def opened(log: LoadedLog, keys: Keys) -> list[Stored]:
    """Return the records of *log*, in the clear beside what is stored, as far as there are keys.

    Raises:
        CorruptLogError: a value is not what was sealed in its place.
    """
    cipher = Cipher(keys, logs_of(log.meta), log.where)
    return [
        msgspec.structs.replace(one, clear=cipher.unseal(one.seq, one.kind, one.payload))
        for one in log.records
    ]


def _place(log: str, seq: int, path: str) -> bytes:
    return bytes.fromhex(log) + seq.to_bytes(8, "big") + path.encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
