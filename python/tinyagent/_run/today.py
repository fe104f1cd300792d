"""How today's code would begin the agents below one that are its tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from tinyagent._mcp.servers import recall
from tinyagent._run.children import Asking, Below
from tinyagent.events import kinds as k
from tinyagent.events.children import child_of, own, seen_from
from tinyagent.runtime.child_log import ChildLog
from tinyagent.runtime.stores.memory import MemoryLog

if TYPE_CHECKING:
    from tinyagent._run.holder import Hosted
    from tinyagent._run.running import Running
    from tinyagent.recording import Recording


def configurations_below(agent: Hosted, recording: Recording) -> dict[str, k.SessionStarted]:
    """Return how those below *agent* that are in *recording* would begin, by their names.

    An agent that a tool of a user's own runs is not known before it does: it is not told of.
    What MCP servers list is taken from *recording*: nobody asks them.
    """
    records = recording.records
    found: dict[str, k.SessionStarted] = {}
    above: dict[str, Hosted] = {"": agent}
    events = {record.seq: record.event for record in records}
    for record in records:
        if isinstance(record.event, k.ChildStarted):
            by = above.get(child_of(record.actor))
            carried = None if by is None else _carried(by, events.get(record.cause))
            if by is not None and carried is not None:
                name = record.event.child
                below = Below(by, carried, _log_of(name), record.event.limits)
                recall(below.agent.state.tools, own(seen_from(name, records)))
                found[name] = below.configuration()
                above[name] = cast("Hosted", below.agent)
    return found


def _carried(agent: Hosted, asked: object) -> Running | None:
    """Return the agent that the tool is which *asked* is for; None if it is none."""
    if isinstance(asked, k.ToolRequested):
        for tool in agent.state.tools or ():
            if tool.name == asked.name and isinstance(tool.execute, Asking):
                return tool.execute.agent
    return None


def _log_of(name: str) -> ChildLog:
    return ChildLog(MemoryLog(), name, 0, readers=[], redactor=None, claimed={})
