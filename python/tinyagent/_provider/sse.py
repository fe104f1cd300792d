"""Server-sent events, cut wherever the network cuts them (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

import re

EVENT_BYTES_MAX = 32 * 1024 * 1024
"""No server means an event that is larger; the decoders of provider streams hold the same."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class EventTooLargeError(ValueError):
    """An event is larger than ``EVENT_BYTES_MAX``."""


class Framer:
    """Bytes in, the data of events out. Linear in the bytes; never waits."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._held_bytes = 0
        self._is_first = True
        self._is_after_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of every event that *data* completes.

        Raises:
            EventTooLargeError: the event that is not complete yet is too large.
        """
        if not data:
            return []
        if self._is_after_cr:
            data = data.removeprefix(b"\n")
        self._is_after_cr = data.endswith(b"\r")
        *lines, rest = _LINE_END.split(data)
        events: list[bytes] = []
        for line in lines:
            whole = b"".join([*self._line, line])
            self._line = []
            self._held_bytes += len(line)
            events += self._take(whole)
        self._line.append(rest)
        self._held_bytes += len(rest)
        if self._held_bytes > EVENT_BYTES_MAX:
            raise EventTooLargeError(f"an event of more than {EVENT_BYTES_MAX} bytes")
        return events

    def end(self) -> list[bytes]:
        """Return what the stream ended with, although no blank line follows it."""
        events = self._take(b"".join(self._line)) + self._take(b"")
        self._line = []
        return events

    def _take(self, line: bytes) -> list[bytes]:
        if self._is_first:
            line, self._is_first = line.removeprefix(_BOM), False
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        if line:
            return []
        found = [b"\n".join(self._data)] if self._data else []
        self._data, self._held_bytes = [], 0
        return found
