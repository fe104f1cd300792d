"""A log as lines: what was said and done, every record, where the time went."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tinyagent._reading.costs import SECOND_NS
from tinyagent.cli.render import Line, Piece, bad, bold, dim, line, safe
from tinyagent.cli.summary import counted, dollars, seconds, summary_of, text_of
from tinyagent.events import Record, kinds as k
from tinyagent.events.children import CHILD, child_of
from tinyagent.events.messages import Assistant
from tinyagent.events.work import field
from tinyagent.recording import Recording

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
NAME_MAX = 16
BARS = 48
"""So wide is a timeline."""


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was said or done.

    Attributes:
        seq: what it is called: of a model call its request. until: the record that ended it.
        name: of the tool. took_s: None where nothing was waited for.
        input, output: tokens, as the provider told them. is_bad: it failed, or is in doubt.
        agent: of an agent below, its name.
    """

    seq: int
    until: int
    label: str
    text: str
    name: str = ""
    took_s: float | None = None
    input: int | None = None
    output: int | None = None
    is_bad: bool = False
    agent: str = ""


def transcript(recording: Recording, until: int | None = None, *, after: int = 0) -> Iterator[Line]:
    """Yield what was said and done, one line each; behind record *after*, up to *until*."""
    yield head(recording)
    wide = max((len(call.name) for call in recording.every_call.values()), default=0)
    shown = 0
    for row in rows(recording, until):
        if row.until > after:
            shown += 1
            yield told(row, min(wide, NAME_MAX))
    upto = sum(
        record.seq > after and (until is None or record.seq <= until)
        for record in recording.records
    )
    if upto > shown:
        yield line(dim(f"       {upto - shown} other records: --view events"))


def head(recording: Recording) -> Line:
    """Return which log it is, and how much there is in it."""
    of = summary_of(recording)
    parts = [recording.ref, of.model, counted(of.turns, "turn"), seconds(of.took_s)]
    parts.append(f"{of.tokens:,} tokens" if of.tokens else f"{of.records:,} records")
    if of.cost_usd is not None:
        parts.append(dollars(of.cost_usd))
    return line(bold(of.name or of.where), dim(" · " + " · ".join(parts)))


def told(row: Row, wide: int = 0) -> Line:
    """Return *row* as a line, in columns; that of tools is *wide* characters."""
    start: list[Piece] = [dim(f"{row.seq:>5}  "), (f"{row.label:9} ", STYLES.get(row.label, ""))]
    if row.label.startswith("model"):
        start.append(dim(f"{seconds(row.took_s):>6}  {_tokens(row)}"))
    elif row.name:
        start.append(dim(f"{seconds(row.took_s):>6}  "))
        start.append(f"{safe(row.name):{wide}}  ")
    if row.agent:
        start.append(dim(f"{safe(row.agent.removeprefix(CHILD))}  "))
    text = f"✗ {row.text}" if row.is_bad and row.label != "in doubt" else row.text
    return line(*start, bad(text) if row.is_bad else text)


STYLES = {"user": "bold", "in doubt": "red", "end": "dim", "retry": "yellow", "cancel": "yellow"}


def _tokens(row: Row) -> str:
    if row.input is None and row.output is None:
        return ""
    return f"{row.input or 0:>6,} in {row.output or 0:>4,} out  "


def rows(recording: Recording, until: int | None = None) -> Iterator[Row]:
    """Yield every record that a person wants to read, up to record *until*."""
    numbers = {record.seq: record for record in recording.records}
    said = [
        m for one in (recording, *recording.children.values()) for m in one.conversation.messages
    ]
    answers = {m.seq: m for m in said if isinstance(m, Assistant)}
    for record in recording.records:
        if until is not None and record.seq > until:
            return
        for row in _rows(record, recording, numbers, answers):
            child = child_of(record.actor)
            yield msgspec.structs.replace(row, agent=child) if child else row


def _rows(
    record: Record,
    recording: Recording,
    numbers: dict[int, Record],
    answers: dict[int, Assistant],
) -> Iterator[Row]:
    if isinstance(record.event, k.ModelFinished | k.ModelFailed):
        yield _answered(record, numbers.get(record.cause), answers.get(record.cause))
    elif record.event.kind.startswith("tool."):
        row = _called(record, recording)
        if row is not None:
            yield row
    else:
        label, text = _said(record)
        if label:
            is_bad = isinstance(record.event, k.HostFailed | k.ActorFailed)
            yield Row(seq=record.seq, until=record.seq, label=label, text=text, is_bad=is_bad)


def _answered(record: Record, asked: Record | None, answer: Assistant | None) -> Row:
    event = record.event
    assert isinstance(event, k.ModelFinished | k.ModelFailed)
    n = asked.event.n if asked is not None and isinstance(asked.event, k.ModelRequested) else 0
    usage = event.usage or {}
    text = _answer(answer)
    if isinstance(event, k.ModelFailed):
        failure = f"{event.failure.kind}: {event.failure.message}"
        text = f"{failure}   after: {text}" if text else failure
    elif event.reason == "length":
        text += " (cut)"
    return Row(
        seq=asked.seq if asked is not None else record.seq,
        until=record.seq,
        label=f"model #{n}" if n else "model",
        text=text,
        took_s=(record.at_ns - asked.at_ns) / SECOND_NS if asked is not None else None,
        input=usage.get("input"),
        output=usage.get("output"),
        is_bad=isinstance(event, k.ModelFailed),
    )


