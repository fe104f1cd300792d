"""The configuration in force: what a session starts with, and what changed since. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from tinyagent.events import kinds as k
from tinyagent.events.codec import plain, restored


class Settings(msgspec.Struct, frozen=True):
    """The configuration in force."""

    model: dict[str, Any] = {}
    system: str = ""
    tools: tuple[k.ToolSpec, ...] = ()
    hooks: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    limits: dict[str, Any] = {}


def settings_of(event: k.SessionStarted) -> Settings:
    """Return the configuration that a session starts with."""
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
    return msgspec.structs.replace(tool, schema=restored(tool.schema))


def logged_tool(tool: k.ToolSpec) -> k.ToolSpec:
    """Return *tool* with its schema as a log holds it."""
    return msgspec.structs.replace(tool, schema=plain(tool.schema))


_SETTING_TYPES: dict[str, Any] = {
    "model": dict[str, Any],
    "system": str,
    "tools": tuple[k.ToolSpec, ...],
    "hooks": tuple[str, ...],
    "options": dict[str, Any],
    "limits": dict[str, Any],
}
