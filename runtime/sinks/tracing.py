"""What a span is, whoever makes it: values, and ids that are derived. Pure."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

Attributes: TypeAlias = dict[str, Any]
_PROVIDERS = {
    "google": "gcp.gemini",
    "gemini": "gcp.gemini",
    "xai": "x_ai",
    "mistral": "mistral_ai",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
}


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


def of_model(model: dict[str, Any]) -> Attributes:
    """Return what a span tells of a model."""
    told: Attributes = {}
    if provider := str(model.get("provider") or ""):
        told["gen_ai.provider.name"] = _PROVIDERS.get(provider, provider)
    if model.get("id"):
        told["gen_ai.request.model"] = model["id"]
    host, _, port = _host(str(model.get("base_url") or "")).partition(":")
    if host:
        told["server.address"] = host
        if port.isdigit():
            told["server.port"] = int(port)
    return told


def _host(url: str) -> str:
    """Return host and port of *url*, without what might be a secret before them."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]
