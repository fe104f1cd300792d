"""Which events ask for something, and which events end it: one table, by the names of the kinds.

Kinds of a newer release are found here too: their fields are read from the bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from tinyagent.events.children import child_of
from tinyagent.events.fact import Event, Fact, Record, UnknownEvent


class Ends(NamedTuple):
    """How a request ends.

    Attributes:
        kinds: any of these ends it.
        by: the fields in which its end is equal to it; none: the first such record ends it.
            None: the cause of its end is the request.
    """

    kinds: frozenset[str]
    by: tuple[str, ...] | None = None


CALL_ENDS = frozenset(
    {"tool.blocked", "tool.finished", "tool.failed", "tool.settled", "tool.reconciled"}
)
"""What ends a tool call; ``tool.reconciled`` only where it says ``done``."""
REQUESTS: dict[str, Ends] = {
    "host.asked": Ends(frozenset({"host.answered", "host.failed"}), ("hook", "call_id")),
    "model.requested": Ends(frozenset({"model.finished", "model.failed"})),
    "approval.requested": Ends(CALL_ENDS | {"approval.decided"}, ("call_id",)),
    "tool.requested": Ends(CALL_ENDS, ("call_id",)),
    "tool.in_doubt": Ends(CALL_ENDS | {"tool.requested"}, ("call_id",)),
    "timer.set": Ends(frozenset({"timer.fired"})),
    "child.started": Ends(frozenset({"child.ended"}), ("child",)),
    "cancel.requested": Ends(frozenset({"run.ended"}), ()),
}
END_WITH_RUN = frozenset({"timer.set"})
"""What nobody waits for any more when the run is over."""
_ENDED: dict[str, list[str]] = {}
for _request, _ends in REQUESTS.items():
    for _kind in _ends.kinds:
        _ENDED.setdefault(_kind, []).append(_request)


class Open(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request that has no end. ``call_id``, ``hook``: what it is about."""

    seq: int
    kind: str
    call_id: str | None = None
    hook: str | None = None


class OpenWork:
    """The fold of what was asked for and has not ended. ``evolve`` takes each record once."""

    def __init__(self) -> None:
        self._open: dict[tuple[object, ...], Record] = {}

    def evolve(self, record: Record) -> None:
        """Take in one record."""
        event = record.event
        if event.kind in _ENDED and is_end(event):
            for request in _ENDED[event.kind]:
                self._open.pop(_key(request, record, record.cause), None)
        if event.kind == "run.ended":
            ended = child_of(record.actor)
            self._drop(lambda request, owner: request in END_WITH_RUN and owner == ended)
        elif event.kind == "child.ended":  # what waited for a person waits no more
            below = f"{field(event, 'child')}/"
            self._drop(lambda request, owner: f"{owner}/".startswith(below))
        if event.kind in REQUESTS:
            key = _key(event.kind, record, record.seq)
            self._open.pop(key, None)
            self._open[key] = record

    def _drop(self, is_over: Callable[[str, str], bool]) -> None:
        for key in [key for key in self._open if is_over(str(key[0]), str(key[1]))]:
            del self._open[key]

    def read(self) -> tuple[Open, ...]:
        """Return what is open, in the order in which it was asked for."""
        return tuple(
            Open(r.seq, r.event.kind, field(r.event, "call_id"), field(r.event, "hook"))
            for r in self._open.values()
        )


def is_end(event: Event) -> bool:
    """Whether *event* ends what it is about, or only says how far that is."""
    return event.kind != "tool.reconciled" or field(event, "outcome") == "done"


def field(event: Event, name: str) -> Any:
    """Return a field of *event*, also of one that this release does not know; None without it."""
    return getattr(event, name, None) if isinstance(event, Fact) else fields(event).get(name)


def fields(event: UnknownEvent) -> dict[str, Any]:
    """Return what an event of an unknown kind says; nothing if it is no object."""
    try:
        value = msgspec.json.decode(event.raw)
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _key(request: str, record: Record, seq: int) -> tuple[object, ...]:
    by, owner = REQUESTS[request].by, child_of(record.actor)
    if by is None:
        return (request, owner, seq)
    return (request, owner, *(_hashable(field(record.event, name)) for name in by))


def _hashable(value: Any) -> object:
    return value if isinstance(value, str | int | None) else repr(value)
