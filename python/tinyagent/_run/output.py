"""Answers of a type: what the model is asked for, and what is made of what it gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from tinyagent._config.answers import answer_schema
from tinyagent._host.arguments import faults_beside_types
from tinyagent._provider.configured import is_hosted, model_of
from tinyagent.actors.providers.table import holds_schema
from tinyagent.actors.state import OUTPUT
from tinyagent.agent_types import AgentTool, AgentToolResult, TextContent
from tinyagent.events import Conversation, Event, Message, kinds as k, plain
from tinyagent.events.messages import Assistant
from tinyagent.runtime.loops import Live

if TYPE_CHECKING:
    from tinyagent._provider.sources import Setup

T = TypeVar("T")
FINAL_TOOL = "final_answer"
TAKEN = "Taken."
VALUE = "value"
"""Under which an answer that is no object is put into one, for that is what models are held to."""


class UnfitError(ValueError):
    """An answer has not the form. ``faults``: all that is wrong, for the model to read."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = list(faults)


class Form(Generic[T]):
    """What an answer shall be.

    Args:
        wanted: anything msgspec decodes: Structs, dataclasses, TypedDicts, enums, unions; or a
            class with ``model_json_schema`` and ``model_validate``, as pydantic's have.

    Attributes:
        schema: as the model sees it; always that of an object.
        final_tool: takes the answer, where the model cannot be held to a schema; else None.

    Raises:
        TypeError: *wanted* cannot be described.
    """

    def __init__(self, wanted: type[T]) -> None:
        self.wanted: Any = wanted
        self.name: str = getattr(wanted, "__name__", None) or "output"
        self.final_tool: AgentTool | None = None
        self.schema = answer_schema(wanted)
        self.is_wrapped = self.schema.get("type") != "object"
        if self.is_wrapped:
            defs = self.schema.pop("$defs", None)
            self.schema = {
                "type": "object",
                "properties": {VALUE: self.schema},
                "required": [VALUE],
                **({"$defs": defs} if defs else {}),
            }

    def choose(self, setup: Setup, tools: Sequence[AgentTool]) -> None:
        """Let the provider hold the model to the schema; where it cannot, a final tool."""
        models = [setup.model, *setup.fallback]
        setups = [msgspec.structs.replace(setup, model=model) for model in models]
        if not any(is_hosted(each) for each in setups) and all(
            holds_schema(model_of(each), has_tools=bool(tools)) for each in setups
        ):
            self.final_tool = None
            return
        name = FINAL_TOOL
        while any(tool.name == name for tool in tools):
            name += "_"
        self.final_tool = AgentTool(
            name=name,
            description="Give the final answer. It is the last call: nothing follows it.",
            parameters=self.schema,
            execute=_take,
            effect="pure",
            validate=False,
        )

    def options(self, retries_max: int) -> dict[str, Any]:
        """Return what a request, and the agent, must know of it."""
        if self.final_tool is None:
            told: dict[str, Any] = {"output": {"name": self.name, "schema": plain(self.schema)}}
        else:
            told = {"output_tool": self.final_tool.name}
        return {**told, "output_retries_max": retries_max}

    def read(self, messages: Sequence[Message]) -> T:
        """Return what the last answer in *messages* gives.

        Raises:
            UnfitError: it has not the form.
        """
        answer = next((m for m in reversed(messages) if isinstance(m, Assistant)), None)
        given = self._text(answer) if answer is not None else ""
        try:
            value: Any = msgspec.json.decode(given)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnfitError([f"it is no JSON: {error}"]) from None
        if not isinstance(value, dict):
            raise UnfitError([f"expected an object, got {type(value).__name__}"])
        found = faults_beside_types(self.schema, value)
        faults = [f"{path}: {told}" if path else told for path, told in found]
        if faults:
            raise UnfitError(faults)
        value = value[VALUE] if self.is_wrapped else value
        try:
            if hasattr(self.wanted, "model_validate"):
                made: T = self.wanted.model_validate(value)
            else:
                made = msgspec.convert(value, self.wanted)
        except (ValueError, TypeError) as error:
            raise UnfitError([str(error)]) from None
        return made

    def _text(self, answer: Assistant) -> str:
        if self.final_tool is None:
            return "".join(block.text for block in answer.blocks if block.op == "text")
        name = self.final_tool.name
        called = [b.text for b in answer.blocks if b.op == "call" and b.name == name]
        if not called:
            raise UnfitError([f"the tool {name} was not called: the answer is its arguments"])
        return called[-1]


class Outputs:
    """The form that the run under way shall end with, if any, and who judges its answers."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self.form: Form[Any] | None = None

    def tools(self, given: list[AgentTool] | None) -> list[AgentTool] | None:
        """Return *given*, and the final tool if there is one."""
        if self.form is None or self.form.final_tool is None:
            return given
        return [*(given or ()), self.form.final_tool]

    async def ask(self, asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        """Say whether the last answer has the form; where not, put on record why."""
        if self.form is None:  # it was there when this was asked, in an earlier process
            return [k.HostAnswered(OUTPUT)]
        try:
            self.form.read(self._conversation.messages)
        except UnfitError as error:
            n = self._conversation.asked_n
            return [k.OutputRejected(n, error.faults), k.HostAnswered(OUTPUT, ok=False)]
        return [k.HostAnswered(OUTPUT, ok=True)]


async def _take(*given: object) -> AgentToolResult:
    return AgentToolResult(content=[TextContent(text=TAKEN)])
