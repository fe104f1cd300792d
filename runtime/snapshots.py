"""Snapshots: a cache beside the log, ``snap/<20 digits>.json``, that may be deleted at any time.

A snapshot is what folding the records up to its number gave. It is one JSON line with its own
SHA-256 and the version of the code that folded; one that does not fit is passed over, never
brought up to date. Written whole or not at all.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

FOLDER = "snap"
DIGITS = 20


class Snapshot(msgspec.Struct, frozen=True):
    """What was kept of the records up to *seq*. *body* is JSON."""

    seq: int
    code: str
    body: bytes


class _File(msgspec.Struct, kw_only=True):
    seq: int
    code: str
    sha256: str
    body: msgspec.Raw


def write(log_folder: str | Path, snapshot: Snapshot) -> None:
    """Keep *snapshot* beside the log in *log_folder*, replacing one of the same number.

    Wait until record *seq* is durable first (``log.durable``).

    Raises:
        LogFailedError: the disk said no; the log is not touched by that.
    """
    from tinyagent._alchemy import write_atomically

    body = msgspec.json.format(snapshot.body, indent=-1)
    file = _File(seq=snapshot.seq, code=snapshot.code, sha256=_sha256(body), body=msgspec.Raw(body))
    write_atomically(_path(Path(log_folder), snapshot.seq), msgspec.json.encode(file) + b"\n")


def latest(log_folder: str | Path, at_most: int, code: str) -> Snapshot | None:
    """Return the last snapshot up to record *at_most* that *code* wrote and that is whole.

    Others are passed over; nothing is raised for them.
    """
    folder = Path(log_folder) / FOLDER
    found = sorted(folder.glob("[0-9]" * DIGITS + ".json"), reverse=True)
    for path in found:
        if int(path.stem) <= at_most:
            snapshot = _read(path)
            if snapshot is not None and snapshot.code == code:
                return snapshot
    return None


def drop(log_folder: str | Path) -> None:
    """Delete all snapshots of a log."""
    for path in (Path(log_folder) / FOLDER).glob("[0-9]*.json*"):
        path.unlink(missing_ok=True)


def _path(log_folder: Path, seq: int) -> Path:
    return log_folder / FOLDER / f"{seq:0{DIGITS}}.json"


def _read(path: Path) -> Snapshot | None:
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.MsgspecError):
        return None
    body = bytes(file.body)
    if file.seq != int(path.stem) or file.sha256 != _sha256(body):
        return None
    return Snapshot(file.seq, file.code, body)


def _sha256(body: bytes) -> str:
    import hashlib  # loads OpenSSL, which an import of the package shall not

    return hashlib.sha256(body).hexdigest()
