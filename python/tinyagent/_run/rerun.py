"""The inputs of a recorded session, said again to an agent at the same places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tinyagent._reading.bodies import Bodies
from tinyagent._run.runs import RunFailedError
from tinyagent.agent_types import AgentEvent, AgentMessage, AssistantMessage, MessageStartEvent
from tinyagent.events import Conversation, Record, kinds as k
from tinyagent.events.children import own
from tinyagent.events.messages import said_in

if TYPE_CHECKING:
    from tinyagent.agent import Agent
    from tinyagent.verbs import Recording


class _Run(msgspec.Struct):
    """One run: what started it, and what came while it was under way, by the turn of it."""

    prompts: list[AgentMessage] = []
    during: list[tuple[int, str, Any]] = []


class Inputs:
    """What came from outside in *recording*."""

    def __init__(self, recording: Recording) -> None:
        self.runs: list[_Run] = []
        self._bodies = Bodies(Conversation())
        turn, is_running = 0, False
        for record in own(recording.records):
            match record.event:
                case k.UserSaid(via="prompt") | k.UserContinued():
                    if not is_running:
                        self.runs.append(_Run())
                        turn, is_running = 0, True
                    if isinstance(record.event, k.UserSaid):
                        self.runs[-1].prompts.append(self._body(record, record.event))
                case k.UserSaid(via=via) as said:
                    if not self.runs or not is_running:
                        self.runs.append(_Run())  # queued before the run: its prompts follow
                        is_running, turn = True, 0
                    self.runs[-1].during.append((turn, via, self._body(record, said)))
                case k.CancelRequested() if is_running:
                    self.runs[-1].during.append((turn, "cancel", None))
                case k.ModelRequested():
                    turn += 1
                case k.RunEnded():
                    is_running = False
                case _:
                    pass

    def _body(self, record: Record, said: k.UserSaid) -> AgentMessage:
        return self._bodies.of(said_in(record, said))

    async def run(self, agent: Agent) -> None:
        """Say it all to *agent*; a run that fails is on record, and the next one follows."""
        for run in self.runs:
            turn = 0
            waiting = list(run.during)

            def say(event: AgentEvent, waiting: list[tuple[int, str, Any]] = waiting) -> None:
                nonlocal turn
                is_answer = isinstance(event, MessageStartEvent) and isinstance(
                    event.message, AssistantMessage
                )
                if not is_answer:
                    return  # before it, the queues of this turn are still to be polled
                turn += 1
                while waiting and waiting[0][0] <= turn:
                    _, how, message = waiting.pop(0)
                    _say(agent, how, message)

            while waiting and waiting[0][0] == 0 and waiting[0][1] != "cancel":
                _, how, message = waiting.pop(0)
                _say(agent, how, message)
            stop = agent.subscribe(say)
            try:
                await agent.run(run.prompts or None)
            except RunFailedError:
                continue
            finally:
                stop()


def _say(agent: Agent, how: str, message: Any) -> None:
    match how:
        case "steer":
            agent.steer(message)
        case "follow_up":
            agent.follow_up(message)
        case _:
            agent.abort()
