"""``tinyagent stats [REF...]``: calls, failures, durations and tokens by model, tool or day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from cyclopts import Parameter

from tinyagent._reading.costs import SECOND_NS, ModelCall, model_calls, summed
from tinyagent.cli import refs
from tinyagent.cli.answers import Stats
from tinyagent.cli.options import COMMON, ONE, Common
from tinyagent.cli.parts import Share
from tinyagent.cli.render import Line, Piece, answer, bad, bold, dim, emit, line, safe
from tinyagent.cli.summary import counted, dollars, seconds
from tinyagent.recording import Recording
from tinyagent.verbs import load

By = Literal["model", "tool", "day"]


class Tally:
    """What is counted of one model, tool or day."""

    def __init__(self, name: str) -> None:
        self.share = Share(name=name)
        self._took_s: list[float] = []
        self._costs: list[float | None] = []

    def call(self, took_s: float | None, *, failed: bool, in_doubt: bool = False) -> None:
        """Count a call."""
        self.share.calls += 1
        self.share.failed += failed
        self.share.in_doubt += in_doubt
        if took_s is not None:
            self._took_s.append(took_s)

    def spent(self, call: ModelCall) -> None:
        """Count what a provider told of *call*, and what it cost."""
        self._costs.append(call.cost_usd)
        usage = call.usage
        for name in ("input", "output", "cache_read"):
            number = usage.get(name)
            if isinstance(number, int):
                was = getattr(self.share, f"{name}_tokens")
                setattr(self.share, f"{name}_tokens", was + number)

    def read(self) -> Share:
        """Return the share."""
        self.share.p50_s = quantile(self._took_s, 50)
        self.share.cost_usd = summed(self._costs)
        self.share.p95_s = quantile(self._took_s, 95)
        return self.share


def run(
    *logs: Annotated[
        str, Parameter(name="REF", allow_leading_hyphen=True, help=f"{ONE}; left out: all logs")
    ],
    by: Annotated[By, Parameter(help="default: model")] = "model",
    form: Annotated[
        Literal["table", "prom"], Parameter(name="--format", help="prom: as Prometheus reads it")
    ] = "table",
    common: Common = COMMON,
) -> int:
    """Print a line for each model, tool or day, and return 0."""
    places = [refs.resolve(ref, common.dir) for ref in logs]
    if not logs:
        places = [path for path, _ in refs.headers(refs.folder(common.dir))]
    rows = shares((load(place) for place in places), by)
    if common.json:
        answer(Stats(by=by, logs=len(places), rows=rows))
    elif form == "prom":
        emit(as_prometheus(rows, by))
    else:
        emit(table(rows, by), color=common.color)
    return 0


def shares(recordings: Iterable[Recording], by: By) -> list[Share]:
    """Return what each had of the calls in *recordings*, by name."""
    found: dict[str, Tally] = {}

    def of(name: str) -> Tally:
        return found.setdefault(name, Tally(name))

    for recording in recordings:
        shared = recording.meta.cut  # counted in the parent
        if by != "tool":
            for asked in model_calls(recording.records):
                if asked.asked.seq > shared:
                    tally = of(asked.model_id if by == "model" else day(asked.asked.at_ns))
                    tally.call(asked.took_s, failed=asked.has_failed)
                    tally.spent(asked)
            continue
        doubts = {call.call_id for call in recording.in_doubt}
        for call in recording.every_call.values():
            if call.called <= shared:
                continue
            is_doubted = call.call_id in doubts
            failed = call.outcome == "failed" or call.failure is not None
            of(call.name or "?").call(call.took_s, failed=failed, in_doubt=is_doubted)
    return [found[name].read() for name in sorted(found)]


def quantile(values: Sequence[float], percent: int) -> float | None:
    """Return the least of *values* that *percent* of them do not exceed; None of none."""
    if not values:
        return None
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def day(at_ns: int) -> str:
    """Return the day of a record, UTC."""
    return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).date().isoformat()


def table(rows: Sequence[Share], by: By) -> Iterator[Line]:
    """Yield *rows* in columns."""
    if not rows:
        yield line(dim(f"no {'tool' if by == 'tool' else 'model'} was called"))
    wide = max((len(safe(row.name)) for row in rows), default=0)
    is_priced = any(row.cost_usd is not None for row in rows)
    for row in rows:
        calls = f"{counted(row.calls, 'call'):>10}"
        failed = f"   {row.failed:,} failed"
        told: list[Piece] = [bold(f"{safe(row.name):{wide}}"), f"  {calls}"]
        told.append(bad(failed) if row.failed else dim(failed))
        if by == "tool":
            doubt = f"   {row.in_doubt:,} in doubt"
            told.append(bad(doubt) if row.in_doubt else dim(doubt))
        told.append(
            dim(f"   p50 {seconds(row.p50_s) or '-':>6}   p95 {seconds(row.p95_s) or '-':>6}")
        )
        if by != "tool":
            tokens = f"   {row.input_tokens:>9,} in {row.output_tokens:>9,} out"
            told.append(tokens + f" {row.cache_read_tokens:>9,} from cache")
            told.append(f"   {dollars(row.cost_usd):>10}" if is_priced else "")
        yield line(*told)


def as_prometheus(rows: Sequence[Share], by: By) -> Iterator[str]:
    """Yield *rows* in the text format of Prometheus, version 0.0.4."""
    counters = ["calls", "failed", *(["in_doubt"] if by == "tool" else [])]
    counters += [] if by == "tool" else ["input_tokens", "output_tokens", "cache_read_tokens"]
    counters += ["cost_usd"] if any(row.cost_usd is not None for row in rows) else []
    for name in counters:
        metric = f"tinyagent_{'tool' if by == 'tool' else 'model'}_{name}_total"
        yield f"# TYPE {metric} counter"
        for row in rows:
            if getattr(row, name) is None:
                continue
            label = safe(row.name).replace("\\", "\\\\").replace('"', '\\"')
            yield f'{metric}{{{by}="{label}"}} {getattr(row, name)}'
