"""Which parts of a payload are sealed where a log is encrypted, and what stands there for whoever
has no key.

Free text is. Structure stays clear: what calls what, names and ids, counts and times, digests. So
the agent's state, causes and the hash chain are there without a key. A sealed value is
``{"$enc":{"kid":...,"n":...,"ct":...}}``, and its path a JSON pointer into the payload.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, get_args, get_type_hints

import msgspec

from tinyagent.events.codec import encode
from tinyagent.events.free_text import FREE, is_naming
from tinyagent.events.kinds import KINDS, Record

ENC = "$enc"
_SEALED = b'{"$enc":'
HIDDEN = "(encrypted)"
_BAR = "█"
_STREAMED = frozenset({"text", "think", "refuse", "args"})
_BY_LEAF = frozenset({"tools", "set", "failure", "pieces", "ops", "edits", "block"})
"""Fields with structure that folds need: in them only texts are sealed."""
_WHOLE = frozenset({"arguments", "details"})
_CLEAR = frozenset({"call_id", "hook", "outcome"})

Seal = Callable[[str, Any], Any]
"""Takes a path and a value; returns what stands in its place."""
Unseal = Callable[[str, Any], Any]
"""Takes a path and what is in ``$enc``; returns the value, or raises ``LookupError``: no key."""


def is_sealed(payload: bytes) -> bool:
    """Return whether something in *payload* may be sealed."""
    return _SEALED in payload


def is_hidden(record: Record) -> bool:
    """Return whether a text of *record* is shown as encrypted, for there was no key."""
    return is_sealed(record.payload) and HIDDEN.encode() in encode(record.event)


def sealed(kind: str, payload: bytes, seal: Seal) -> bytes:
    """Return *payload* with its free text sealed."""
    fields = FREE.get(kind)
    if fields is None:
        return payload
    told = msgspec.json.decode(payload)
    for name in fields:
        if told.get(name) is not None:
            walk = _leaves if name in _BY_LEAF else seal_whole
            told[name] = walk(told[name], f"/{name}", seal)
    return msgspec.json.encode(told)


def seal_whole(value: Any, path: str, seal: Seal) -> Any:
    """Return *value* sealed as one."""
    return seal(path, value)


def _leaves(value: Any, path: str, seal: Seal) -> Any:
    field, _, below = path[1:].partition("/")
    match value:
        case str():
            return seal(path, value)
        case [int(), str(op), data, *gaps] if field == "pieces" and "/" not in below:
            is_free = op in _STREAMED or op == "keep"
            return [value[0], op, seal(f"{path}/2", data) if is_free else data, *gaps]
        case [str(op), *rest] if field in ("ops", "edits") and "/" not in below:
            return [op, *(_leaves(v, f"{path}/{at}", seal) for at, v in enumerate(rest, 1))]
        case list():
            return [_leaves(item, f"{path}/{at}", seal) for at, item in enumerate(value)]
        case dict():
            return {key: _member(value, key, path, seal) for key in value}
        case _:
            return value


def _member(parent: dict[str, Any], key: str, path: str, seal: Seal) -> Any:
    value = parent[key]
    field, _, below = path[1:].partition("/")
    here = f"{path}/{escaped(key)}"
    if field == "set" and not below and key not in ("system", "tools"):
        return value
    if field == "tools" or (field == "set" and below.startswith("tools")):
        return seal(here, value) if key == "description" and isinstance(value, str) else value
    if field == "failure":
        return seal(here, value) if key == "message" else value
    if key in _WHOLE and value is not None:
        return seal(here, value)
    if key in _CLEAR or is_naming(parent, key):
        return value
    return _leaves(value, here, seal)


def escaped(key: str) -> str:
    """Return *key* as a part of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def unsealed(kind: str, payload: bytes, unseal: Unseal) -> bytes:
    """Return *payload* in the clear; where there is no key, with what fits there instead."""
    if not is_sealed(payload) or kind not in FREE:
        return payload
    told = msgspec.json.decode(payload)
    for name in FREE.get(kind, ()):
        if name in told:
            told[name] = _open(told[name], f"/{name}", kind, unseal)
    return msgspec.json.encode(told)


def _open(value: Any, path: str, kind: str, unseal: Unseal) -> Any:
    match value:
        case {"$enc": dict(body)} if len(value) == 1:
            try:
                return unseal(path, body)
            except LookupError:
                return placeholder(kind, path, HIDDEN)
        case {"$esc": _}:
            return value
        case [block, str(op), {"$enc": dict()} as data, *gaps] if path.startswith("/pieces/"):
            shown = _open(data, f"{path}/2", kind, unseal)
            if shown == HIDDEN:
                shown = {"args": "", "keep": {}}.get(op, _BAR)
            return [block, op, shown, *gaps]
        case list():
            return [_open(item, f"{path}/{at}", kind, unseal) for at, item in enumerate(value)]
        case dict():
            items = value.items()
            return {k: _open(item, f"{path}/{escaped(k)}", kind, unseal) for k, item in items}
        case _:
            return value


def placeholder(kind: str, path: str, word: str) -> Any:
    """Return what fits in the place of a value that nobody can read: *word*, nothing, or empty."""
    names = path[1:].split("/")
    if len(names) > 1:
        return {} if names[-1] in _WHOLE else word
    return {"nothing": None, "text": word, "list": [], "object": {}}[_fits(kind, names[0])]


@cache
def _fits(kind: str, field: str) -> str:
    hint = get_type_hints(KINDS[kind])[field]
    kinds = set(get_args(hint)) or {hint}
    if type(None) in kinds:
        return "nothing"
    if str in kinds or hint is Any:
        return "text"
    return "list" if getattr(hint, "__origin__", None) is list else "object"
