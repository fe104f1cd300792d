"""What the contracts of stores and sinks are made of: deaths, lines, records to append."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from tinyagent.runtime.stores import Log, Stored

BEGAN_US = 1_795_420_800_000_000
_LINE = re.compile(rb'(\{"seq":\d+,"d":)\d+(,.*,"x":")[0-9a-f]{8}("\}\n)', re.DOTALL)
_POLYNOMIAL = 0x82F63B78

T = TypeVar("T")


class CrashHook:
    """How the log of one test can be made to die and to fail; ``make_log`` fills it in.

    Attributes:
        kill: makes the store believe that the owner of the open log is dead, without closing it
            and without losing what it has on disk: removes the lock, ends the lease. The next
            call of ``make_log`` then opens the log although the old object is still there.
        failing: returns a context in which the store's disk refuses every write; None if the
            store cannot be made to fail.
    """

    def __init__(self) -> None:
        self.kill: Callable[[], None] | None = None
        self.failing: Callable[[], AbstractContextManager[None]] | None = None


class MakeLog(Protocol):
    """Opens the one log of a test for appending; the first call makes it."""

    def __call__(self, crash_hook: CrashHook, /) -> Log:
        """Return the open log, with *crash_hook* filled in.

        Raises:
            LogOwnedError: it is open already, and was not killed.
        """
        ...


def runs(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make *test* an ordinary function that runs in an event loop of its own, under any plugin."""

    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        asyncio.run(test(*args, **named))

    return run


def append(log: Log, count: int, text: str = "said") -> None:
    """Append *count* records that tell their number."""
    for seq in range(log.seq + 1, log.seq + 1 + count):
        payload = b'{"content":"%s %d"}' % (text.encode(), seq)
        log.append(seq, BEGAN_US + seq, None, "user.said", 1, seq - 1, payload)


def payloads(count: int, text: str = "said", first: int = 1) -> list[bytes]:
    """Return the payloads of the records *first* ... that ``append`` writes."""
    return [b'{"content":"%s %d"}' % (text.encode(), seq) for seq in range(first, first + count)]


def line_of(log_id: str, record: Stored, left: bytes | None = None) -> bytes:
    """Return the line of *record*, built here from the words of the format alone.

    *left*: what stands in the line in place of the payload, if values were moved out of it.
    """
    actor = "" if record.actor is None else f',"a":"{record.actor}"'
    head = (
        f'{{"seq":{record.seq},"d":{record.d},"ts":{record.ts_us}{actor},'
        f'"k":"{record.kind}","v":{record.v},"c":{record.cause},"e":'
    )
    body = head.encode() + (record.payload if left is None else left)
    return body + b',"x":"%08x"}\n' % crc32c(bytes.fromhex(log_id) + body)


def crc32c(data: bytes) -> int:
    """Return the CRC32C of *data* (Castagnoli), the slow and plain way."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def timeless(line: bytes | None) -> bytes:
    """Return *line* without watermark and checksum, which depend on when the disk was done."""
    assert line is not None
    return _LINE.sub(rb"\1\2\3", line)
