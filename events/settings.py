"""The configuration in force: what a session starts with, and what changed since. Pure."""

from __future__ import annotations

import marshal
from functools import lru_cache
from typing import Any

import msgspec

from tinyagent.events import kinds as k
from tinyagent.events.codec import plain, restored
from tinyagent.events.common import KEPT_MAX


class Settings(msgspec.Struct, frozen=True):
    """The configuration in force."""

    model: dict[str, Any] = {}
    system: str = ""
    tools: tuple[k.ToolSpec, ...] = ()
    hooks: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    limits: dict[str, Any] = {}


def settings_of(event: k.SessionStarted) -> Settings:
    """Return the configuration that a session starts with, the same for all that start alike."""
    return _settings(msgspec.json.encode(event))


@lru_cache(maxsize=KEPT_MAX)
def _settings(body: bytes) -> Settings:
    event = msgspec.json.decode(body, type=k.SessionStarted)
    return Settings(
        event.model,
        event.system,
        tuple(restored_tool(tool) for tool in event.tools),
        tuple(event.hooks),
        event.options,
        event.limits,
    )


def changed(settings: Settings, changes: dict[str, Any]) -> Settings:
    """Return *settings* with the fields in *changes* replaced."""
    known = {
        name: msgspec.convert(value, _SETTING_TYPES[name])
        for name, value in changes.items()
        if name in _SETTING_TYPES
    }
    if "tools" in known:
        known["tools"] = tuple(restored_tool(tool) for tool in known["tools"])
    return msgspec.structs.replace(settings, **known)


def restored_tool(tool: k.ToolSpec) -> k.ToolSpec:
    """Return *tool* with its schema as the user wrote it."""
    if b'"$esc"' not in msgspec.json.encode(tool.schema):
        return tool
    return msgspec.structs.replace(tool, schema=restored(tool.schema))


def logged_tool(tool: k.ToolSpec) -> k.ToolSpec:
    """Return *tool* with its schema as a log holds it; the same object for equal schemas."""
    try:
        schema = _logged(marshal.dumps(tool.schema, _WITHOUT_REFERENCES))
    except ValueError:  # it holds objects that are no JSON, or look like it
        schema = plain(tool.schema)
    return msgspec.structs.replace(tool, schema=schema)


@lru_cache(maxsize=KEPT_MAX)
def _logged(schema: bytes) -> Any:
    """Return the marshalled *schema* as a log holds it. Every agent of a process has the same."""
    return plain(marshal.loads(schema))


_WITHOUT_REFERENCES = 2
"""A version of marshal in which equal values of equal types are equal bytes."""


_SETTING_TYPES: dict[str, Any] = {
    "model": dict[str, Any],
    "system": str,
    "tools": tuple[k.ToolSpec, ...],
    "hooks": tuple[str, ...],
    "options": dict[str, Any],
    "limits": dict[str, Any],
}
