"""What a record held and does not hold any more: a large value that is lost, a value redacted.

A reference to a large value is put back by whoever reads the log; where one is left, it leads to
nothing. What was redacted was taken out on purpose, later than the record was written.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tinyagent.events.codec import decode
from tinyagent.events.kinds import Record, UnknownEvent
from tinyagent.events.sealing import placeholder

# A user's own object of this form stands behind "$esc".
_LOST = re.compile(rb'(?<!\{"\$esc":)\{"\$blob":"sha256:([0-9a-f]{64})"')
_REDACTED = re.compile(rb'(?<!\{"\$esc":)\{"\$redacted":"')


def lost_value(record: Record) -> str:
    """Return the digest of the first large value of *record* that is lost; empty if none is."""
    found = _LOST.search(record.payload) if b'{"$blob":' in record.payload else None
    return found[1].decode() if found is not None else ""


def is_redacted(record: Record) -> bool:
    """Return whether something was taken out of *record*."""
    payload = record.payload
    return b'{"$redacted":' in payload and _REDACTED.search(payload) is not None


def without_redacted(record: Record) -> Record:
    """Return *record* with an event of its kind, a word in the place of each value taken out.

    One of which all was taken out, or does not fit its kind even so, comes back as it is.
    """
    event = record.event
    if not isinstance(event, UnknownEvent) or not is_redacted(record):
        return record
    told = msgspec.json.decode(record.payload)
    if "$redacted" in told:
        return record
    try:
        shown = {name: _shown(value, f"/{name}", event.kind) for name, value in told.items()}
        known = decode(event.kind, event.v, msgspec.json.encode(shown))
    except (KeyError, msgspec.ValidationError):  # the first for what a newer release wrote
        return record
    return msgspec.structs.replace(record, event=known)


def _shown(value: Any, path: str, kind: str) -> Any:
    match value:
        case {"$redacted": _}:
            return placeholder(kind, path, "(redacted)")
        case {"$esc": _}:
            return value
        case dict():
            return {key: _shown(item, f"{path}/{key}", kind) for key, item in value.items()}
        case list():
            return [_shown(item, f"{path}/{at}", kind) for at, item in enumerate(value)]
        case _:
            return value
