"""JSON as providers take it, and the request around a body."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from tinyagent.actors.providers.table import holds_schema
from tinyagent.actors.transports import HttpRequest
from tinyagent.events.codec import digest, text
from tinyagent.events.fact import ToolSpec
from tinyagent.events.settings import Settings

_encode = msgspec.json.Encoder().encode

# RFC 9110, sections 5.1 and 5.5; values in ASCII only, as the transports take them.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_TIMEOUTS = ("connect_timeout_s", "first_byte_timeout_s", "read_timeout_s")
_CACHE_KEY_MAX = 64
# What OpenAI takes as the name of a form (platform.openai.com, structured outputs).
_NAME_UNFIT, _NAME_MAX = re.compile(r"[^A-Za-z0-9_-]"), 64


def dump(value: Any) -> bytes:
    """Return *value* as JSON, keys in their order, lone surrogates as U+FFFD."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_clean(value))


def _clean(value: Any) -> Any:
    match value:
        case str():
            return text(value)
        case dict():
            return {text(key): _clean(item) for key, item in value.items()}
        case list() | tuple():
            return [_clean(item) for item in value]
        case _:
            return value


def schema_of(tool: ToolSpec) -> msgspec.Raw:
    """Return the schema of *tool* as the user wrote it, an empty object's if there is none.

    A log wraps objects with keys like ``$ref`` (``events.codec.plain``); here they come out.
    """
    raw = dump(tool.schema or {"type": "object", "properties": {}})
    return msgspec.Raw(dump(_unwrapped(tool.schema)) if b'"$esc"' in raw else raw)


class Output(NamedTuple):
    """The form that an answer must have: ``options.output``."""

    name: str
    schema: Any
    strict: bool


def output_of(settings: Settings) -> Output | None:
    """Return the form that the answer is asked to have; None if any will do.

    Raises:
        ValueError: the model cannot be held to one.
    """
    wanted = settings.options.get("output")
    if not wanted:
        return None
    model, has_tools = settings.model, bool(settings.tools)
    if not holds_schema(model, has_tools=has_tools):
        besides = " beside tools" if has_tools else ""
        told = f"{model.get('provider')} {model.get('id')} holds no answer to a schema{besides}"
        raise ValueError(f"{told}: leave out `output`, or let a tool take the answer")
    schema = _unwrapped(wanted["schema"])
    name = _NAME_UNFIT.sub("_", str(wanted.get("name") or "output"))[:_NAME_MAX]
    return Output(name, schema, bool(wanted.get("strict")))


def extended(head: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return *head* with the user's own fields, which come last; objects are merged."""
    more = _unwrapped(options.get("extra_body") or {})
    return _merged(head, more) if more else head


def _merged(ours: dict[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(ours)
    for name, value in theirs.items():
        match out.get(name), value:
            case dict() as mine, dict():
                out[name] = _merged(mine, value)
            case _:
                out[name] = value
    return out


def _unwrapped(value: Any) -> Any:
    match value:
        case {"$esc": dict() as inner} if len(value) == 1:
            return {key: _unwrapped(item) for key, item in inner.items()}
        case dict():
            return {key: _unwrapped(item) for key, item in value.items()}
        case list():
            return [_unwrapped(item) for item in value]
        case _:
            return value


def begun(head: dict[str, Any], name: str) -> bytes:
    """Return *head* as JSON that goes on with the items of one more field, the list *name*."""
    # The field's value is encoded as `[]` at the end of the object, and opened again.
    return dump({**head, name: ()})[:-2]


class Head:
    """The body as far as the messages, its field *name*, as long as it is asked of the same.

    Args:
        make: returns all other fields, for the settings and whatever else it is asked of.
    """

    def __init__(self, name: str, make: Callable[..., dict[str, Any]]) -> None:
        self._name = name
        self._make = make
        self._settings: Settings | None = None
        self._more: tuple[object, ...] = ()
        self._json = b""

    def of(self, settings: Settings, *more: object) -> bytes:
        """Return it; *settings* are the same if they are the same object.

        Raises:
            ValueError: what they ask for cannot be asked.
        """
        if self._settings is not settings or self._more != more:
            self._json = begun(self._make(settings, *more), self._name)
            self._settings, self._more = settings, more
        return self._json


def request_of(
    api: str,
    url: str,
    settings: Settings,
    body: bytes,
    *,
    own: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
) -> HttpRequest:
    """Return the request for *body*: *own* headers, then the user's *headers* over them."""
    named = {"content-type": "application/json", "accept": "text/event-stream", **dict(own)}
    for name, value in headers.items():
        if is_header(name, value):
            named.pop(name.lower(), None)
            named[name.lower()] = value
    timeouts = {
        name: float(settings.options[name])
        for name in _TIMEOUTS
        if settings.options.get(name) is not None
    }
    return HttpRequest(api=api, url=url, headers=tuple(named.items()), body=body, **timeouts)


def is_header(name: str, value: str) -> bool:
    """Say whether HTTP can carry this header."""
    return bool(_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value))


def bearer(model: Mapping[str, Any], key: str | None, header: str = "") -> list[tuple[str, str]]:
    """Return the header with *key*; none without a key, or for a model with ``auth="none"``."""
    if not key or model.get("auth") == "none":
        return []
    return [(header, key) if header else ("authorization", f"Bearer {key}")]


def cache_key(session_id: object) -> str:
    """Return *session_id* as a ``prompt_cache_key``: OpenAI takes at most 64 characters."""
    name = str(session_id)
    if len(name) <= _CACHE_KEY_MAX:
        return name
    return f"{name[: _CACHE_KEY_MAX - 17]}-{digest(name.encode())}"
