"""What every event is made of: the struct they share, and the values in several of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import msgspec

REPR_CHARS_MAX = 80
"""So long is one value in the ``repr`` of an event."""

Content: TypeAlias = str | list[dict[str, Any]]
Effect: TypeAlias = Literal["pure", "read", "idempotent", "write"]
EFFECTS = get_args(Effect)
Barrier: TypeAlias = Literal["", "written", "durable"]
FailureKind: TypeAlias = Literal[
    "network",
    "overloaded",
    "refused",
    "invalid",
    "timeout",
    "cancelled",
    "interrupted",
    "overflow",
    "filtered",
    "host",
    "bug",
    "limit",
]
Piece: TypeAlias = tuple[Any, ...]
"""One delta: ``(block, op, data, gap_us)``, or for a run of one block and operation
``(block, op, data, (gap_us, ...), (characters, ...))``."""


class Fact(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What every event has. It holds JSON alone, so it is in no cycle.

    Attributes:
        kind: stable name, past tense. v: version of the payload.
        emitter: the actor that usually writes it; records by another name it.
        barrier: how safe the record must be before its effect may start.
    """

    kind: ClassVar[str]
    v: ClassVar[int] = 1
    emitter: ClassVar[str]
    barrier: ClassVar[Barrier] = ""

    def __repr__(self) -> str:
        return _shown(self, self.__told__())

    def __told__(self) -> Iterator[tuple[str, object]]:
        """Yield what a ``repr`` says: each field that has not its default."""
        return _told(self)


class Failure(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What went wrong at run time. ``retry_after_s``: what a provider asked for."""

    kind: FailureKind
    message: str
    status: int | None = None
    retry_after_s: int | float | None = None

    def __repr__(self) -> str:
        return _shown(self, _told(self))


class ToolSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool as model and runtime know it. ``schema``: JSON Schema, as the user wrote it.

    ``approval``: ``always``, if each call of it waits for a person. ``server``: the name of the
    MCP server that has it.
    """

    name: str
    description: str = ""
    schema: dict[str, Any] = {}
    effect: Effect = "write"
    reconcile: bool = False
    timeout_s: int | float | None = None
    approval: str | None = None
    server: str | None = None


class CallRef(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A complete tool call of an answer. ``args``: digest of the arguments, or ``bad``."""

    id: str
    name: str
    args: str = ""


class UnknownEvent(msgspec.Struct, frozen=True, gc=False):
    """An event of a kind or version that this release does not know; kept as it is."""

    emitter: ClassVar[str] = ""
    barrier: ClassVar[Barrier] = ""
    kind: str
    v: int
    raw: bytes


Event: TypeAlias = Fact | UnknownEvent


class Record(msgspec.Struct, frozen=True):
    """An event in its place.

    Attributes:
        at_ns: nanoseconds since 1970 UTC (stored in microseconds).
        cause: number of the record that led to this one; 0 = from outside.
        actor: who wrote it.
        payload: the event as it was encoded, once.
        live: the caller's own object beside the event; only in the process that made it.
    """

    seq: int
    at_ns: int
    cause: int
    actor: str
    event: Event
    payload: bytes = b""
    live: Any = None


def _told(struct: msgspec.Struct) -> Iterator[tuple[str, object]]:
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        make = field.default_factory
        default = make() if callable(make) else field.default
        if value != default or type(value) is not type(default):
            yield field.name, value


def _shown(struct: msgspec.Struct, told: Iterator[tuple[str, object]]) -> str:
    fields = [f"{name}={_short(value)}" for name, value in told]
    return f"{type(struct).__name__}({', '.join(fields)})"


def _short(value: object) -> str:
    told = repr(value)
    if len(told) <= REPR_CHARS_MAX:
        return told
    return f"{told[: REPR_CHARS_MAX - 4]}...{told[-1]}"
