"""Takes content out of a log, into a new folder with the same id; the source is left alone.

A payload, or one value in it, becomes ``{"$redacted":"sha256:<digest>","n":<bytes>}``. A payload
redacted as a whole leaves the hash chain as it is: its digest was in the chain before. Anything
else makes the chain anew from there on, and the header names the hash that the old one ended in.
Copies, moved-aside ends and snapshots are not written again, values only if still referred to.
Delete the source yourself, when you are content with the outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tinyagent.events import canonical
from tinyagent.runtime.chain import chain_head, stored_payload
from tinyagent.runtime.load import LoadedLog, read_own
from tinyagent.runtime.repair import Segment
from tinyagent.runtime.stores import SealKey, Stored


class Redaction(msgspec.Struct, frozen=True):
    """What to take out of record *seq*: all of its payload, or the value at *path*.

    *path* is a JSON pointer into the payload, such as ``/content``.
    """

    seq: int
    path: str | None = None


def redact(
    where: str | Path,
    to: str | Path,
    what: Iterable[Redaction],
    *,
    digest: bool = True,
    key: SealKey | None = None,
    masked: Mapping[int, bytes] | None = None,
) -> None:
    """Write the log at *where* into the new folder *to*, without *what*.

    *masked*: payloads that take the place of others, by number, with large values in them.
    Without *digest* no digest is left: for values that could be guessed. *key* signs the seal, if
    the log is of level ``signed``. Durable on return. A fork that was cut behind a record whose
    value, not payload, is redacted does not fit to this log any more.

    Raises:
        LogError: the log cannot be read, or the disk said no. ValueError: *to* holds a log; a
            record or value is not there.
    """
    from tinyagent.runtime.extension import take_out_blobs

    log = read_own(where)
    paths: dict[int, list[str | None]] = {}
    for one in what:
        paths.setdefault(one.seq, []).append(one.path)
    instead = masked or {}
    held = {record.seq for record in log.records}
    if strange := sorted((paths.keys() | instead.keys()) - held):
        raise ValueError(f"{where}: there is no record {strange[0]} in this log's own files")
    before = log.base - 1
    is_whole = digest and not instead and all(None in p for p in paths.values())
    keeps_chain = log.meta.level == "crc" or is_whole
    segment = Segment(
        log.meta,
        before,
        at_us=log.at_us,
        epoch=log.epoch,
        redacted=None if keeps_chain else chain_head(log.meta, log.records, log.seq),
    )
    blobs: dict[str, bytes] = {}
    for record in log.records:
        asked = paths.get(record.seq)
        line = record.line or b""
        is_new = asked is not None or record.seq in instead
        payload, taken = stored_payload(line), take_out_blobs(record.payload)[1]
        if record.seq in instead:
            record = msgspec.structs.replace(record, payload=instead[record.seq])
            payload, taken = take_out_blobs(record.payload)
        if asked is not None:
            payload, taken = _without(log, record, asked, is_digested=digest)
        if is_new or not keeps_chain:
            line = segment.build(record, payload)
        segment.add(line, record.seq, record.ts_us)
        blobs.update(taken)
    segment.write(to, blobs, key)


def _without(
    log: LoadedLog, record: Stored, paths: list[str | None], *, is_digested: bool
) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Return the payload of *record* without the values at *paths*, and its large values."""
    from tinyagent.runtime.extension import take_out_blobs

    if None in paths:
        # As it is in the line: that is what the chain covers.
        whole = stored_payload(record.line or b"")
        return msgspec.json.encode(_mark(whole, is_digested=is_digested)), []
    value: Any = msgspec.json.decode(record.payload)
    for path in paths:
        parent, name = _find(value, (path or "").split("/")[1:])
        if parent is None:
            raise ValueError(f"{log.where}: record {record.seq} has no value at {path!r}")
        parent[name] = _mark(canonical(parent[name]), is_digested=is_digested)
    left, taken = take_out_blobs(msgspec.json.encode(value))
    return left, taken


def _mark(body: bytes, *, is_digested: bool) -> dict[str, object]:
    import hashlib  # loads OpenSSL, which an import of the package shall not

    digest = f"sha256:{hashlib.sha256(body).hexdigest()}" if is_digested else ""
    return {"$redacted": digest, "n": len(body) if is_digested else 0}


def _find(value: Any, names: list[str]) -> tuple[Any, Any]:
    """Return what holds the value that *names* lead to, and its name there; None if nothing."""
    for place, escaped in enumerate(names):
        name: Any = escaped.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            name = int(name) if name.isdigit() else -1
            is_there = 0 <= name < len(value)
        else:
            is_there = isinstance(value, dict) and name in value
        if not is_there:
            break
        if place == len(names) - 1:
            return value, name
        value = value[name]
    return None, None
