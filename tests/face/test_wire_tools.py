"""W6: tool calls however they are cut, interleaved, left half or left without an id."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.wire import (
    DONE,
    Heard,
    arguments,
    blocks,
    call,
    delta,
    deltas,
    demo,
    end,
    heard_by_agent,
    heard_by_hand,
)

from tinyagent import Agent, AgentOptions, AgentState, AgentTool, ToolResultMessage
from tinyagent.agent_types import ToolCallContent
from tinyagent.testing import ProviderServer, chat, close_after, completion

ways = pytest.mark.parametrize("heard", [heard_by_hand, heard_by_agent])
ONE = "start call_start0 call_delta0 call_end0 done"


def partials(found: Heard, kind: str, index: int = 0) -> list[Any]:
    """Return the block as the partials of the events of one kind show it."""
    events = [e for e in found.events if e.type == kind and e.content_index == index]
    return [e.partial.content[index] for e in events if e.partial is not None]


@ways
async def test_w6_a_call_in_fragments(heard: Any) -> None:
    body = (
        call(0, "c1", "f", "") + call(0, None, None, '{"a": 1, "b') + call(0, None, None, '": 2}')
    )
    found = await heard(body + end("tool_calls"))
    assert found.words == ONE
    assert deltas(found.events, 0) == ["", '{"a": 1, "b', '": 2}']
    assert found.blocks == [("call", "c1", "f", {"a": 1, "b": 2})]
    assert found.message.stop_reason == "tool_calls"
    (opened,) = partials(found, "tool_call_start")
    assert opened == ToolCallContent(id="c1", name="f", partial_json="")
    growing = partials(found, "tool_call_delta")
    assert [block.partial_json for block in growing] == ["", '{"a": 1, "b', '{"a": 1, "b": 2}']
    assert [block.arguments for block in growing] == [{}, {"a": 1}, {"a": 1, "b": 2}]
    ended = next(event for event in found.events if event.type == "tool_call_end")
    assert ended.tool_call == ToolCallContent(id="c1", name="f", arguments={"a": 1, "b": 2})
    assert ended.partial.stop_reason == "tool_calls"


@ways
async def test_w6_the_order_of_the_models_keys_is_kept(heard: Any) -> None:
    found = await heard(call(0, "c1", "f", '{"z": 1, "a": {"y": 2, "b": 3}}') + end("tool_calls"))
    assert json.dumps(found.message.content[0].arguments) == '{"z": 1, "a": {"y": 2, "b": 3}}'


@ways
async def test_w6_no_arguments_are_an_empty_object(heard: Any) -> None:
    found = await heard(call(0, "c1", "f", None) + end("tool_calls"))
    assert found.words == "start call_start0 call_end0 done"
    assert found.blocks == [("call", "c1", "f", {})]


@ways
async def test_w6e_text_then_calls_one_after_the_other(heard: Any) -> None:
    body = delta(content="Both.") + call(0, "c1", "f", "{}") + call(1, "c2", "g", '{"b": 2}')
    found = await heard(body + end("tool_calls"))
    assert found.words == (
        "start text_start0 text_delta0 text_end0 call_start1 call_delta1 call_end1 "
        "call_start2 call_delta2 call_end2 done"
    )
    assert found.blocks == [
        ("text", "Both."),
        ("call", "c1", "f", {}),
        ("call", "c2", "g", {"b": 2}),
    ]


@ways
async def test_w6b_interleaved_calls_lose_nothing(heard: Any) -> None:
    body = (
        call(0, "c1", "f", '{"a": ')
        + call(1, "c2", "g", '{"b": ')
        + call(0, None, None, '"x"}')
        + call(1, None, None, '"y"}')
    )
    found = await heard(body + end("tool_calls"))
    assert found.blocks == [("call", "c1", "f", {"a": "x"}), ("call", "c2", "g", {"b": "y"})]
    assert found.words == (
        "start call_start0 call_delta0 call_start1 call_delta1 call_delta0 call_delta1 "
        "call_end0 call_end1 done"
    )


@ways
@pytest.mark.parametrize(
    "raw", ['{"a": ', "[1, 2]", '"text"', "17", '{"a": 1} and more', "{'a': 1}"]
)
async def test_w6c_w6d_arguments_that_are_no_object_are_kept_as_text(heard: Any, raw: str) -> None:
    found = await heard(call(0, "c1", "f", raw) + end("tool_calls"))
    assert found.words == ONE
    assert found.blocks == [("call", "c1", "f", {}, raw)]
    assert found.message.stop_reason == "tool_calls"


@ways
async def test_w6f_empty_ids_and_names_erase_nothing(heard: Any) -> None:
    body = call(0, "c1", "f", "") + call(0, "", "", '{"a":') + call(0, "", "", " 1}")
    found = await heard(body + end("tool_calls"))
    assert (found.words, found.blocks) == (ONE, [("call", "c1", "f", {"a": 1})])


@ways
async def test_w6g_calls_without_ids_get_some(heard: Any) -> None:
    body = call(0, None, "f", '{"a": 1}') + call(1, None, "g", '{"b": 2}')
    found = await heard(body + end("tool_calls"))
    assert found.blocks == [("call", "call_0", "f", {"a": 1}), ("call", "call_1", "g", {"b": 2})]


@ways
async def test_w6g_neither_ids_nor_indices(heard: Any) -> None:
    body = call(None, None, "f", '{"a": 1}') + call(None, None, "g", '{"b": 2}')
    found = await heard(body + end("tool_calls"))
    assert [block[2:] for block in found.blocks] == [("f", {"a": 1}), ("g", {"b": 2})]
    assert len({block[1] for block in found.blocks}) == 2


@ways
@pytest.mark.parametrize("nothing", [{}, "", None])
async def test_w6g_calls_without_ids_under_one_index_are_told_apart_by_their_names(
    heard: Any, nothing: Any
) -> None:
    body = call(0, None, "f", '{"a": 1}') + call(0, None, "g", nothing)
    found = await heard(body + end("tool_calls"))
    assert [block[2:] for block in found.blocks] == [("f", {"a": 1}), ("g", {})]


async def test_w6g_a_given_id_is_new_in_its_conversation() -> None:
    from tests.wire import user

    from tinyagent.agent_types import AssistantMessage, TextContent

    asked = AssistantMessage(
        content=[ToolCallContent(id="call_1", name="f")], stop_reason="tool_calls"
    )
    result = ToolResultMessage(
        tool_call_id="call_1", tool_name="f", content=[TextContent(text="ok")]
    )
    body = call(0, "", "f", "{}") + call(1, "", "f", "{}") + end("tool_calls")
    found = await heard_by_hand(body, user(), asked, result)
    names = [block[1] for block in found.blocks]
    assert len({"call_1", *names}) == 3


@ways
async def test_w6h_arguments_as_an_object(heard: Any) -> None:
    found = await heard(call(0, "c1", "f", {"z": 1, "a": [2]}) + end("tool_calls"))
    assert (found.words, found.blocks) == (ONE, [("call", "c1", "f", {"z": 1, "a": [2]})])


@ways
async def test_w6i_a_call_that_ends_with_stop_stays_stop(heard: Any) -> None:
    found = await heard(call(0, "c1", "f", "{}") + end("stop"))
    assert (found.words, found.message.stop_reason) == (ONE, "stop")


@ways
async def test_text_between_the_fragments_does_no_harm(heard: Any) -> None:
    body = call(0, "c1", "f", '{"a":') + delta(content="Well.") + call(0, None, None, " 1}")
    found = await heard(body + end("tool_calls"))
    assert found.blocks == [("call", "c1", "f", {"a": 1}), ("text", "Well.")]
    assert found.words == (
        "start call_start0 call_delta0 text_start1 text_delta1 call_delta0 call_end0 text_end1 done"
    )


@ways
async def test_a_call_in_a_plain_json_answer(heard: Any) -> None:
    found = await heard(completion(text="Now.", calls=[("c1", "f", {"a": 1})]))
    assert found.blocks == [("text", "Now."), ("call", "c1", "f", {"a": 1})]
    assert found.message.stop_reason == "tool_calls"


@ways
async def test_a_half_call_is_left_out_of_an_answer_that_broke_off(heard: Any) -> None:
    body = delta(content="Now.") + call(0, "c1", "f", '{"a": ')
    found = await heard(close_after(len(body), body + end("tool_calls")))
    assert found.blocks == [("text", "Now.")]
    assert found.message.stop_reason == "error"
    assert found.words.endswith("call_start1 call_delta1 error")


# Through an agent: what is run, and what the model is told


async def run(*script: Any, tools: list[AgentTool]) -> tuple[Agent, list[Any]]:
    async with ProviderServer(list(script)) as server:
        state = AgentState(model=demo(server.chat_url), tools=tools)
        agent = Agent(AgentOptions(initial_state=state, retries_max=0))
        await agent.prompt("hi")
        return agent, server.requests


def recorder(*names: str) -> tuple[list[AgentTool], list[Any]]:
    """Return tools that note what they are called with."""
    calls: list[Any] = []

    def make(name: str) -> AgentTool:
        def execute(call_id: str, args: Any, *_: Any) -> str:
            calls.append((name, args))
            return "ok"

        return AgentTool(name=name, execute=execute)

    return [make(name) for name in names], calls


async def test_w6b_each_tool_is_run_with_its_own_arguments() -> None:
    tools, calls = recorder("f", "g")
    body = (
        call(0, "c1", "f", '{"a":')
        + call(1, "c2", "g", '{"b":')
        + call(0, None, None, "1}")
        + call(1, None, None, "2}")
        + end("tool_calls")
    )
    agent, requests = await run(body, chat(text="Done."), tools=tools)
    assert calls == [("f", {"a": 1}), ("g", {"b": 2})]
    assert [m.role for m in agent.state.messages][-3:] == [
        "tool_result",
        "tool_result",
        "assistant",
    ]
    assert arguments(requests[1]) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("raw", ['{"a": ', "[1, 2]", r'{"a": 1, "b": "\ud83d"}'])
async def test_w6c_w6d_a_call_without_arguments_is_not_run(raw: str) -> None:
    tools, calls = recorder("f")
    agent, requests = await run(
        call(0, "c1", "f", raw) + end("tool_calls"), chat(text="Sorry."), tools=tools
    )
    assert calls == []
    result = agent.state.messages[2]
    assert isinstance(result, ToolResultMessage)
    told = result.content[0].text  # type: ignore[union-attr] # a text
    assert result.is_error
    assert (told or "").startswith("Invalid arguments for tool f:\n- ")
    assert raw in (told or "")
    assert arguments(requests[1]) == [{}]
    assert requests[1].json["messages"][-1]["content"] == told


async def test_w6g_a_given_id_goes_back_and_forth_unchanged() -> None:
    tools, calls = recorder("f")
    again = call(0, None, "f", "{}") + end("tool_calls")
    agent, requests = await run(again, again, chat(text="Done."), tools=tools)
    assert len(calls) == 2
    sent = requests[2].json["messages"]
    asked = [m["tool_calls"][0]["id"] for m in sent if m.get("tool_calls")]
    assert asked == [m["tool_call_id"] for m in sent if m["role"] == "tool"]
    assert len(set(asked)) == 2
    held = [block[1] for m in agent.state.messages if m.role == "assistant" for block in blocks(m)]  # type: ignore[arg-type] # by role
    assert held[:2] == asked


async def test_w6i_tools_run_whatever_the_stop_reason_is() -> None:
    tools, calls = recorder("f")
    body = call(0, "c1", "f", '{"a": 1}')
    agent, _ = await run(body + end("stop"), body + DONE, chat(text="Done."), tools=tools)
    assert calls == [("f", {"a": 1})] * 2
    assert agent.state.error is None
