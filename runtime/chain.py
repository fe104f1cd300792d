"""The hash chain over a log, and forks, which go on from their parent's hash.

``rust/log/src/chain.rs`` says how a hash is made. It covers every record before it, so two
histories that differ anywhere before the cut differ there.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import msgspec

from tinyagent.runtime.stores import ForkedFrom, Log, LogMeta, Stored

BATCH_RECORDS = 1024
# The ends of a line: ``,"x":"9f3a1c02"}`` and a newline, before it ``,"h":"..."`` if chained.
TAIL_BYTES, CHAIN_BYTES = 17, 39


def line_of(meta: LogMeta, record: Stored) -> tuple[bytes, dict[str, bytes]]:
    """Return the line of *record* in the log *meta*, and its large values by digest.

    The stored line if there is one, else one with the watermark 0. What a fork shares with its
    parent has the parent's lines, but for the checksum, which is the fork's.
    """
    from tinyagent.runtime.extension import line, line_under, take_out_blobs

    left, taken = take_out_blobs(record.payload)
    if record.line is not None:
        is_shared = meta.fork is not None and record.seq <= meta.fork.at
        return (line_under(record.line, meta.log) if is_shared else record.line), dict(taken)
    r = record
    built = line(meta.log, r.d, r.seq, r.ts_us, r.actor, r.kind, r.v, r.cause, left)
    return built, dict(taken)


def chain_head(meta: LogMeta, records: Iterable[Stored], upto: int) -> str:
    """Return the chain hash after record *upto*, 64 hexadecimal digits, whatever the level.

    *records* are those of the log in order; a fork's own are enough if *upto* is not before its
    cut.

    Raises:
        ValueError: records up to *upto* are missing.
    """
    from tinyagent.runtime.extension import chain_over

    fork, pruned = meta.fork, pruned_of(meta)
    if pruned is not None and upto < pruned.upto:
        raise ValueError(f"log {meta.log}: record {upto} was removed on purpose")
    seq = fork.at if fork is not None and upto >= fork.at else 0
    seq = pruned.upto if pruned is not None else seq
    head = chain_start(meta, seq)
    wanted = (record for record in records if seq < record.seq <= upto)
    while batch := list(islice(wanted, BATCH_RECORDS)):
        for record in batch:
            if record.seq != seq + 1 and lost_from(record) != seq + 1:
                raise ValueError(f"log {meta.log}: record {seq + 1} is missing")
            seq = record.seq
        head = chain_over(head, [line_of(meta, record)[0] for record in batch])
    if seq != upto:
        raise ValueError(f"log {meta.log}: it ends at record {seq}, before {upto}")
    return head


def chain_start(meta: LogMeta, before: int) -> str:
    """Return the chain hash before the first record of *meta*; of a fork at *before* its cut."""
    from tinyagent.runtime.extension import chain_origin

    fork, pruned = meta.fork, pruned_of(meta)
    if pruned is not None and before == pruned.upto:
        return pruned.head
    if fork is not None and before == fork.at:
        return fork.head
    return chain_origin(meta.log if fork is None else fork.root or fork.log)


class PrunedAt(msgspec.Struct, frozen=True):
    """The last record that was removed on purpose, and the chain hash there."""

    upto: int
    head: str


def pruned_of(meta: LogMeta) -> PrunedAt | None:
    """Return what was removed of the log's beginning; None if all is there."""
    for _, raw in meta.more:
        name, _, value = raw.partition(":")
        if name == '"pruned"':
            return msgspec.json.decode(value, type=PrunedAt)
    return None


def stored_payload(line: bytes) -> bytes:
    """Return the payload that *line* holds, large values as references."""
    end = -TAIL_BYTES - CHAIN_BYTES if line[-56:-50] == b',"h":"' else -TAIL_BYTES
    # What comes before it holds no quotes of its own: the first is the one.
    return line[line.index(b',"e":') + 5 : end]


def lost_from(record: Stored) -> int:
    """Return the first record that *record* stands for: itself, but for ``log.lost``."""
    if record.kind != "log.lost":
        return record.seq
    return lost_first(record.payload)


def lost_first(payload: bytes) -> int:
    """Return the first record that a ``log.lost`` with *payload* stands for."""
    return msgspec.json.decode(payload, type=_Lost).first


class _Lost(msgspec.Struct):
    first: int


class Head(msgspec.Struct, frozen=True):
    """The last record of a log and the chain hash there: an anchor to keep elsewhere."""

    seq: int
    hash: str


def head(log: Log) -> Head:
    """Return the anchor of *log* as it is now, whatever its level. Reads all of it.

    Kept in a trace, a commit, another store, it convicts whoever rewrites the log later.

    Raises:
        LogError: as ``log.read``.
    """
    fork = log.meta.fork
    upto = log.seq
    records = log.read(fork.at + 1 if fork is not None else 1, upto)
    return Head(upto, chain_head(log.meta, records, upto))


def forked_from(log: Log, at: int) -> ForkedFrom:
    """Return what a fork of *log* after record *at* keeps of it. Reads the log up to there.

    Wait until *at* is durable first (``log.durable``): a fork must not outlive what it shares.

    Raises:
        ValueError: *log* has no record *at*, and *at* is not 0.
    """
    meta = log.meta
    if not 0 <= at <= log.seq:
        raise ValueError(f"{log.where}: no fork at {at}: the log holds the records 1..{log.seq}")
    begins = meta.fork.at + 1 if meta.fork is not None and at >= meta.fork.at else 1
    root = (meta.fork.root or meta.fork.log) if meta.fork is not None else None
    head = chain_head(meta, log.read(begins, at), at)
    return ForkedFrom(log=meta.log, at=at, head=head, root=root)
