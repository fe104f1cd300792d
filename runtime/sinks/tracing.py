"""What a span is, whoever makes it: values, and ids that are derived. Pure."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

Attributes: TypeAlias = dict[str, Any]


class Moment(msgspec.Struct, frozen=True):
    """Something that happened while a span was open."""

    name: str
    at_ns: int
    attributes: Attributes = {}


class Link(msgspec.Struct, frozen=True):
    """Another span that this one follows from."""

    trace_id: str
    span_id: str
    attributes: Attributes = {}


class Span(msgspec.Struct):
    """One span. ``end_ns`` is 0, and ``attributes`` grow, while it is open."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: Literal["internal", "client"]
    start_ns: int
    attributes: Attributes
    end_ns: int = 0
    error: str = ""
    moments: list[Moment] = []
    links: list[Link] = []


def ended_at(span: Span, at_ns: int, error: str) -> Span:
    """End *span*, with what went wrong if something did, and return it."""
    span.end_ns, span.error = max(at_ns, span.start_ns), error
    if error:
        span.attributes["error.type"] = error
    return span


def link_to(span: Span, attributes: Attributes) -> Link:
    """Return a link to *span*."""
    return Link(span.trace_id, span.span_id, attributes)


def hex_of(text: str, digits: int) -> str:
    """Return so many hexadecimal digits that *text* alone decides."""
    import hashlib  # loads OpenSSL, which an import of the package shall not

    return hashlib.sha256(text.encode()).hexdigest()[:digits]
