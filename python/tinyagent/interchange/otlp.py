"""Spans as OTLP in JSON: what a collector takes at ``/v1/traces``. The ids are hexadecimal."""

from __future__ import annotations

from typing import Any

from tinyagent._version import VERSION
from tinyagent.events import kinds as k
from tinyagent.interchange import Exported
from tinyagent.interchange.parts import json_of
from tinyagent.recording import Recording
from tinyagent.runtime.sinks.spans import SCHEMA_URL, spans_of
from tinyagent.runtime.sinks.tracing import Span

_KINDS = {"internal": 1, "client": 3}
_ERROR = 2


def export(recording: Recording, *, content: bool = False) -> Exported:
    """Return the spans of the log, of a fork only its own; what was said only if *content*."""
    spans = spans_of(recording.meta, recording.records, content=content)
    scope = {"scope": {"name": "tinyagent", "version": VERSION}, "schemaUrl": SCHEMA_URL}
    resource = {"attributes": _attributes({"service.name": "tinyagent"})}
    told = {**scope, "spans": [_told(span) for span in spans]}
    foreign = sum(isinstance(record.event, k.Foreign) for record in recording.records)
    body = json_of({"resourceSpans": [{"resource": resource, "scopeSpans": [told]}]})
    return Exported(body, {"foreign records": foreign} if foreign else {})


def _told(span: Span) -> dict[str, Any]:
    told: dict[str, Any] = {"traceId": span.trace_id, "spanId": span.span_id}
    if span.parent_id:
        told["parentSpanId"] = span.parent_id
    told |= {
        "name": span.name,
        "kind": _KINDS[span.kind],
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": _attributes(span.attributes),
    }
    if span.moments:
        told["events"] = [
            {
                "timeUnixNano": str(moment.at_ns),
                "name": moment.name,
                "attributes": _attributes(moment.attributes),
            }
            for moment in span.moments
        ]
    if span.links:
        told["links"] = [
            {
                "traceId": link.trace_id,
                "spanId": link.span_id,
                "attributes": _attributes(link.attributes),
            }
            for link in span.links
        ]
    told["status"] = {"code": _ERROR} if span.error else {}
    return told


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [_value(item) for item in value]}}
        case _:
            return {"stringValue": str(value)}
