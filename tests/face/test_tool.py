"""``@tool``: what a function is given, what it may give back, and how long it may take."""

from __future__ import annotations

import asyncio
import datetime
import enum
import math
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta
from tests.agents import outcome, recorded

from tinyagent import (
    Agent,
    AgentTool,
    AgentToolResult,
    Ctx,
    ImageContent,
    TextContent,
    ToolDefinitionError,
    ToolReturn,
    current_ctx,
    tool,
)
from tinyagent.events import kinds as k
from tinyagent.testing import VirtualClock, scripted


class Unit(enum.Enum):
    CELSIUS = "c"


@dataclass
class Place:
    name: str


class Share(msgspec.Struct):
    of: str
    value: float


@tool(effect="read")
async def forecast(
    place: Place, days: Annotated[int, Meta(ge=1, le=14)] = 3, unit: Unit = Unit.CELSIUS
) -> str:
    """Weather forecast."""
    return f"{place.name}: {days} days in {unit.name}"


# What it is


async def test_a_tool_is_still_the_function_that_it_was() -> None:
    assert await forecast(Place("Oslo"), days=1) == "Oslo: 1 days in CELSIUS"
    assert (forecast.__name__, forecast.__doc__) == ("forecast", "Weather forecast.")
    assert repr(forecast) == "<tool forecast (read)>"


def test_a_tool_that_says_nothing_may_have_changed_the_world() -> None:
    @tool
    async def nameless() -> None: ...

    assert nameless.effect == "write"


def test_an_effect_is_one_of_four_words() -> None:
    with pytest.raises(ToolDefinitionError, match="effect='reading' is none of pure, read, idem"):
        tool(effect="reading")(lambda: None)  # type: ignore[call-overload] # the point


def test_name_and_description_may_be_others_than_the_functions() -> None:
    made = tool(name="weather", description="For travellers.")(forecast.function)
    assert (made.name, made.description) == ("weather", "For travellers.")


async def test_who_puts_something_around_a_tools_execute_is_given_results_and_is_what_runs() -> (
    None
):
    @tool(effect="read")
    async def greet(name: str) -> str:
        return f"Hello {name}"

    inner = greet.execute
    assert inner is not None

    async def louder(*given: Any) -> AgentToolResult:
        result: AgentToolResult = await inner(*given)
        return AgentToolResult([TextContent(text=f"{result.content[0].text}!")])  # type: ignore[union-attr] # a text

    greet.execute = louder
    assert (await outcome(greet, name="Ada")).content == "Hello Ada!"


# What it is given


async def test_arguments_arrive_as_the_annotations_say() -> None:
    call = await outcome(forecast, place={"name": "Rome"}, unit="c")
    assert (call.outcome, call.content) == ("finished", "Rome: 3 days in CELSIUS")


async def test_bad_arguments_come_back_readable_all_at_once_and_the_tool_does_not_run() -> None:
    call = await outcome(forecast, place={"name": 5, "x": 1}, days=0, unit="k", when="now")
    assert (call.outcome, call.failure.kind, call.started) == ("failed", "invalid", 0)
    assert call.content == (
        "Invalid arguments for tool forecast:\n"
        "- $: Additional properties are not allowed ('when' was unexpected)\n"
        "- $.days: 0 is less than the minimum of 1\n"
        "- $.place: Additional properties are not allowed ('x' was unexpected)\n"
        '- $.place.name: 5 is not of type "string"\n'
        '- $.unit: "k" is not one of "c"\n'
        'Received: {"place": {"name": 5, "x": 1}, "days": 0, "unit": "k", "when": "now"}'
    )


async def test_what_only_the_type_knows_is_found_too() -> None:
    @tool(effect="read")
    async def book(when: datetime.date) -> str:
        return when.isoformat()

    assert (await outcome(book, when="2024-11-22")).content == "2024-11-22"
    assert (await outcome(book, when="soon")).content == (
        "Invalid arguments for tool book:\n"
        '- $.when: invalid RFC3339 encoded date, got "soon"\n'
        'Received: {"when": "soon"}'
    )


