"""``tinyagent show REF``: what was said and done; every record; a request; how things stood."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from tinyagent.cli import refs, views
from tinyagent.cli.diff import request_near
from tinyagent.cli.refs import Place, RefError
from tinyagent.cli.render import cut, document, safe, width
from tinyagent.cli.verify import worded
from tinyagent.events import Record, kinds as k
from tinyagent.events.messages import Assistant
from tinyagent.events.work import field
from tinyagent.verbs import Recording, load

WIDTH = 100
MARGIN = 16
"""Number and label stand in front of a text."""
NEVER_FOLDED = frozenset(
    {
        "actor.failed",
        "approval.decided",
        "approval.requested",
        "budget.exceeded",
        "child.ended",
        "child.started",
        "foreign",
        "host.failed",
        "log.lost",
        "log.recovered",
        "output.rejected",
        "session.forked",
        "session.resumed",
        "sink.failed",
        "tool.reconciled",
        "tool.settled",
    }
)
"""Kinds that a transcript shows although nobody said anything: errors, doubts, decisions."""


def run(argv: Sequence[str]) -> int:
    """Print the log, or how it stood at a record, and return 0."""
    parser = refs.parser("show")
    parser.add_argument("ref", nargs="?", default="last", help="REF, or REF:N: up to record N")
    parser.add_argument(
        "--view", choices=("transcript", "events", "context", "state"), help="default: transcript"
    )
    parser.add_argument("--only", metavar="KIND", help="records of this kind, as --view events")
    parser.add_argument("--grep", metavar="RE", help="lines that match")
    given = parser.parse_args(argv)
    pattern = _pattern(given.grep)
    place = refs.place(given.ref, given.dir)
    recording = load(place.path)
    view = given.view or ("events" if given.only else "transcript")
    if given.only and view != "events":
        raise RefError(f"--only picks records: leave out --view {view}")
    lines, told = _views(recording, place, view, given.only)
    if given.json:
        about = {
            "log": recording.meta.log,
            "name": recording.meta.name,
            "where": recording.where,
            "status": recording.status,
            "usage": recording.usage,
            "in_doubt": [call.call_id for call in recording.in_doubt],
            "damage": recording.damage,
        }
        print(document("show", view=view, **about, **told))
        return 0
    for line in lines:
        if pattern is None or pattern.search(line):
            print(line)
    if recording.damage is not None:
        print(cut(f"! {worded(recording)}", width()))
    return 0


def _pattern(given: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(given) if given else None
    except re.error as error:
        raise RefError(f"--grep {given}: {error}") from None


def _views(
    recording: Recording, place: Place, view: str, only: str | None
) -> tuple[Iterator[str], dict[str, Any]]:
    """Return a view as lines, and as JSON values."""
    if view == "context":
        request = recording.request_at(request_near(recording, place.n))
        return views.request(request), {"request": views.plain_request(request)}
    if view == "state":
        last = recording.records[-1].seq if recording.records else 0
        standing = recording.state_at(last if place.n is None else place.n)
        return views.state(standing), {"record": standing.seq, "state": standing.plain()}
    if place.n is not None:
        recording.why(place.n)  # refuses a number that is not there
    shown = [
        record
        for record in recording.records
        if (place.n is None or record.seq <= place.n) and only in (None, record.event.kind)
    ]
    if view == "events":
        return events(shown, width()), {"records": [_plain(record) for record in shown]}
    lines = [
        {"seq": seq, "label": label, "text": text}
        for seq, label, text in told(recording)
        if place.n is None or seq <= place.n
    ]
    columns = width()
    text = None if columns is None else max(columns - MARGIN, 1)
    return transcript(recording, place.n, text), {"lines": lines}


def _plain(record: Record) -> dict[str, Any]:
    return {
        "seq": record.seq,
        "at_ns": record.at_ns,
        "cause": record.cause,
        "actor": record.actor,
        "kind": record.event.kind,
        "event": msgspec.Raw(record.payload),
    }


def transcript(
    recording: Recording,
    until: int | None = None,
    columns: int | None = WIDTH,
    *,
    after: int = 0,
) -> Iterator[str]:
    """Yield what was said and done, one line each; behind record *after*, up to *until*."""
    settings = recording.settings
    model, count = settings.model.get("id", "?"), len(recording.records)
    head = f"{recording.where} · {recording.ref} · {model} · {count} records"
    yield cut(head, None if columns is None else columns + MARGIN)
    shown = 0
    for seq, label, text in told(recording):
        if seq > after and (until is None or seq <= until):
            shown += 1
            yield f"{seq:>5}  {label:8} {cut(text, columns)}"
    upto = sum(
        record.seq > after and (until is None or record.seq <= until)
        for record in recording.records
    )
    yield f"       {upto - shown} other records: --view events"


def told(recording: Recording) -> Iterator[tuple[int, str, str]]:
    """Yield number, label and text of every record that a person wants to read."""
    answers = {m.seq: m for m in recording.conversation.messages if isinstance(m, Assistant)}
    for record in recording.records:
        event = record.event
        call = recording.tool_calls.get(str(field(event, "call_id")))
        name = call.name if call is not None else "?"
        match event:
            case k.UserSaid(content=content, via=via):
                yield record.seq, "user" if via == "prompt" else via, _content(content)
            case k.ModelFinished(usage=usage, reason=reason):
                text = _answer(answers.get(record.cause)) + _usage(usage)
                yield record.seq, "model", text + ("" if reason != "length" else " (cut)")
            case k.ModelFailed(failure=failure) | k.ModelRetrying(failure=failure):
                label = "failed" if isinstance(event, k.ModelFailed) else "retry"
                yield record.seq, label, f"{failure.kind}: {failure.message}"
            case k.ToolFinished(content=content):
                yield record.seq, "tool", f"{name} = {_content(content)}"
            case k.ToolFailed(failure=failure):
                yield record.seq, "tool", f"{name} ✗ {failure.message}"
            case k.ToolBlocked(content=content, by=by):
                told = content if call is None or call.content is None else call.content
                yield record.seq, "blocked", f"{name} by {by}: {_content(told)}"
            case k.ToolInDoubt(why=why):
                yield record.seq, "in doubt", f"{name} ({why})"
            case k.CancelRequested(reason=reason):
                yield record.seq, "cancel", reason
            case k.RunEnded(outcome=outcome):
                yield record.seq, "end", outcome
            case k.DiagnosticReported(name=diagnostic, message=message):
                yield record.seq, "note", f"{diagnostic}: {message}"
            case _ if event.kind in NEVER_FOLDED:
                payload = record.payload.decode("utf-8", "replace")
                yield record.seq, "note", f"{event.kind} {payload}"
            case _:
                pass


def events(records: Iterable[Record], columns: int | None = None) -> Iterator[str]:
    """Yield every record: number, kind, cause, payload."""
    for record in records:
        payload = record.payload.decode("utf-8", "replace")
        kind = safe(record.event.kind)
        yield cut(f"{record.seq:>5}  {kind:20} ← {record.cause:<5} {payload}", columns)


def _content(content: k.Content) -> str:
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text") or f"[{part.get('type')}]") for part in content)


def _answer(answer: Assistant | None) -> str:
    if answer is None:
        return ""
    said = "".join(block.text for block in answer.blocks if block.op in ("text", "refuse"))
    calls = [f"{block.name}({_short(block.text)})" for block in answer.blocks if block.op == "call"]
    return said + (f" → {', '.join(calls)}" if calls else "")


def _short(arguments: str) -> str:
    try:
        value = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return arguments
    if not isinstance(value, dict):
        return arguments
    return ", ".join(f"{key}={msgspec.json.encode(item).decode()}" for key, item in value.items())


def _usage(usage: dict[str, object] | None) -> str:
    return f"  [{usage.get('input', 0)} in, {usage.get('output', 0)} out]" if usage else ""
