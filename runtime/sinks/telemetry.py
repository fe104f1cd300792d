"""A log as spans and metrics of OpenTelemetry, while it is written; ``spans`` holds the mapping.

Only the API package is needed: what becomes of them is the application's choice. Its tracer
provider draws the ids of spans; with ``TracerProvider(id_generator=DerivedIds())`` they are those
that an export of the log gives.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tinyagent.events import Record
from tinyagent.runtime.clock import SystemClock
from tinyagent.runtime.extras import missing
from tinyagent.runtime.sinks.spans import FIRST_CHUNK, SCHEMA_URL, Spans
from tinyagent.runtime.sinks.tracing import Link, Span
from tinyagent.runtime.sinks.vitals import Vitals
from tinyagent.runtime.stores import LogMeta

if TYPE_CHECKING:
    from opentelemetry import metrics, trace

_given = threading.local()
DURATIONS = {
    "invoke_agent": "gen_ai.invoke_agent.duration",
    "execute_tool": "gen_ai.execute_tool.duration",
    "chat": "gen_ai.client.inference.duration",
}
TOKENS = {
    "gen_ai.usage.input_tokens": "gen_ai.client.inference.usage.input_tokens",
    "gen_ai.usage.output_tokens": "gen_ai.client.inference.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "gen_ai.client.inference.usage.cache_read_tokens",
}
FIRST = "gen_ai.client.inference.time_to_first_chunk"
IN_DOUBT = "tinyagent.tool.in_doubt"
DEPTH, SINK_LAG = "tinyagent.mailbox.depth", "tinyagent.sink.lag"
BYTES, DURABLE_LAG = "tinyagent.log.bytes", "tinyagent.log.durable_lag"
APPEND, FSYNC = "tinyagent.log.append.duration", "tinyagent.log.fsync.duration"
DISK_S = (1e-5, 1e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)
"""Where the buckets of what a disk does end."""
ACTOR, SINK = "tinyagent.actor", "tinyagent.sink"
_LABELS = (
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.tool.name",
    "tinyagent.outcome",
    "error.type",
)
"""What metrics are told apart by; never an id."""


class DerivedIds:
    """Gives the spans of an ``OpenTelemetrySink`` ids derived from the log, others random ones."""

    def generate_trace_id(self) -> int:
        """Return 128 bits."""
        return int(getattr(_given, "trace_id", "") or os.urandom(16).hex(), 16)

    def generate_span_id(self) -> int:
        """Return 64 bits."""
        return int(getattr(_given, "span_id", "") or os.urandom(8).hex(), 16)

    def is_trace_id_random(self) -> bool:
        """Return whether samplers may take a trace id for random: these are hashes."""
        return False


class OpenTelemetrySink:
    """Sends a span for each run, model call and tool call, when it has ended.

    Args:
        tracer_provider, meter_provider: the application's; without one, the process's.
        content: whether spans tell what was said.
        since_us: spans that ended before are not sent: what another process did, before a resume,
            it has sent. Without it, when this was made.
    """

    kinds: frozenset[str] | None = None

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        *,
        content: bool = False,
        since_us: int | None = None,
    ) -> None:
        try:
            from opentelemetry import metrics, trace
        except ModuleNotFoundError as error:
            raise missing("an OpenTelemetrySink needs", "otel", error) from None
        provider = tracer_provider or trace.get_tracer_provider()
        self._tracer = provider.get_tracer("tinyagent", schema_url=SCHEMA_URL)
        meter = (meter_provider or metrics.get_meter_provider()).get_meter("tinyagent")
        self._durations = {
            about: meter.create_histogram(name, "s") for about, name in DURATIONS.items()
        }
        self._tokens = {
            about: meter.create_histogram(name, "{token}") for about, name in TOKENS.items()
        }
        self._first_chunk = meter.create_histogram(FIRST, "s")
        self._in_doubt = meter.create_counter(IN_DOUBT, "{call}")
        self._bytes = meter.create_counter(BYTES, "By")
        self._gauges = Gauges(meter)
        self._disk = Disk(meter)
        self._content = content
        self._since_ns = (SystemClock().now_us() if since_us is None else since_us) * 1000
        self._log = ""
        self._seq = self._cut = 0
        self._fold: Spans | None = None
        self._open: dict[str, trace.Span] = {}

    def begin(self, meta: LogMeta) -> None:
        """Be ready for the records of that log."""
        if meta.log != self._log:
            self._log, self._seq = meta.log, 0
            self._fold = Spans(meta, content=self._content)
            self._cut = meta.cut
            self._open = {}

    def watch(self, vitals: Vitals | None) -> None:
        """Show how the session does that feeds this, whenever somebody collects."""
        self._disk.measure(self._gauges.vitals or vitals)
        self._gauges.vitals = vitals

    def checkpoint(self) -> int:
        """Return the last record taken by this object: a new one reads the log from the start."""
        return self._seq

    def write(self, record: Record) -> None:
        """Take *record*: start the spans that it opens, end and send those that it ends."""
        assert self._fold is not None, "begin says which log this is"
        if record.seq > self._cut and record.at_ns >= self._since_ns:
            self._bytes.add(len(record.payload))
            self._disk.measure(self._gauges.vitals)
        opened, ended = self._fold.evolve(record)
        for span in opened if record.seq > self._cut else ():
            self._start(span)
        for span in ended:
            self._end(span)
        self._seq = record.seq

    async def close(self) -> None:
        """Nothing waits here; flushing is the provider's."""

    def _start(self, span: Span) -> None:
        from opentelemetry import trace
        from opentelemetry.context import Context

        above = self._open.get(span.parent_id)
        context = Context() if above is None else trace.set_span_in_context(above, Context())
        kinds = {"internal": trace.SpanKind.INTERNAL, "client": trace.SpanKind.CLIENT}
        _given.trace_id, _given.span_id = span.trace_id, span.span_id
        try:
            self._open[span.span_id] = self._tracer.start_span(
                span.name,
                context,
                kinds[span.kind],
                span.attributes,
                [_linked(link) for link in span.links],
                start_time=span.start_ns,
            )
        finally:
            _given.trace_id = _given.span_id = ""

    def _end(self, span: Span) -> None:
        from opentelemetry.trace import StatusCode

        sent = self._open.pop(span.span_id, None)
        if sent is None or span.end_ns < self._since_ns:
            return
        sent.set_attributes(span.attributes)
        for moment in span.moments:
            sent.add_event(moment.name, moment.attributes, moment.at_ns)
        if span.error:
            sent.set_status(StatusCode.ERROR)
        sent.end(span.end_ns)
        self._measure(span)

    def _measure(self, span: Span) -> None:
        told: dict[str, Any] = span.attributes
        labels = {name: told[name] for name in _LABELS if name in told}
        about = told["gen_ai.operation.name"]
        self._durations[about].record((span.end_ns - span.start_ns) / 1e9, labels)
        if FIRST_CHUNK in told:
            self._first_chunk.record(told[FIRST_CHUNK], labels)
        for name, instrument in self._tokens.items():
            if name in told:
                instrument.record(told[name], labels)
        if span.error == "in_doubt":
            self._in_doubt.add(1, labels)