async def test_nothing_is_mended_in_silence() -> None:
    call = await outcome(forecast, place={"name": "Rome"}, days="3")
    assert '- $.days: "3" is not of type "integer"' in str(call.content)


async def test_the_context_is_the_first_parameter_and_no_argument() -> None:
    found: list[Any] = []

    @tool(effect="read")
    async def look(ctx: Ctx[dict[str, int]], name: str) -> str:
        found.append((ctx.deps, ctx.call_id, ctx.attempt, ctx.cancelled, ctx is current_ctx()))
        ctx.progress("looking")
        return str(ctx.deps[name])

    assert list(look.parameters["properties"]) == ["name"]
    deps = {"a": 7}
    agent = Agent(model=scripted(("look", {"name": "a"}), "."), tools=[look], deps=deps)
    await agent.run("go")
    assert found == [(deps, "c1", 1, False, True)]
    assert agent.log.tool_calls["c1"].content == "7"
    assert recorded(agent, "tool.progressed") == [k.ToolProgressed("c1", "looking")]
    assert b'"a":7' not in b"".join(stored.payload for stored in agent.log.read())


async def test_time_chance_and_keys_are_those_of_the_call_not_of_the_moment() -> None:
    seen: list[Any] = []

    @tool(effect="read")
    async def look(ctx: Ctx, n: int) -> str:
        seen.append((ctx.now(), ctx.random.random(), ctx.uuid(), ctx.idempotency_key))
        return "seen"

    log_id = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"
    for _ in range(2):
        from tinyagent import AgentOptions
        from tinyagent.runtime.stores.memory import MemoryLog

        options = AgentOptions(log=MemoryLog(log_id=log_id), clock=VirtualClock())
        await Agent(options, model=scripted(("look", {"n": 1}), "."), tools=[look]).run("go")
    assert seen[0] == seen[1]


async def test_a_secret_is_given_by_name_and_masked_when_the_tool_says_it() -> None:
    @tool(effect="read")
    async def pay(ctx: Ctx) -> str:
        return f"paid with {ctx.secret('stripe')}"

    agent = Agent(
        model=scripted(("pay", {}), "."), tools=[pay], secrets={"stripe": "sk_live_0123456789"}
    )
    await agent.run("go")
    assert agent.log.tool_calls["c1"].content == "paid with «secret:stripe:1»"


async def test_a_secret_that_is_not_there_is_named() -> None:
    @tool(effect="read")
    async def pay(ctx: Ctx) -> str:
        return ctx.secret("stripe")

    assert "no secret is named 'stripe'" in str((await outcome(pay)).content)


# What it gives back


