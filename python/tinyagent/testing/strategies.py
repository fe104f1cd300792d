"""What Hypothesis can draw: conversations, scripts, logs of whole sessions, orders, crashes.

::

    from hypothesis import given
    from tinyagent.testing import strategies

    @given(strategies.event_logs())
    def test_my_report_of_any_session_adds_up(log): ...

Needs the package hypothesis (extra: testing). A log is that of a real agent, in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from tinyagent.runtime.extras import missing

try:
    from hypothesis import strategies as st
    from hypothesis.strategies import SearchStrategy
except ModuleNotFoundError as absent:
    raise missing("tinyagent.testing.strategies needs", "testing", absent) from None

from tinyagent._run.runs import RunFailedError
from tinyagent.agent import Agent
from tinyagent.agent_options import AgentOptions
from tinyagent.agent_types import (
    AgentMessage,
    AgentState,
    AgentTool,
    AssistantMessage,
    TextContent,
    ToolCallContent,
    ToolResultMessage,
    UserMessage,
)
from tinyagent.events import Record
from tinyagent.events.fact import EFFECTS
from tinyagent.runtime.stores import Log, as_record
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing._samples import sample
from tinyagent.testing.crash import cut
from tinyagent.testing.loop import SimClock, SimLoop
from tinyagent.testing.models import Part, ScriptedModel, Turn
from tinyagent.testing.schedules import Tape

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
_IDS = st.integers(1, 999).map("call_{}".format)


async def _done(call_id: str, arguments: Any, signal: Any, on_update: Any) -> str:
    return f"done {call_id}"


async def _wrong(call_id: str, arguments: Any, signal: Any, on_update: Any) -> str:
    raise RuntimeError(f"went wrong: {call_id}")


TOOLS = (
    *(AgentTool(name=effect, execute=_done, effect=effect) for effect in EFFECTS),
    AgentTool(name="wrong", execute=_wrong, effect="read"),
)
"""The tools of a session that is drawn: one of each effect, which does nothing, and one fails."""


@st.composite
def messages(draw: st.DrawFn) -> list[AgentMessage]:
    """Draw a conversation that a model can be shown: each call has its result, in order."""
    said: list[AgentMessage] = []
    for _ in range(draw(st.integers(1, 4))):
        said.append(UserMessage(content=[TextContent(text=draw(_TEXTS))]))
        for call_ids in draw(st.lists(st.lists(_IDS, min_size=1, max_size=3, unique=True))):
            taken = {getattr(m, "tool_call_id", None) for m in said}
            calls = [
                ToolCallContent(id=each, name=draw(st.sampled_from(EFFECTS)), arguments={})
                for each in call_ids
                if each not in taken
            ]
            if calls:
                said.append(AssistantMessage(content=[*calls], stop_reason="tool_calls"))
                said += [_result(call, draw(_TEXTS), draw(st.booleans())) for call in calls]
        text = TextContent(text=draw(_TEXTS))
        said.append(AssistantMessage(content=[text], stop_reason="stop"))
    return said


def _result(call: ToolCallContent, text: str, is_error: bool) -> ToolResultMessage:
    content = [TextContent(text=text)]
    return ToolResultMessage(
        tool_call_id=call.id, tool_name=call.name, content=[*content], is_error=is_error
    )


@st.composite
def model_turns(draw: st.DrawFn, tools: Sequence[AgentTool] = TOOLS) -> list[Turn]:
    """Draw a script, for ``ScriptedModel.of``: turns that call *tools*, then one that answers.

    Arguments fit the tools' schemas. Some turns fail; text comes in pieces of any size.
    """
    calls: list[Part] = [(tool.name, sample(tool.parameters or {})) for tool in tools]
    part: SearchStrategy[Part] = st.one_of(_TEXTS, st.sampled_from(calls)) if calls else _TEXTS
    turns: list[list[Part]] = draw(st.lists(st.lists(part, min_size=1, max_size=3), max_size=3))
    turns.append([draw(_TEXTS)])
    sizes = tuple(draw(st.lists(st.integers(1, 9), max_size=2)))
    made = [Turn(parts=tuple(turn), chunks=sizes) for turn in turns]
    if draw(st.integers(0, 4)) == 0:
        made.insert(draw(st.integers(0, len(made))), Turn(failure=("overloaded", "busy")))
    return made


@st.composite
def event_logs(draw: st.DrawFn, build: Callable[..., Any] | None = None) -> MemoryLog:
    """Draw the log of a session of one to three runs, in an order of delivery that is drawn too.

    *build* takes ``model=``, ``log=`` and ``clock=`` and returns an ``Agent``, whose tools are
    called; without it the agent has ``TOOLS``. Runs that fail are among them.
    """
    build = build or _agent
    tools = build(model=ScriptedModel.of([]), log=MemoryLog(), clock=SimClock()).state.tools
    turns = [turn for _ in range(draw(st.integers(1, 3))) for turn in draw(model_turns(tools))]
    log = MemoryLog(log_id=f"{draw(st.integers(0, 2**64)):032x}")
    agent = build(model=ScriptedModel.of(turns), log=log, clock=SimClock())
    prompts = draw(st.lists(_TEXTS, min_size=1, max_size=3))

    async def session() -> None:
        for prompt in prompts:
            with suppress(RunFailedError):  # on record, like any other end
                await agent.run(prompt)

    SimLoop(Tape(draw(st.lists(st.integers(0, 3), max_size=60)))).run(session())
    return log


def _agent(*, model: ScriptedModel, log: Log, clock: SimClock) -> Agent:
    state = AgentState(model=model, tools=list(TOOLS))
    return Agent(AgentOptions(initial_state=state, log=log, clock=clock))


@st.composite
def interleavings(draw: st.DrawFn, log: Log) -> list[Record]:
    """Draw the records of *log* in an order in which somebody might have seen them.

    Each comes after its cause, and those of one actor about one request in their order; what else
    was at work at that time may have been slower. They keep their numbers.
    """
    left = [as_record(stored) for stored in log.read()]
    seen: list[Record] = []
    while left:
        free = [at for at, record in enumerate(left) if _is_free(record, left[:at])]
        seen.append(left.pop(draw(st.sampled_from(free[:4]))))
    return seen


def _is_free(record: Record, before: Sequence[Record]) -> bool:
    line = _line(record)
    return all(other.seq != record.cause and _line(other) != line for other in before)


def _line(record: Record) -> tuple[str, int]:
    """Return whose order it is in: the agent has one, a worker one for each request."""
    return record.actor, record.cause if record.actor in ("model", "tools", "hooks") else 0


def crash_points(log: Log) -> SearchStrategy[MemoryLog]:
    """Draw what a crash leaves of *log*: its records up to one, most often one of an effect."""
    effects = [r.seq for r in log.read() if r.kind.startswith("tool.")]
    anywhere = st.integers(1, log.seq)
    after = st.one_of(st.sampled_from(effects), anywhere) if effects else anywhere
    return after.map(lambda seq: cut(log, seq))


__all__ = ["TOOLS", "crash_points", "event_logs", "interleavings", "messages", "model_turns"]
