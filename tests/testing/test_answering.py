"""Recorded answers, given to today's code: by what is asked, never by order alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.recordings import ALL, agent, memory

from tinyagent import (
    Agent,
    AgentOptions,
    AgentState,
    AgentTool,
    AgentToolResult,
    TextContent,
    load,
)
from tinyagent._host.tools import HostTool
from tinyagent.actors.tools import Invocation
from tinyagent.actors.transports import Failure
from tinyagent.runtime.errors import LiveEffectError
from tinyagent.runtime.stores import LogOptions
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import VirtualClock, chat, scripted, transcript
from tinyagent.testing.answering import RecordedAnswers

Json = dict[str, Any]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
STEERS = {"steering-and-hooks", "terminate"}
"""Plays whose tool steers: it is not run, so it does not."""
BOTH: list[Any] = [("weather", {"city": "Paris"}), ("weather", {"city": "Rome"})]


def answering(log: MemoryLog, **options: Any) -> tuple[MemoryLog, RecordedAnswers]:
    """Return a log that is answered from *log*."""
    answers = RecordedAnswers("there", load(log), **options)
    fresh = MemoryLog()
    fresh.options = LogOptions(understudy=answers)
    return fresh, answers


async def raises(*_: Any) -> str:
    """Be a tool that nobody may run."""
    raise SystemExit("a tool was run")


async def fine(*_: Any) -> str:
    """Be a tool that finds everything fine."""
    return "fine"


def asked(
    log: MemoryLog, model: Any, execute: Callable[..., Any] = raises, **options: Any
) -> Agent:
    """Return an agent with one tool."""
    tool = AgentTool(name="weather", parameters=SCHEMA, execute=execute, effect="read")
    state = AgentState(system_prompt="Be brief.", model=model, tools=[tool])
    return Agent(AgentOptions(initial_state=state, log=log, clock=VirtualClock(), **options))


@pytest.mark.parametrize("name", sorted({*ALL} - {"abort", "retry", *STEERS}))
async def test_a_session_over_a_provider_is_answered_without_it(name: str) -> None:
    """The same plays, whose transport has no answer left to give: all come from the log."""
    log = memory(name)
    await ALL[name](log)
    fresh, answers = answering(log)
    await ALL[name](fresh)
    assert transcript(fresh) == _without_children(transcript(log))
    assert (answers.unused, answers.refused, answers.lived) == ([], None, 0)


def _without_children(told: str) -> str:
    """Return a transcript without agents below: no tool runs, so none of them begins."""
    return re.sub(r"child .* begins\n(.*\n)*?child .* has ended: .*\n", "", told)


async def test_results_go_to_the_call_with_these_arguments_though_they_came_in_another_order() -> (
    None
):
    paris_may_end = asyncio.Event()

    async def weather(call_id: str, arguments: Json, signal: Any, on_update: Any) -> str:
        if arguments["city"] == "Paris":
            await paris_may_end.wait()
        paris_may_end.set()
        return f"{arguments['city']} is fine"

    log = MemoryLog()
    await asked(log, scripted(BOTH, "Fine."), weather).run("Paris and Rome?")
    fresh, answers = answering(log)
    await asked(fresh, scripted()).run("Paris and Rome?")
    results = [call.content for call in load(fresh).tool_calls.values()]
    assert results == ["Paris is fine", "Rome is fine"]
    assert answers.unused == []


async def test_a_call_with_other_arguments_is_refused_beside_the_nearest() -> None:
    log = MemoryLog()
    await asked(log, scripted.calls("weather", city="Paris").text("Fine."), fine).run("Well?")
    _, answers = answering(log)
    live = HostTool(AgentTool(name="weather", parameters=SCHEMA, execute=raises), None, None)
    tool = answers.find(lambda name: live)("weather")
    nobody: Any = None
    call = Invocation(
        call_id="c1",
        name="weather",
        arguments={"city": "Rome"},
        attempt=1,
        asked=nobody,
        contexts=nobody,
    )
    with pytest.raises(LiveEffectError) as refused:
        await tool.run(call)
    assert str(refused.value).splitlines()[:4] == [
        "this call of the tool weather is not recorded in there, and nothing live may be touched",
        "  nearest   record 8, 1 value differs",
        '  recorded  city  "Paris"',
        '  now       city  "Rome"',
    ]
    assert answers.refused is refused.value


async def test_what_is_not_recorded_may_be_asked_live_and_is_counted() -> None:
    log = MemoryLog()
    await asked(log, scripted("One.")).run("One?")
    fresh, answers = answering(log, allows_live=True)
    today = asked(fresh, scripted.text("One.").calls("weather", city="Rome").text("Two."), fine)
    await today.run("One?")
    assert answers.lived == 0
    await today.run("Two?")
    assert answers.lived == 3


async def test_what_was_never_said_is_refused_and_the_report_names_the_leaf() -> None:
    log = MemoryLog()
    await asked(log, scripted("One.")).run("One?")
    fresh, answers = answering(log)
    with pytest.raises(LiveEffectError) as refused:
        await asked(fresh, scripted()).run("Two?")
    assert str(refused.value) == (
        "this request to the model is not recorded in there, and nothing live may be touched\n"
        "  nearest   record 3, 1 value differs\n"
        '  recorded  messages[0].content  "One?"\n'
        '  now       messages[0].content  "Two?"\n'
        "  try       --ta-record=new asks live and records what is not there"
    )
    assert answers.refused is refused.value
    assert answers.unused == ["the model call of record 3"]


async def test_the_same_question_is_answered_as_often_as_it_was_recorded() -> None:
    log = MemoryLog()
    await asked(log, scripted("One.")).run("Well?")
    fresh, _ = answering(log)
    today = asked(fresh, scripted())
    await today.run("Well?")
    today.clear_messages()
    with pytest.raises(LiveEffectError, match="recorded once in there, and was made once more"):
        await today.run("Well?")


async def test_a_tool_that_failed_fails_with_its_words_and_a_model_that_failed_too() -> None:
    async def broken(*_: Any) -> str:
        raise ValueError("no such city")

    log = MemoryLog()
    model = scripted.calls("weather", city="Oz").fails("refused", "not today")
    with pytest.raises(RuntimeError, match="not today"):
        await asked(log, model, broken).run("Oz?")
    fresh, answers = answering(log)
    with pytest.raises(RuntimeError, match="not today"):
        await asked(fresh, scripted()).run("Oz?")
    assert transcript(fresh) == transcript(log)
    assert "✗ no such city" in transcript(fresh)
    assert answers.unused == []


async def test_a_request_that_was_sent_again_is_answered_at_once_with_what_came_last() -> None:
    log = memory("retry")
    await ALL["retry"](log)
    fresh, answers = answering(log)
    planner = agent(fresh, [])
    await planner.prompt("Are you there?")
    assert transcript(fresh).splitlines() == [
        "user      Are you there?",
        "model     At last.",
        "end       answered",
    ]
    assert answers.unused == []


async def test_nobody_asks_for_a_key_that_nobody_needs() -> None:
    keys: list[str] = []

    def key_of(provider: str) -> str:
        keys.append(provider)
        return "secret"

    log = MemoryLog()
    await asked(log, scripted("One."), get_api_key=key_of).run("Well?")
    assert len(keys) == 1
    fresh, _ = answering(log)
    await asked(fresh, scripted(), get_api_key=key_of).run("Well?")
    assert len(keys) == 1
    assert [r.event.kind for r in load(fresh).records] == [r.event.kind for r in load(log).records]


async def test_what_a_tool_said_meanwhile_is_said_again() -> None:
    async def weather(call_id: str, arguments: Json, signal: Any, on_update: Any) -> str:
        on_update(AgentToolResult(content=[TextContent(text="looking")]))
        return "fine"

    log = MemoryLog()
    await asked(log, scripted.calls("weather", city="Paris").text("Fine."), weather).run("Well?")
    fresh, _ = answering(log)
    await asked(fresh, scripted()).run("Well?")
    kinds = [record.event.kind for record in load(fresh).records]
    assert kinds.count("tool.progressed") == 1


async def test_another_model_that_was_asked_instead_answers_again() -> None:
    busy = Failure("overloaded", "busy", status=529, retryable=False)
    log = memory("fallback")
    other = agent(None, []).state.model
    assert other is not None
    other = other.model_copy(update={"id": "planner-2"})
    await agent(log, [busy, chat(text="From the other.")], fallback=[other]).prompt("Well?")
    fresh, answers = answering(log)
    await agent(fresh, [], fallback=[other]).prompt("Well?")
    assert transcript(fresh) == transcript(log)
    assert "From the other." in transcript(fresh)
    assert answers.unused == []
