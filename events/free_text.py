"""Which fields of an event are free text: what somebody said, gave, got, or complained of.

Only these are searched for secrets. The others are numbers, ids, digests, names, words of a
closed set. A test holds that every field of every kind is one or the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tinyagent.events import kinds as k
from tinyagent.events.fact import Fact, Failure, ToolSpec

FREE: dict[str, tuple[str, ...]] = {
    k.SessionStarted.kind: ("system", "tools"),
    k.SessionForked.kind: ("edits", "why"),
    k.ConfigChanged.kind: ("set",),
    k.DiagnosticReported.kind: ("message", "details"),
    k.ActorFailed.kind: ("message",),
    k.SinkFailed.kind: ("failure",),
    k.UserSaid.kind: ("content", "message"),
    k.CancelRequested.kind: ("reason",),
    k.HostAnswered.kind: ("ops", "arguments", "block", "content", "details"),
    k.HostFailed.kind: ("failure",),
    k.ModelDelta.kind: ("pieces",),
    k.ModelRetrying.kind: ("failure",),
    k.ModelFailed.kind: ("failure",),
    k.OutputRejected.kind: ("faults",),
    k.ToolBlocked.kind: ("content", "details"),
    k.ToolRequested.kind: ("arguments",),
    k.ToolProgressed.kind: ("content", "details"),
    k.ToolFinished.kind: ("content", "details"),
    k.ToolFailed.kind: ("failure",),
    k.ApprovalDecided.kind: ("why",),
    k.ToolInDoubt.kind: ("content",),
    k.ToolReconciled.kind: ("content",),
    k.ToolSettled.kind: ("content",),
    k.ContextEdited.kind: ("ops",),
    k.ChildEnded.kind: ("content",),
    k.Foreign.kind: ("raw",),
}
_NAMING = frozenset(
    {"type", "role", "id", "name", "tool_call_id", "tool_name", "api", "provider", "model"}
    | {"mime_type", "signature", "thinking_signature", "thought_signature", "encrypted_content"}
)
"""Keys of messages and their blocks, under which there is an id, a name or a signature."""

Mask = Callable[[str], str]


def searched(event: Fact, mask: Mask, exact: Mask) -> Fact:
    """Return *event* with its free text masked; *event* itself if nothing changed.

    *exact* masks known values only. It is what names of fields and schemas are searched with.
    """
    changes: dict[str, Any] = {}
    for name in FREE.get(event.kind, ()):
        old = getattr(event, name)
        new = _settings(old, mask, exact) if name == "set" else within(old, mask, exact)
        if new is not old:
            changes[name] = new
    return msgspec.structs.replace(event, **changes) if changes else event


def is_naming(value: dict[str, Any], key: str) -> bool:
    """Return whether there is no text under *key* of *value*: a message, or a block of one."""
    return key in _NAMING and ("type" in value or "role" in value)


def within(value: Any, mask: Mask, exact: Mask) -> Any:
    """Return *value* with every text in it masked; *value* itself if nothing changed."""
    match value:
        case str():
            new = mask(value)
            return value if new == value else new
        case list() | tuple():
            items = [within(item, mask, exact) for item in value]
            if all(new is old for new, old in zip(items, value, strict=True)):
                return value
            return items if isinstance(value, list) else tuple(items)
        case dict():
            pairs = {
                exact(key): item if is_naming(value, key) else within(item, mask, exact)
                for key, item in value.items()
            }
            return value if _is_same(pairs, value) else pairs
        case Failure():
            message = mask(value.message)
            if message == value.message:
                return value
            return msgspec.structs.replace(value, message=message)
        case ToolSpec():
            text, schema = mask(value.description), within(value.schema, exact, exact)
            if text == value.description and schema is value.schema:
                return value
            return msgspec.structs.replace(value, description=text, schema=schema)
        case _:
            return value


def _settings(changed: dict[str, Any], mask: Mask, exact: Mask) -> dict[str, Any]:
    """Return part of a configuration masked; most of it says where requests go, and how."""
    masked = dict(changed)
    if "system" in changed:
        masked["system"] = within(changed["system"], mask, exact)
    if "tools" in changed:
        tools = [_tool(tool, mask, exact) for tool in changed["tools"]]
        if any(new is not old for new, old in zip(tools, changed["tools"], strict=True)):
            masked["tools"] = tools
    return changed if _is_same(masked, changed) else masked


def _tool(tool: dict[str, Any], mask: Mask, exact: Mask) -> dict[str, Any]:
    masked = dict(tool)
    if "description" in tool:
        masked["description"] = within(tool["description"], mask, exact)
    if "schema" in tool:
        masked["schema"] = within(tool["schema"], exact, exact)
    return tool if _is_same(masked, tool) else masked


def _is_same(new: dict[str, Any], old: dict[str, Any]) -> bool:
    return new.keys() == old.keys() and all(new[key] is old[key] for key in new)
