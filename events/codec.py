"""Events to payload bytes and back, digests, and JSON from outside made fit for a log.

A payload is encoded once and never again. What this release does not know (a kind, a version)
is kept as the bytes it came in.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from tinyagent.events.kinds import KINDS, Event, Fact, Record, UnknownEvent
from tinyagent.events.upcast import upcast

if TYPE_CHECKING:
    from tinyagent._alchemy import Digest

encode_known = msgspec.json.Encoder().encode
"""Returns the payload of an event whose kind is known, and fails as ``encode``."""
_CANONICAL = msgspec.json.Encoder(order="sorted")
_READINGS: dict[str, tuple[int, Callable[[bytes], Fact]]] = {}
_INTEGER_MAX = 2**53
_REDACTED = b'{"$redacted":'


def encode(event: Event) -> bytes:
    """Return the payload of *event*.

    Raises:
        TypeError: a field holds something that JSON cannot say (see ``plain``).
    """
    return event.raw if isinstance(event, UnknownEvent) else encode_known(event)


def legible(event: Event) -> Event:
    """Return *event* with lone surrogates, which no log can hold, as U+FFFD."""
    told = json.dumps(msgspec.to_builtins(event), ensure_ascii=False)
    return msgspec.json.decode(text(told), type=type(event))


def decode(kind: str, v: int, payload: bytes) -> Event:
    """Return the event of a payload; ``UnknownEvent`` if kind or version are not known.

    Also if it was redacted, as a whole or so that it does not fit its kind any more.

    Raises:
        msgspec.ValidationError: a known kind whose payload does not fit it.
    """
    reading = _READINGS.get(kind) or _reading(kind)
    if reading is None or v > reading[0] or payload.startswith(_REDACTED):
        return UnknownEvent(kind, v, payload)
    if v < reading[0]:
        payload = upcast(kind, v, reading[0], payload)
    try:
        return reading[1](payload)
    except msgspec.ValidationError:
        if _REDACTED in payload:
            return UnknownEvent(kind, v, payload)
        raise


def _reading(kind: str) -> tuple[int, Callable[[bytes], Fact]] | None:
    cls = KINDS.get(kind)
    if cls is None:
        return None
    _READINGS[kind] = cls.v, msgspec.json.Decoder(cls).decode
    return _READINGS[kind]


@cache
def readings(kind: str) -> tuple[int, str, Callable[[bytes], list[Fact]]] | None:
    """Return the version of *kind*, its usual emitter, and what reads an array of its payloads.

    None for a kind that this release does not know. What is of another version, or redacted, is
    for ``decode``.
    """
    cls = KINDS.get(kind)
    if cls is None:
        return None
    # A checker takes a class that is looked up for a value.
    several: type[list[Fact]] = list[cls]  # type: ignore[valid-type]
    return cls.v, cls.emitter, msgspec.json.Decoder(several).decode


def record_of(
    *, seq: int, ts_us: int, actor: str | None, kind: str, v: int, cause: int, payload: bytes
) -> Record:
    """Return the record that a store keeps as these values."""
    event = decode(kind, v, payload)
    return Record(seq, ts_us * 1000, cause, actor or event.emitter, event, payload)


def digest(data: bytes) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of *data*."""
    return _hash()(data).told()


def hashing(data: bytes) -> Digest | _Digest:
    """Return what has the digest of *data*, and goes on from there."""
    return _hash()(data)


@cache
def _hash() -> type[Digest | _Digest]:
    # hashlib's only without the extension: OpenSSL looks for SHA-256 among all that it knows each
    # time, which takes longer than to hash what is hashed here.
    try:
        from tinyagent._alchemy import Digest
    except ImportError:
        return _Digest
    return Digest


class _Digest:
    """``_alchemy.Digest``, for a log in memory where the extension cannot be loaded."""

    def __init__(self, data: bytes) -> None:
        import hashlib  # loads OpenSSL, which an import of the package shall not

        self._sha = hashlib.sha256(data)

    def take(self, data: bytes) -> None:
        self._sha.update(data)

    def told(self, more: bytes = b"", /) -> str:
        sha = self._sha.copy()
        sha.update(more)
        return sha.hexdigest()[:16]


def is_same_event(one: Event, other: Event) -> bool:
    """Return whether two events say the same: equal, or equal as they are written."""
    return one == other or encode(one) == encode(other)


def canonical(value: object) -> bytes:
    """Return *value* as JSON with sorted keys and no blanks, equal for equal values."""
    return _CANONICAL.encode(value)


def plain(value: object) -> Any:
    """Return *value* as JSON that a log holds without loss.

    Integers beyond 2^53 become strings, NaN and infinities their names, bytes ``{"$b64": ...}``,
    a mapping with a key that starts with ``$`` is wrapped in ``{"$esc": ...}``, lone surrogates
    become U+FFFD.

    Raises:
        TypeError: *value* holds something else.
    """
    match value:
        case str():
            return text(value)
        case None | bool():
            return value
        case int():
            return int(value) if -_INTEGER_MAX <= value <= _INTEGER_MAX else str(value)
        case float():
            if math.isfinite(value):
                return float(value)
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case bytes() | bytearray():
            return {"$b64": base64.b64encode(value).decode()}
        case Mapping():
            return _mapping(value)
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            raise TypeError(f"{type(value).__name__} cannot be written to a log as JSON")


def restored(value: Any) -> Any:
    """Return what ``plain`` made safe for the log as it was given: ``$esc`` is taken off.

    A value without it comes back as it is, not copied.
    """
    if value is None or isinstance(value, str):
        return value
    match value:
        case {"$esc": dict(inner)} if len(value) == 1:
            return {key: restored(item) for key, item in inner.items()}
        case dict():
            items = {key: restored(item) for key, item in value.items()}
            return items if any(items[key] is not value[key] for key in items) else value
        case list():
            members = [restored(item) for item in value]
            changed = any(new is not old for new, old in zip(members, value, strict=True))
            return members if changed else value
        case _:
            return value


def text(value: str) -> str:
    """Return *value* with lone surrogates, which UTF-8 cannot hold, as U+FFFD."""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        # surrogatepass keeps legal pairs that JSON escapes produced apart together.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise TypeError(f"a key of type {type(key).__name__} cannot be written as JSON")
        out[text(key)] = plain(item)
    return {"$esc": out} if any(key.startswith("$") for key in out) else out