@pytest.mark.parametrize(
    ("given", "content"),
    [
        ("text", "text"),
        (None, "null"),
        (3.5, "3.5"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (Place("Oslo"), '{"name":"Oslo"}'),
        ([Unit.CELSIUS, datetime.date(2024, 11, 22)], '["c","2024-11-22"]'),
        (TextContent(text="block"), "block"),
        (AgentToolResult(content=[TextContent(text="old")]), "old"),
        (ToolReturn(content={"a": 1}), '{"a":1}'),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        ({"a": [math.nan, None, 2**60, 1e22]}, '{"a":["NaN",null,1152921504606846976,1e22]}'),
        (Share("tea", math.inf), '{"of":"tea","value":"Infinity"}'),
    ],
)
async def test_a_result_is_text_or_whatever_can_be_encoded(given: Any, content: str) -> None:
    @tool(effect="read")
    async def give() -> Any:
        return given

    assert (await outcome(give)).content == content


async def test_a_result_may_have_blocks_details_and_end_the_run() -> None:
    @tool(effect="read")
    async def give() -> ToolReturn:
        image = ImageContent(url="https://example.org/a.png")
        return ToolReturn(content=[image], details={"rows": 2}, terminate=True)

    agent = Agent(model=scripted(("give", {}), "Never said."), tools=[give])
    result = await agent.run("go")
    (finished,) = recorded(agent, "tool.finished")
    assert finished.content == [{"type": "image", "url": "https://example.org/a.png"}]
    assert (finished.details, finished.terminate, result.outcome) == ({"rows": 2}, True, "stopped")


async def test_a_result_that_cannot_be_encoded_says_that_the_tool_ran() -> None:
    @tool(effect="read")
    async def give() -> object:
        return object()

    assert str((await outcome(give)).content).startswith(
        "Tool give ran; what it returned cannot be told to the model: "
    )


async def test_a_result_without_end_says_that_the_tool_ran() -> None:
    @tool(effect="read")
    async def give() -> object:
        rows: list[object] = []
        rows.append(rows)
        return rows

    assert str((await outcome(give)).content).startswith(
        "Tool give ran; what it returned cannot be told to the model: "
    )


async def test_half_a_character_in_a_value_is_told_as_one_in_a_text_is() -> None:
    @tool(effect="read")
    async def give() -> dict[str, object]:
        return {"files": ["a\udcff.txt"], "count": 2**60, "$b": None}

    assert (await outcome(give)).content == (
        '{"files":["a\ufffd.txt"],"count":1152921504606846976,"$b":null}'
    )


async def test_long_output_is_cut_at_a_character_and_the_model_is_told() -> None:
    @tool(effect="read", output_bytes_max=5)
    async def give() -> str:
        return "ääää"

    assert (await outcome(give)).content == [
        {"type": "text", "text": "ää"},
        {"type": "text", "text": "[cut: the first 5 of 8 bytes]"},
    ]


async def test_half_a_character_in_long_output_does_not_make_a_tool_that_ran_a_failure() -> None:
    @tool(output_bytes_max=5)
    async def give() -> str:
        return "ab\ud800cdef"

    assert (await outcome(give)).content == [
        {"type": "text", "text": "ab"},
        {"type": "text", "text": "[cut: the first 5 of 9 bytes]"},
    ]


async def test_of_a_group_of_errors_the_model_is_told_each() -> None:
    async def fails(error: Exception) -> None:
        raise error

    @tool(effect="read")
    async def two_at_once() -> str:
        """Ask two places at once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(fails(OSError("no such host")))
            group.create_task(fails(KeyError()))
        return "never"

    agent = Agent(model=scripted(("two_at_once", {}), "I see."), tools=[two_at_once])
    await agent.run("Go")
    [failed] = recorded(agent, "tool.failed")
    told = "unhandled errors in a TaskGroup (2 sub-exceptions): no such host; KeyError"
    assert failed.failure.message == told


async def test_results_are_shown_to_the_model_in_the_order_of_the_calls() -> None:
    gate = asyncio.Event()

    @tool(effect="read")
    async def slow() -> str:
        await gate.wait()
        return "slow"

    @tool(effect="read")
    async def fast() -> str:
        gate.set()
        return "fast"

    agent = Agent(model=scripted([("slow", {}), ("fast", {})], "."), tools=[slow, fast])
    await agent.run("go")
    assert [e.content for e in recorded(agent, "tool.finished")] == ["fast", "slow"]
    shown = [m for m in agent.state.messages if m.role == "tool_result"]
    assert [message.content[0].text for message in shown] == ["slow", "fast"]  # type: ignore[union-attr] # text


async def test_both_kinds_of_tools_stand_side_by_side() -> None:
    async def execute(call_id: str, args: Any, signal: Any, on_update: Any) -> AgentToolResult:
        return AgentToolResult(content=[TextContent(text="raw")])

    raw = AgentTool(name="raw", execute=execute, effect="read")
    turn = [("raw", {}), ("forecast", {"place": {"name": "Oslo"}})]
    agent = Agent(model=scripted([*turn], "."), tools=[raw, forecast])
    await agent.run("go")
    calls = agent.log.tool_calls
    assert [calls["c1"].content, calls["c2"].content] == ["raw", "Oslo: 3 days in CELSIUS"]


def test_what_a_log_says_of_a_tool_is_what_it_reads_back() -> None:
    @tool
    async def go(at: tuple[int, int] = (1, 2)) -> None: ...

    assert msgspec.json.decode(msgspec.json.encode(go.parameters)) == go.parameters
