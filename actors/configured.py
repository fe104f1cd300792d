"""The part of the configuration that the agent decides by. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from tinyagent.actors import compaction, limits, output
from tinyagent.actors.state import State
from tinyagent.events import kinds as k
from tinyagent.events.common import KEPT_MAX, in_common


def configured(state: State, event: k.SessionStarted | k.ConfigChanged) -> State:
    """Return *state* under the configuration that a session starts with, or as it was changed."""
    if isinstance(event, k.ConfigChanged):
        new = _changed(event.set)
    else:
        new = _started(msgspec.json.encode(event))
    return msgspec.structs.replace(state, **new)


@lru_cache(maxsize=KEPT_MAX)
def _started(body: bytes) -> dict[str, Any]:
    """Return what the start of a session that is encoded to *body* makes of the state."""
    event = msgspec.json.decode(body, type=k.SessionStarted)
    names = ("hooks", "options", "limits", "model", "tools")
    return _changed({name: msgspec.to_builtins(getattr(event, name)) for name in names})


def _changed(changes: Mapping[str, Any]) -> dict[str, Any]:
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
    return new


def _of_tools(tools: Sequence[dict[str, Any]]) -> dict[str, Any]:
    approving = [tool["name"] for tool in tools if tool.get("approval") == "always"]
    pure = ("pure", "read")
    effectful = [tool["name"] for tool in tools if tool.get("effect", "write") not in pure]
    return {
        "approving": in_common(frozenset(approving)),
        "effectful": in_common(frozenset(effectful)),
    }
