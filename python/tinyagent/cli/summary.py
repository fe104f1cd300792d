"""What a line about a log says: how it stands, how much it took, what it was about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tinyagent._reading.costs import SECOND_NS
from tinyagent.events import Record, kinds as k
from tinyagent.events.children import own
from tinyagent.recording import Recording


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One log.

    Attributes:
        log: its id. name: as its header says. fork: the parent as ``<log id>:<seq>``.
        at_ns: time of the last record, 0 in an empty log. took_s: seconds in which it ran.
        turns: model calls. tools: tool calls. in_doubt: of these. tokens: of all answers.
        cost_usd: of all answers, at the prices in the log; None if one is not known.
        first: the first words that were said in it.
    """

    log: str
    where: str
    name: str | None = None
    fork: str | None = None
    origin: str | None = None
    model: str = "?"
    status: str = "empty"
    records: int = 0
    at_ns: int = 0
    took_s: float = 0.0
    turns: int = 0
    tools: int = 0
    in_doubt: int = 0
    approvals: int = 0
    tokens: int = 0
    first: str = ""
    cost_usd: float | None = None


def summary_of(recording: Recording) -> Summary:
    """Return what there is to say of *recording* in a line."""
    meta, records = recording.meta, recording.records
    said = [r.event for r in own(records) if isinstance(r.event, k.UserSaid)]
    first = next((one for one in said if one.via == "prompt"), said[0] if said else None)
    return Summary(
        log=meta.log,
        where=recording.where,
        name=meta.name,
        fork=f"{meta.fork.log[:8]}:{meta.fork.at}" if meta.fork is not None else None,
        origin=meta.origin,
        model=str(recording.settings.model.get("id") or "?"),
        status=recording.status,
        records=len(records),
        at_ns=records[-1].at_ns if records else 0,
        took_s=sum(runs_s(list(own(records)))),
        turns=sum(isinstance(r.event, k.ModelRequested) for r in records),
        tools=len(recording.every_call),
        in_doubt=len(recording.in_doubt),
        approvals=len(recording.approvals_pending),
        tokens=recording.usage.total_tokens,
        first=text_of(first.content) if first is not None else "",
        cost_usd=recording.cost,
    )


def runs_s(records: Sequence[Record]) -> Iterator[float]:
    """Yield the seconds that each run took: of one without an end, up to the last record."""
    began = 0
    for record in records:
        match record.event:
            case k.UserSaid() | k.UserContinued() if not began:
                began = record.at_ns
            case k.RunEnded() if began:
                yield (record.at_ns - began) / SECOND_NS
                began = 0
            case _:
                pass
    if began:
        yield (records[-1].at_ns - began) / SECOND_NS


def text_of(content: k.Content) -> str:
    """Return what was said as text; of what is no text its type."""
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text") or f"[{part.get('type')}]") for part in content)


def seconds(took_s: float | None) -> str:
    """Return a duration as a person reads it."""
    if took_s is None:
        return ""
    if took_s < 0.00095:
        return f"{took_s * 1e6:.0f} µs"
    if took_s < 0.0095:
        return f"{took_s * 1000:.0f} ms"
    if took_s < 0.095:
        return f"{took_s:.2f} s"
    if took_s < 100:
        return f"{took_s:.1f} s"
    minutes, left = divmod(round(took_s), 60)
    return f"{minutes} m {left:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} m"


def dollars(cost: float | None) -> str:
    """Return *cost* as a person reads it: what is not known is no zero."""
    return "-" if cost is None else f"${cost:,.4f}"


def counted(number: int, word: str) -> str:
    """Return *number* with its *word*, in the plural if need be."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")
