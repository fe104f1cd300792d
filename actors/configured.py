"""The part of the configuration that the agent decides by. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from tinyagent.actors import compaction, limits, output
from tinyagent.actors.state import State
from tinyagent.events import kinds as k
from tinyagent.events.common import in_common


def configured(state: State, event: k.SessionStarted | k.ConfigChanged) -> State:
    """Return *state* under the configuration that a session starts with, or as it was changed."""
    if isinstance(event, k.SessionStarted):
        changes: dict[str, Any] = {
            "hooks": event.hooks,
            "options": event.options,
            "limits": event.limits,
            "model": event.model,
            "tools": msgspec.to_builtins(event.tools),
        }
    else:
        changes = event.set
    if "tools" in changes:
        state = _with_tools(state, changes["tools"])
    if "hooks" in changes:
        state = msgspec.structs.replace(state, hooks=tuple(changes["hooks"]))
    state = limits.configured(state, changes)
    if "options" in changes:
        modes = tuple(
            changes["options"].get(name, "one-at-a-time")
            for name in ("steering_mode", "follow_up_mode")
        )
        state = msgspec.structs.replace(state, modes=modes)
        state = output.configured(state, changes["options"])
        state = compaction.configured(state, changes["options"])
    return state


def _with_tools(state: State, tools: list[dict[str, Any]]) -> State:
    return msgspec.structs.replace(
        state,
        approving=_names(tool for tool in tools if tool.get("approval") == "always"),
        effectful=_names(
            tool for tool in tools if tool.get("effect", "write") not in ("pure", "read")
        ),
    )


def _names(tools: Iterable[dict[str, Any]]) -> frozenset[str]:
    return in_common(frozenset(tool["name"] for tool in tools))
