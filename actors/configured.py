"""The part of the configuration that the agent decides by. Pure."""

from __future__ import annotations

from collections.abc import Sequence
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
    new = limits.configured(changes)
    if "tools" in changes:
        new |= _of_tools(changes["tools"])
    if "hooks" in changes:
        new["hooks"] = tuple(changes["hooks"])
    if "options" in changes:
        options = changes["options"]
        modes = (options.get(name, "one-at-a-time") for name in ("steering_mode", "follow_up_mode"))
        new |= {
            "modes": tuple(modes),
            **output.configured(options),
            **compaction.configured(options),
        }
    return msgspec.structs.replace(state, **new)


def _of_tools(tools: Sequence[dict[str, Any]]) -> dict[str, Any]:
    approving = [tool["name"] for tool in tools if tool.get("approval") == "always"]
    pure = ("pure", "read")
    effectful = [tool["name"] for tool in tools if tool.get("effect", "write") not in pure]
    return {
        "approving": in_common(frozenset(approving)),
        "effectful": in_common(frozenset(effectful)),
    }
