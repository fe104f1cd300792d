"""Agents below an agent: what begins and ends them, and how their records are told apart. Pure.

An agent that runs for a tool of another writes into the same log. Its records have its own name
before that of the actor that wrote them: ``agent:main/research#1/model``. Seen from itself, without
that, they are those of a main agent; so every fold, machine and worker knows one agent only, its
own, and whatever is below it has a name that begins with ``CHILD``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from tinyagent.events.fact import Content, Fact, Record

MAIN = "agent:main"
CHILD = f"{MAIN}/"
AGENT = "agent"
"""Who decides, as an agent sees its own records."""
_ACTOR = attrgetter("actor")
_NAME = re.compile(r"(.*#\d+)(?:/|$)")


class ChildStarted(Fact, frozen=True):
    """An agent below this one begins, for a tool call.

    Attributes:
        child: its name, which its records have for an actor.
        limits: what is left of this agent's limits, which holds for the child too.
    """

    kind = "child.started"
    emitter = "tools"
    child: str
    call_id: str
    limits: dict[str, Any] = {}


class ChildEnded(Fact, frozen=True):
    """An agent below this one has ended.

    Attributes:
        content: what it answered. used: what it used, with all below it; counts here too.
    """

    kind = "child.ended"
    emitter = "tools"
    child: str
    outcome: Literal["answered", "stopped", "failed", "cancelled", "over_budget", "paused"]
    content: Content = ""
    used: dict[str, int] = {}


class Named(Protocol):
    """A record, decoded or as a store keeps it."""

    @property
    def seq(self) -> int:
        """Its number."""
        ...

    @property
    def cause(self) -> int:
        """Number of the record that led to it."""
        ...

    @property
    def actor(self) -> str | None:
        """Who wrote it; in a store None for the usual one."""
        ...


R = TypeVar("R", bound=Named)


def is_below(record: Named) -> bool:
    """Whether *record* is of an agent below the one whose log this is."""
    return record.actor is not None and record.actor.startswith(CHILD)


def is_any_below(records: Iterable[Record]) -> bool:
    """Whether one of *records* is of an agent below."""
    return any(actor.startswith(CHILD) for actor in set(map(_ACTOR, records)))


def own(records: Iterable[R]) -> Iterator[R]:
    """Yield the records of the agent itself."""
    return (record for record in records if not is_below(record))


def child_of(actor: str | None) -> str:
    """Return the name of the child that *actor* is or belongs to; empty for the main agent."""
    found = _NAME.match(actor) if actor is not None and actor.startswith(CHILD) else None
    return found[1] if found is not None else ""


def children_of(records: Iterable[Named]) -> list[str]:
    """Return the names of the children that *records* are of, in the order of their first ones."""
    return [name for name in dict.fromkeys(child_of(record.actor) for record in records) if name]


def seen_from(child: str, records: Iterable[R], started: int = 0) -> Iterator[R]:
    """Yield what is *child*'s in *records*, as it sees it: its own as a main agent's.

    *started*: the record that began it, which is what comes from outside, to it.
    """
    below = f"{child}/"
    for record in records:
        actor = record.actor
        if actor == child:
            name = AGENT
        elif actor is None or not actor.startswith(below):
            continue
        else:
            name = actor if child_of(actor) != child else actor.removeprefix(below)
        changed: Any = record  # a struct, whichever of the two
        cause = 0 if record.cause == started else record.cause
        yield msgspec.structs.replace(changed, actor=name, cause=cause)
