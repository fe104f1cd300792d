"""Our own JSON lines: a packed log, as ``spec/log.md`` draws it; the lines keep their bytes."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from tinyagent.events import Fact
from tinyagent.interchange import Exported, Source
from tinyagent.recording import Recording
from tinyagent.runtime.errors import LogError
from tinyagent.runtime.load import LoadedLog, read_log
from tinyagent.runtime.log import packed
from tinyagent.runtime.stores import Stored
from tinyagent.runtime.stores.sqlite_tables import is_address


def is_mine(body: bytes) -> bool:
    """Whether *body* begins as a log does."""
    return body.startswith(b'{"tinyagent_log":')


def export(recording: Recording) -> Exported:
    """Return the whole log; a fork with what it shares. Nothing is left out."""
    body, blobs = packed(_stored(recording))
    return Exported(
        body, beside={f"*.blobs/{sha[:2]}/{sha}": value for sha, value in blobs.items()}
    )


def read(source: Source) -> list[LoadedLog]:
    """Return the log. It is not imported in the sense of the others: it was recorded.

    Raises:
        LogError: it cannot be read.
    """
    if source.path is not None:
        return [read_log(source.path)]
    with tempfile.TemporaryDirectory(prefix="tinyagent-") as folder:
        path = Path(folder) / "log.jsonl"
        path.write_bytes(source.body)
        return [read_log(path)]


def _stored(recording: Recording) -> LoadedLog:
    """Return the log with its lines; one that is only in memory gets new ones."""
    where = recording.where
    if is_address(where) or Path(where).exists():
        with suppress(LogError):  # something else lies there: the recording knows all but the lines
            found = read_log(where)
            if found.meta.log == recording.meta.log:
                return found
    records = [
        Stored(
            seq=record.seq,
            ts_us=record.at_ns // 1000,
            actor=_named(record.event, record.actor),
            kind=record.event.kind,
            v=record.event.v,
            cause=record.cause,
            payload=record.payload,
        )
        for record in recording.records
    ]
    at_us = records[0].ts_us if records else 0
    last = records[-1].seq if records else 0
    return LoadedLog(
        where=where, meta=recording.meta, records=records, durable_seq=last, at_us=at_us
    )


def _named(event: object, actor: str) -> str | None:
    """Return who wrote a record, as a store keeps it: None for its kind's usual emitter."""
    usual = event.emitter if isinstance(event, Fact) else ""
    return None if actor == usual else actor
