"""Part two: what an agent's options do to its requests, and what its readers see of answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.agents import heard, live, make, reported
from tests.traces import MODEL, script, text, trace
from tests.wire import Heard, anthropic, call, delta, end, heard_by_agent, heard_by_hand, of

from tinyagent import Agent, AgentOptions, AgentState, Model, ThinkingLevel, load
from tinyagent.agent_types import AgentEvent, ThinkingBudgets
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.testing import ProviderServer, RecordedTransport, chat

HELLO = delta(content="Hello!") + end()


async def asked(model: Model, *, level: Any = "off", reply: bytes = HELLO, **options: Any) -> Any:
    """Return the body of the request that an agent with *options* makes."""
    transport = RecordedTransport([reply])
    state = AgentState(system_prompt="S", model=model, thinking_level=level)
    agent = Agent(
        AgentOptions(initial_state=state, transport=transport, get_api_key=lambda _: "k", **options)
    )
    await agent.prompt("hi")
    return json.loads(transport.requests[0].body)


def at(provider: str, **more: Any) -> OpenAICompatModel:
    return of(provider, **more)("https://proxy.example.org/v1")


# 2, 3


async def test_row_2_the_session_may_be_named_later_and_is_in_the_options_of_every_call() -> None:
    seen: list[Any] = []

    def answer(context: Any, options: Any) -> Any:
        seen.append(options.session_id)
        return text("Hello!")

    agent = make(answer, answer, session_id="one")
    await agent.prompt("hi")
    agent.session_id = "two"
    await agent.prompt("again")
    assert seen == ["one", "two"]


@pytest.mark.parametrize(
    ("given", "api"),
    [
        ({"provider": "minimax"}, "minimax-completions"),
        ({"provider": "minimax-cn"}, "minimax-completions"),
        ({"provider": "minimax", "api": "openai-completions"}, "openai-completions"),
        ({"provider": "openai"}, "openai-completions"),
        ({}, "openai-completions"),
    ],
)
async def test_row_3_a_model_without_an_api_takes_that_of_its_provider(
    given: dict[str, Any], api: str
) -> None:
    model = OpenAICompatModel(**given, base_url="https://proxy.example.org/v1", reasoning=True)
    assert model.api == api
    body = await asked(model)
    assert ("reasoning_split" in body) is (api == "minimax-completions")


# 9: how hard it thinks


@pytest.mark.parametrize(
    ("state", "model", "reasoning", "effort"),
    [
        ("high", "low", "minimal", "high"),
        ("off", "low", "minimal", "low"),
        ("off", "off", "minimal", "minimal"),
        ("off", "off", True, None),
        ("off", "off", False, None),
        ("xhigh", "off", False, "xhigh"),
    ],
)
async def test_row_9_the_state_comes_before_the_model_and_the_level_before_reasoning(
    state: str, model: str, reasoning: Any, effort: str | None
) -> None:
    body = await asked(
        at("openai", thinking_level=model, reasoning=reasoning), level=ThinkingLevel(state)
    )
    assert body.get("reasoning_effort") == effort
    thinks = effort is not None or reasoning is True
    assert body["messages"][0]["role"] == ("developer" if thinks else "system")


async def test_row_9_the_level_may_be_set_between_runs() -> None:
    async with ProviderServer(chat(text="Hello!")) as server:
        agent = live(server.chat_url)
        await agent.prompt("hi")
        agent.set_thinking_level(ThinkingLevel.LOW)
        await agent.prompt("again")
        efforts = [request.json.get("reasoning_effort") for request in server.requests]
    assert efforts == [None, "low"]


async def test_row_9_minimax_splits() -> None:
    assert (await asked(at("minimax"), level=ThinkingLevel.LOW))["reasoning_split"] is True


@pytest.mark.parametrize(
    ("level", "budget", "limit", "tokens"),
    [
        ("minimal", None, 64_000, 1024),
        ("low", None, 64_000, 2048),
        ("medium", None, 64_000, 8192),
        ("high", None, 64_000, 16_384),
        ("xhigh", None, 64_000, 32_768),
        ("high", 5000, 64_000, 5000),
        ("high", None, 8000, 8000 - 1024),
        ("high", 7500, 8000, 8000 - 1024),
    ],
)
async def test_row_9_anthropic_gets_a_budget_never_above_the_limit(
    level: str, budget: int | None, limit: int, tokens: int
) -> None:
    budgets = ThinkingBudgets(thinking_budget=budget) if budget else None
    body = await asked(
        at("anthropic", api="anthropic-messages", max_tokens=limit),
        level=ThinkingLevel(level),
        thinking_budgets=budgets,
        reply=anthropic("Hi."),
    )
    assert body["thinking"] == {"type": "enabled", "budget_tokens": tokens}


async def test_row_9_a_stream_function_gets_the_level_in_force() -> None:
    seen: list[Any] = []

    def answer(context: Any, options: Any) -> Any:
        seen.append((options.reasoning, options.thinking_budget_tokens, options.max_tokens))
        return text("Hello!")

    agent = make(answer, thinking_budgets=ThinkingBudgets(thinking_budget=3000, max_tokens=9000))
    agent.set_thinking_level(ThinkingLevel.MEDIUM)
    await agent.prompt("hi")
    assert seen == [("medium", 3000, 9000)]


# 10: limits


@pytest.mark.parametrize(
    ("options", "budget", "model", "limit"),
    [
        (7, 8, 9, 7),
        (None, 8, 9, 8),
        (None, None, 9, 9),
        (None, None, 4096, None),
    ],
)
async def test_row_10_the_nearest_limit_counts(
    options: int | None, budget: int | None, model: int, limit: int | None
) -> None:
    body = await asked(
        at("openai", max_tokens=model),
        max_tokens=options,
        temperature=0.25,
        thinking_budgets=ThinkingBudgets(max_tokens=budget),
    )
    assert (body.get("max_completion_tokens"), body["temperature"]) == (limit, 0.25)


# 24: listeners


async def test_row_24_a_raising_listener_is_reported_and_the_run_is_as_without_it() -> None:
    async def broken(event: AgentEvent) -> None:
        if event.type in ("turn_start", "agent_end"):
            raise ValueError(event.type)

    async with ProviderServer([chat(text="One."), chat(text="Two.")]) as server:
        agent = live(server.chat_url)
        agent.subscribe(broken)
        events = heard(agent)
        assert await agent.prompt_text("hi") == "One."
        assert await agent.prompt_text("again") == "Two."
    assert reported(agent)[:2] == [
        ("listener.failed", "a listener raised ValueError: turn_start"),
        ("listener.failed", "a listener raised ValueError: agent_end"),
    ]
    assert trace(events).count("ae") == 2
    assert load(agent.log).replay().ok


async def test_row_24_who_subscribes_in_a_callback_hears_from_the_next_event_on() -> None:
    agent = make(text("Hello!"))
    late: list[str] = []

    def subscribes(event: AgentEvent) -> None:
        if event.type == "turn_start":
            agent.subscribe(lambda later: late.append(later.type))

    agent.subscribe(subscribes)
    await agent.prompt("hi")
    assert late[0] == "message_start"


# 47, 54


async def test_row_47_the_copy_is_reported() -> None:
    state = AgentState(model=MODEL)
    first = Agent(AgentOptions(initial_state=state, stream_fn=script(text("One."))))
    second = Agent(AgentOptions(initial_state=state, stream_fn=script(text("Two."))))
    await second.prompt("hi")
    told = "the initial state belongs to another agent; this one has a copy"
    assert reported(second) == [("state.copied", told)]
    assert reported(first) == []


@pytest.mark.parametrize("heard_as", [heard_by_hand, heard_by_agent])
async def test_row_54_every_partial_is_as_of_its_event_and_never_changes(heard_as: Any) -> None:
    body = delta(content="Hel") + delta(content="lo") + call(0, "c1", "f", "")
    body += call(0, None, None, '{"a": [1,') + call(0, None, None, " 2]}")
    found: Heard = await heard_as(body + end("tool_calls"))
    shown = [
        [getattr(b, "text", None) or (b.partial_json, b.arguments) for b in e.partial.content]  # type: ignore[union-attr] # no slots
        for e in found.events
        if e.type in ("text_delta", "tool_call_delta") and e.partial is not None
    ]
    assert shown == [
        ["Hel"],
        ["Hello"],
        ["Hello", ("", {})],
        ["Hello", ('{"a": [1,', {"a": [1]})],
        ["Hello", ('{"a": [1, 2]}', {"a": [1, 2]})],
    ]
