"""``tinyagent diff A [B] [--state|--context]``: where two logs, records or requests differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tinyagent.actors.asked import RequestAt, compared
from tinyagent.cli import refs, views
from tinyagent.cli.answers import Diff
from tinyagent.cli.options import COMMON, ONE, Common, Keys, NoPager
from tinyagent.cli.parts import PlainApart
from tinyagent.cli.reading import load
from tinyagent.cli.refs import Place, RefError
from tinyagent.cli.render import answer, emit, line
from tinyagent.events import kinds as k
from tinyagent.runtime.divergence import differences
from tinyagent.runtime.errors import NotInLogError
from tinyagent.verbs import Recording

if TYPE_CHECKING:
    from tinyagent.actors.differing import Apart, LogDiff

MORE_MAX = 20
"""So many places after the first are worded; ``--json`` has all of them."""


def run(
    one: Annotated[str, Parameter(name="A", allow_leading_hyphen=True, help=f"{ONE}; or REF:N")],
    other: Annotated[
        str | None,
        Parameter(
            name="B", allow_leading_hyphen=True, help="left out: A against the call before it"
        ),
    ] = None,
    /,
    *,
    state: Annotated[bool, Parameter(help="what the agent knew")] = False,
    context: Annotated[bool, Parameter(help="what the model was sent")] = False,
    no_pager: NoPager = False,
    keys: Keys = None,
    common: Common = COMMON,
) -> int:
    """Print what differs; return 1 if something does."""
    if state and context:
        raise RefError("--state or --context, not both")
    a = refs.place(one, common.dir)
    b = refs.place(other, common.dir) if other is not None else None
    if b is not None and (a.n is None) is not (b.n is None):
        raise RefError("say a record of both logs, or of none")
    if context or (b is None and not state):
        lines, told = _contexts(a, b, keys)
    elif state or a.n is not None:
        lines, told = _states(a, b, keys)
    else:
        assert b is not None
        lines, told = _logs(load(a.path, keys), load(b.path, keys))
    if common.json:
        answer(told)
    else:
        emit(lines, color=common.color, pager=not no_pager)
    return 0 if told.same else 1


Told = tuple[Iterator[str], Diff]


def _logs(a: Recording, b: Recording) -> Told:
    found = a.diff(b)
    told = Diff(
        of="logs",
        same=found.is_same,
        records=found.same,
        first=_plain(found.first) if found.first is not None else None,
        cascade=[_plain(apart) for apart in found.cascade],
    )
    return worded(found), told


def _plain(apart: Apart) -> PlainApart:
    return PlainApart(
        seq=apart.seq,
        other=apart.other,
        after=apart.after,
        grade=apart.grade,
        here=apart.here,
        there=apart.there,
        paths=views.plain_leaves(apart.paths),
    )


def worded(found: LogDiff) -> Iterator[str]:
    """Yield where two logs part."""
    for text in found.summary(MORE_MAX, views.WHOLE).splitlines():
        sign = text[7:8] if text[:1] == " " else ""
        yield line((text, {"-": "red", "+": "green"}.get(sign, "")))


def _states(a: Place, b: Place | None, keys: str | None) -> Told:
    """Compare two states; without *b* that before the record with that after it."""
    first = load(a.path, keys)
    if b is None:
        n, other, m = a.number - 1, first, a.number
    else:
        other = first if b.path == a.path else load(b.path, keys)
        n, m = (_last(log, place) for log, place in ((first, a), (other, b)))
    found = list(differences(first.state_at(n).plain(), other.state_at(m).plain()))
    told = Diff(of="states", same=not found, records=[n, m], changed=views.plain_leaves(found))

    def lines() -> Iterator[str]:
        yield f"state after {n} and after {m}: " + ("the same" if not found else "not the same")
        yield from views.differing(found)

    return lines(), told


def _last(recording: Recording, place: Place) -> int:
    if place.n is not None:
        return place.n
    return recording.records[-1].seq if recording.records else 0


def _contexts(a: Place, b: Place | None, keys: str | None) -> Told:
    """Compare two requests; without *b* that of *a* with the one before it in its log."""
    first = load(a.path, keys)
    found = first.request_at(request_near(first, a.n))
    if b is None:
        plain = views.plain_request(found)
        told = Diff(of="requests", same=_is_same(found), request=plain)
        return views.request(found), told
    other = first if b.path == a.path else load(b.path, keys)
    against = other.request_at(request_near(other, b.n))
    changes = compared(against.body, found.body)
    same = found.body == against.body
    told = Diff(
        of="requests",
        same=same,
        records=[found.seq, against.seq],
        changes=views.plain_changes(changes),
    )

    def lines() -> Iterator[str]:
        yield f"request {found.seq} and request {against.seq}: " + (
            "the same to the byte" if same else "not the same"
        )
        yield from views.changes(changes, "the same")

    return lines(), told


def _is_same(found: RequestAt) -> bool:
    return not (found.added or found.removed or found.changed)


def request_near(recording: Recording, n: int | None) -> int:
    """Return record *n* if it is a request, else the last request before it; None: of all.

    Raises:
        NotInLogError: there is none.
    """
    asked = [
        record.seq
        for record in recording.records
        if isinstance(record.event, k.ModelRequested) and (n is None or record.seq <= n)
    ]
    if not asked or (n is not None and n > recording.records[-1].seq):
        where = f"at or before record {n}" if n is not None else "in it"
        raise NotInLogError(f"{recording.where}: no request {where}")
    return asked[-1]
