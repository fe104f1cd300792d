"""Keys that start with a dollar are the log's business; the host sees what its tool gave."""

from __future__ import annotations

from typing import Any

from tests.recordings import PARIS, agent

from tinyagent.agent_types import (
    AgentEvent,
    AgentToolResult,
    TextContent,
    ToolExecutionEndEvent,
    ToolExecutionUpdateEvent,
    ToolResultMessage,
)
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import chat

DETAILS = {"$ref": "#/x", "inner": [{"$id": "y"}]}


async def test_the_details_of_progress_end_and_message_are_what_the_tool_gave() -> None:
    async def look(call_id: str, args: Any, signal: Any, on_update: Any) -> AgentToolResult:
        on_update(AgentToolResult(content=[TextContent(text="half")], details=dict(DETAILS)))
        return AgentToolResult(content=[TextContent(text="whole")], details=dict(DETAILS))

    log = MemoryLog()
    asking = agent(log, [chat(calls=[PARIS]), chat(text="ok")], execute=look)
    seen: list[AgentEvent] = []
    asking.subscribe(seen.append)
    await asking.prompt("hi")

    updates = [e.partial_result for e in seen if isinstance(e, ToolExecutionUpdateEvent)]
    ends = [e.result for e in seen if isinstance(e, ToolExecutionEndEvent)]
    messages = [m for m in asking.state.messages if isinstance(m, ToolResultMessage)]
    for given in (*updates, *ends, *messages):
        assert given is not None
        assert given.details == DETAILS
    assert (len(updates), len(ends), len(messages)) == (1, 1, 1)
    held = [s.payload for s in log.read() if s.kind in ("tool.progressed", "tool.finished")]
    assert all(b'"$esc"' in payload for payload in held)
