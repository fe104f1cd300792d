"""What came of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec

from tinyagent._state import extract_text
from tinyagent.agent_types import AgentEndEvent, AgentEvent, AgentMessage, AssistantMessage
from tinyagent.runtime.errors import TinyAgentError

if TYPE_CHECKING:
    from tinyagent._binding import Binding


NOTHING = "nothing to go on from: the log's last run ended with an answer; give run() a message"


class RunResult(msgspec.Struct, frozen=True):
    """What came of one run.

    Attributes:
        outcome: ``answered stopped failed cancelled over_budget paused``.
        message: the last answer; None if there was none. messages: all that the run added.
        ref: where the run ended, as ``<log id>:<seq>``.
    """

    outcome: str
    message: AssistantMessage | None
    messages: list[AgentMessage]
    ref: str

    @property
    def text(self) -> str:
        """The text of the last answer; empty if there is none."""
        return extract_text(self.message)


class RunFailedError(TinyAgentError):
    """The run failed. ``result`` is what came of it."""

    def __init__(self, result: RunResult) -> None:
        message = result.message
        told = message.error_message if message is not None else None
        super().__init__(f"{told or 'the run failed'} ({result.ref})")
        self.result = result


async def result_of(events: AsyncIterator[AgentEvent], binding: Binding) -> RunResult:
    """Read *events* to their end and return what came of the run.

    Raises:
        RunFailedError: the run failed.
    """
    added: list[AgentMessage] = []
    async for event in events:
        if isinstance(event, AgentEndEvent):
            added = list(event.messages)
    last = next((m for m in reversed(added) if isinstance(m, AssistantMessage)), None)
    log = binding.session.log
    result = RunResult(binding.outcome, last, added, f"{log.meta.log[:8]}:{log.seq}")
    if result.outcome == "failed":
        raise RunFailedError(result)
    return result