class Gauges:
    """What is looked up when somebody collects. ``vitals``: of the session to look at, if any."""

    def __init__(self, meter: metrics.Meter) -> None:
        self.vitals: Vitals | None = None
        meter.create_observable_gauge(DEPTH, [self._depths], "{record}")
        meter.create_observable_gauge(SINK_LAG, [self._sinks], "{record}")
        meter.create_observable_gauge(DURABLE_LAG, [self._durable], "{record}")

    def _depths(self, _: object) -> Iterable[metrics.Observation]:
        vitals = self.vitals
        return [] if vitals is None else _observed(vitals.mailboxes(), ACTOR)

    def _sinks(self, _: object) -> Iterable[metrics.Observation]:
        vitals = self.vitals
        return [] if vitals is None else _observed(vitals.sinks(), SINK)

    def _durable(self, _: object) -> Iterable[metrics.Observation]:
        from opentelemetry.metrics import Observation

        vitals = self.vitals
        lag = None if vitals is None else vitals.durable_lag
        return [] if lag is None else [Observation(lag)]


class Disk:
    """How long the writes and syncs of a log took, in which many records may share."""

    def __init__(self, meter: metrics.Meter) -> None:
        bounds = list(DISK_S)
        self._append, self._fsync = (
            meter.create_histogram(name, "s", explicit_bucket_boundaries_advisory=bounds)
            for name in (APPEND, FSYNC)
        )
        self._of: Vitals | None = None
        self._next: int | None = None

    def measure(self, vitals: Vitals | None) -> None:
        """Take what is new since the last time; of a session that is new, from now on."""
        if vitals is None:
            return
        if vitals is not self._of:
            self._of, self._next = vitals, None
        self._next, found = vitals.timings(self._next)
        for is_fsync, took_s in found:
            (self._fsync if is_fsync else self._append).record(took_s)


def _observed(found: Mapping[str, int], label: str) -> list[metrics.Observation]:
    from opentelemetry.metrics import Observation

    return [Observation(number, {label: name}) for name, number in found.items()]


def _linked(link: Link) -> trace.Link:
    from opentelemetry import trace

    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    context = trace.SpanContext(
        int(link.trace_id, 16), int(link.span_id, 16), is_remote=True, trace_flags=flags
    )
    return trace.Link(context, link.attributes)
