"""An agent of the host that runs below another: as a tool, or for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from tinyagent._config.limits import logged_limits
from tinyagent._run.played import output_of
from tinyagent._run.running import Running
from tinyagent._run.runs import RunFailedError, RunResult
from tinyagent.actors.context import current_ctx
from tinyagent.agent_types import (
    AgentState,
    AgentTool,
    AgentToolResult,
    AssistantMessage,
    Limits,
    TextContent,
)
from tinyagent.events import kinds as k
from tinyagent.events.fact import EFFECTS
from tinyagent.runtime.child_log import ChildLog
from tinyagent.runtime.errors import ToolDefinitionError

if TYPE_CHECKING:
    from tinyagent._run.holder import Hosted
    from tinyagent.actors.state import State

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "task": {
            "type": "string",
            "description": "What to do, with all that must be known for it.",
        }
    },
    "required": ["task"],
    "additionalProperties": False,
}


class NoAnswerError(RuntimeError):
    """An agent below ended without an answer; the text is for the model above."""


def tool_of(agent: Running, name: str, description: str, effect: str | None) -> AgentTool:
    """Return *agent* as a tool of another.

    Raises:
        ToolDefinitionError: *effect* is none.
    """
    if effect is None:
        tools = agent.state.tools or ()
        effect = "read" if all(tool.effect in ("pure", "read") for tool in tools) else "idempotent"
    if effect not in EFFECTS:
        told = f"effect={effect!r} is none of {', '.join(EFFECTS)}"
        raise ToolDefinitionError(name, "", 0, told, 'effect="write", if it may change things')

    return AgentTool(
        name=name,
        description=description,
        parameters=PARAMETERS,
        execute=Asking(agent, name),
        effect=effect,
    )


class Asking:
    """Runs *agent* below the one that calls the tool *name*."""

    def __init__(self, agent: Running, name: str) -> None:
        self.agent = agent
        self._name = name

    async def __call__(
        self, call_id: str, arguments: Mapping[str, Any], signal: object, on_update: object
    ) -> AgentToolResult:
        """Run it on the task that is given, and return what it answers.

        Raises:
            NoAnswerError: it has no answer. RunFailedError: it failed.
        """
        result: RunResult = await current_ctx().run(self.agent, arguments["task"])
        if result.outcome not in ("answered", "stopped"):
            raise NoAnswerError(_told(self._name, result))
        return AgentToolResult([TextContent(text=result.text)])


def _told(name: str, result: RunResult) -> str:
    why = {
        "cancelled": "was cancelled; what it had begun may or may not have taken effect",
        "over_budget": "has reached a limit before it had an answer",
        "paused": "waits for an approval, and nobody is there to give it",
    }[result.outcome]
    said = f"; it said so far: {result.text}" if result.text else ""
    return f"The agent {name} {why}{said}"


class Below:
    """An agent that runs below another, in its log.

    Attributes:
        agent: as it is there; not the one that the host has.
    """

    def __init__(
        self, above: Hosted, agent: Running, log: ChildLog, left: Mapping[str, Any]
    ) -> None:
        """Make an agent like *agent*, with a conversation of its own, within what is *left*.

        Its time is that of the log. What it has not of its own is that of the agent *above*:
        prices, deps, secrets, and who is asked about approvals and doubts.
        """
        like = cast("Hosted", agent)  # whose settings may have been assigned since it was made
        has, of, state = like.given, above.given, like.state
        options = replace(
            has,
            initial_state=AgentState(
                system_prompt=state.system_prompt,
                model=state.model,
                thinking_level=state.thinking_level,
                tools=list(state.tools or ()),
            ),
            log=log,
            sinks=(),
            limits=_within(has.limits, left),
            prices={**(of.prices or {}), **(has.prices or {})} or None,
            clock=above.clock,
            deps=of.deps if has.deps is None else has.deps,
            secrets=has.secrets or of.secrets,
            stream_fn=like.stream_fn,
            get_api_key=like.get_api_key,
            session_id=like.session_id,
            thinking_budgets=like.thinking_budgets,
            steering_mode=like.get_steering_mode(),
            follow_up_mode=like.get_follow_up_mode(),
            on_unknown=like.on_unknown or above.on_unknown,
            on_approval=like.on_approval or above.on_approval,
        )
        self._log = log
        self._own_limits = has.limits
        self.agent, self._engine = agent.made_with(options)
        self._binding = self._engine.binding
        self.text = ""

    def configuration(self) -> k.SessionStarted:
        """Return how its log begins."""
        return self._engine.configuration()

    @property
    def state(self) -> State:
        """What its machine knows."""
        return self._binding.session.machine.state

    @property
    def outcome(self) -> str:
        """How its run ended; empty if it has not."""
        return self._binding.outcome

    def cancel(self) -> None:
        """Ask it to stop."""
        self._binding.cancel("above")

    def limit(self, left: Mapping[str, Any]) -> None:
        """Let it use no more in all than *left*: agents beside it use what is left, too."""
        self.agent.options.limits = _within(self._own_limits, left)
        if self._binding.session.is_running:  # else it is recorded when the run begins
            limits = logged_limits(self.agent.options.limits, self.agent.options.prices)
            self._binding.session.append(k.ConfigChanged({"limits": limits}))

    async def run(self, said: Any, output: Any = None) -> RunResult:
        """Run it on *said*, or go on where its log stands; return what came of it.

        *output*: as of ``Agent.run``.

        Raises:
            RunFailedError: it failed.
        """
        self._binding.open()
        if self._engine.goes_on in ("end", "take up"):
            result = await self.agent.run(output=output)
        elif any(stored.kind == k.UserSaid.kind for stored in self._log.read()):
            result = self._recorded(output)
        else:
            result = await self.agent.run(said, output=output)
        self.text = result.text
        return result

    def _recorded(self, output: Any) -> RunResult:
        """Return what came of a run that is over.

        Raises:
            RunFailedError: it had failed.
        """
        self._engine.expect(output)
        messages = list(self.agent.state.messages)
        self._binding.outcome = self._engine.log.status
        last = next((m for m in reversed(messages) if isinstance(m, AssistantMessage)), None)
        log = self._log
        result: RunResult = RunResult(
            self._binding.outcome,
            f"{log.meta.log[:8]}:{log.seq}",
            lambda: last,
            lambda: messages,
            output_of(self._binding),
        )
        if result.outcome == "failed":
            raise RunFailedError(result)
        return result


def _within(own: Limits | None, left: Mapping[str, Any]) -> Limits | None:
    given: dict[str, Any] = own.model_dump(exclude_none=True) if own is not None else {}
    for name, allowed in left.items():
        given[name] = min(given.get(name, allowed), allowed)
    return Limits(**given) if given else None