def _called(record: Record, recording: Recording) -> Row | None:
    """Return what came of a tool call, if *record* says so."""
    event, is_bad, label = record.event, False, "tool"
    call = recording.every_call.get(str(field(event, "call_id")))
    match event:
        case k.ToolFinished(content=content):
            text, is_bad = text_of(content), bool(field(event, "is_error"))
        case k.ToolFailed(failure=failure):
            text, is_bad = failure.message, True
        case k.ToolBlocked(content=content, by=by):
            told = content if call is None or call.content is None else call.content
            label, text = "blocked", f"by {by}: {text_of(told)}"
        case k.ToolInDoubt(why=why):
            label, text, is_bad = "in doubt", why, True
        case _ if event.kind in NEVER_FOLDED:
            label, text = "note", f"{event.kind} {record.payload.decode('utf-8', 'replace')}"
            return Row(seq=record.seq, until=record.seq, label=label, text=text)
        case _:
            return None
    took_s = call.took_s if call is not None and call.ended == record.seq else None
    name = call.name if call is not None and call.name else "?"
    seq = record.seq
    return Row(seq=seq, until=seq, label=label, text=text, name=name, took_s=took_s, is_bad=is_bad)


def _said(record: Record) -> tuple[str, str]:
    """Return label and text of what neither a model nor a tool did; no label: nothing to show."""
    event = record.event
    match event:
        case k.UserSaid(content=content, via=via):
            return ("user" if via == "prompt" else via), text_of(content)
        case k.ModelRetrying(failure=failure):
            return "retry", f"{failure.kind}: {failure.message}"
        case k.CancelRequested(reason=reason):
            return "cancel", reason
        case k.RunEnded(outcome=outcome):
            return "end", outcome
        case k.ChildStarted(child=child):
            return "child", f"{child.removeprefix(CHILD)} begins"
        case k.ChildEnded(child=child, outcome=outcome):
            return "child", f"{child.removeprefix(CHILD)} has ended: {outcome}"
        case k.DiagnosticReported(name=diagnostic, message=message):
            return "note", f"{diagnostic}: {message}"
        case _ if event.kind in NEVER_FOLDED:
            return "note", f"{event.kind} {record.payload.decode('utf-8', 'replace')}"
        case _:
            return "", ""


def event(record: Record) -> Line:
    """Return a record as a line: number, kind, cause, payload."""
    payload = record.payload.decode("utf-8", "replace")
    number, cause = dim(f"{record.seq:>5}  "), dim(f" ← {record.cause:<5} ")
    is_bad = record.event.kind.endswith((".failed", ".in_doubt", ".lost"))
    kind = f"{record.event.kind:20}"
    return line(number, bad(kind) if is_bad else kind, cause, payload)


def timeline(recording: Recording, until: int | None = None) -> Iterator[Line]:
    """Yield a bar for each model call and tool call, where it was in the time of the log."""
    bars = list(_bars(recording, until))
    if not bars:
        yield line(dim("nothing was waited for"))
        return
    first = min(start for _, _, start, _, _ in bars)
    scale = max(max(end for _, _, _, end, _ in bars) - first, 1) / BARS
    yield line(bold("timeline"), dim(f" · each ▇ is {seconds(scale / SECOND_NS)}"))
    for seq, name, start, end, mark in bars:
        at = min(int((start - first) / scale), BARS - 1)
        bar = "▇" * max(1, min(round((end - start) / scale), BARS - at))
        style = "cyan" if name.startswith("model") else "green"
        took = dim(f"  {seconds((end - start) / SECOND_NS)}")
        left = " " * (BARS - at - len(bar))
        shown = (bar, style) if not mark else bad(bar)
        yield line(dim(f"{seq:>5}  "), f"{name:12.12} ", " " * at, shown, left, took, bad(mark))


def _bars(recording: Recording, until: int | None) -> Iterator[tuple[int, str, int, int, str]]:
    """Yield number, name, start and end of each call, in the order in which they began."""
    found: list[tuple[int, str, int, int, str]] = []
    asked: dict[int, Record] = {}
    last_ns = recording.records[-1].at_ns if recording.records else 0
    for record in recording.records:
        if until is not None and record.seq > until:
            break
        if isinstance(record.event, k.ModelRequested):
            asked[record.seq] = record
        elif isinstance(record.event, k.ModelFinished | k.ModelFailed):
            start = asked.pop(record.cause, None)
            if start is not None and isinstance(start.event, k.ModelRequested):
                mark = "  ✗" if isinstance(record.event, k.ModelFailed) else ""
                name = f"model #{start.event.n}"
                found.append((start.seq, name, start.at_ns, record.at_ns, mark))
    for call in recording.every_call.values():
        began = call.started_ns or call.called_ns
        seq = call.started or call.called
        if not began or (until is not None and seq > until):
            continue
        end = call.ended_ns or last_ns
        mark = {"failed": "  ✗", "in_doubt": "  ? in doubt"}.get(call.outcome, "")
        found.append((seq, call.name or "?", began, end, mark if call.ended else "  ? no end"))
    yield from sorted(found, key=lambda bar: (bar[2], bar[0]))


def _answer(answer: Assistant | None) -> str:
    if answer is None:
        return ""
    said = "".join(block.text for block in answer.blocks if block.op in ("text", "refuse"))
    calls = [f"{block.name}({_short(block.text)})" for block in answer.blocks if block.op == "call"]
    return " ".join(filter(None, (said, f"→ {', '.join(calls)}" if calls else "")))


def _short(arguments: str) -> str:
    try:
        value = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return arguments
    if not isinstance(value, dict):
        return arguments
    return ", ".join(f"{key}={msgspec.json.encode(item).decode()}" for key, item in value.items())
