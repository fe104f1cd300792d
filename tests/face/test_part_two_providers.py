"""Part two: who is asked, with which key, and what is sent to whom."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from tests.agents import heard, live
from tests.traces import said
from tests.wire import (
    anthropic,
    delta,
    demo,
    end,
    heard_by_hand,
    of,
    sent,
    user,
    ways,
)

from tinyagent import (
    Agent,
    AgentContext,
    AgentEndEvent,
    AgentLoopConfig,
    AgentMessage,
    AgentOptions,
    AgentState,
    AgentTool,
    AssistantMessage,
    agent_loop,
    agent_loop_continue,
    execute_tool_calls,
    stream_assistant_response,
)
from tinyagent._alchemy import openai_completions_stream
from tinyagent.agent_loop import create_agent_stream, run_loop
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.rust_binding_provider import RustBindingModel, stream_rust_binding
from tinyagent.testing import ProviderServer, chat, sse

HELLO = delta(content="Hello!") + end()
KEYS = "OPENAI_API_KEY OPENROUTER_API_KEY GROQ_API_KEY KIMI_API_KEY"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS.split():
        monkeypatch.delenv(name, raising=False)


# 12: no stream function


def kimi(url: str) -> RustBindingModel:
    return RustBindingModel(provider="kimi", id="m", base_url=url)


async def test_row_12_an_agent_without_a_stream_function_uses_the_built_in_provider() -> None:
    async with ProviderServer([HELLO, anthropic("Hi.")]) as server:
        assert await live(server.chat_url).prompt_text("hi") == "Hello!"
        state = AgentState(model=kimi(server.url))
        options = AgentOptions(initial_state=state, get_api_key=lambda _: "k")
        assert await Agent(options).prompt_text("hi") == "Hi."
        paths = [request.path for request in server.requests]
    assert paths == ["/v1/chat/completions", "/v1/messages"]


async def test_row_12_the_loop_functions_do_too() -> None:
    script = [HELLO, HELLO, HELLO, HELLO, anthropic("Hi.")]
    async with ProviderServer(script) as server:

        async def convert(messages: list[AgentMessage]) -> list[AgentMessage]:
            return messages

        config = AgentLoopConfig(model=demo(server.chat_url), convert_to_llm=convert)
        context = AgentContext("S", [user()])
        texts = [said(m) for m in await agent_loop([user()], AgentContext(), config).result()]
        texts += [said(m) for m in await agent_loop_continue(context, config).result()]
        stream, new = create_agent_stream(), list[AgentMessage]()
        answer = await stream_assistant_response(AgentContext("S", [user()]), config, None, stream)
        await run_loop(AgentContext("S", [user()]), new, config, None, stream)
        texts += [said(answer), *map(said, new)]
        rust = AgentLoopConfig(model=kimi(server.url), convert_to_llm=convert, api_key="k")
        texts += [said(m) for m in await agent_loop([user()], AgentContext(), rust).result()]
        assert server.requests[4].path == "/v1/messages"
    assert texts == ["hi", "Hello!", "Hello!", "Hello!", "Hello!", "hi", "Hi."]


# 13: what the documentation names


def test_row_13_the_module_that_the_documentation_names_is_there() -> None:
    import tinyagent.agent
    import tinyagent.agent_options

    names = "AgentOptions ApiKeyResolverCallback ConvertToLlmCallback TransformContextCallback"
    for name in names.split():
        assert getattr(tinyagent.agent_options, name) is getattr(tinyagent.agent, name)


class Marked(msgspec.Struct):
    """An event of the application's own."""

    type: str = "checkpoint"
    note: str = ""


async def test_row_13_an_event_of_an_unknown_type_reaches_consumers_untouched() -> None:
    mine: Any = Marked(note="here")
    stream = create_agent_stream()
    stream.push(mine)
    stream.push(AgentEndEvent())
    events: list[Any] = [event async for event in stream]
    assert events[0] is mine
    assert events[1:] == [AgentEndEvent()]


async def test_row_13_an_event_of_an_unknown_type_reaches_listeners_untouched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine: Any = Marked(note="here")

    async def execute(tools: Any, message: Any, signal: Any, stream: Any, *more: Any) -> Any:
        stream.push(mine)
        return await execute_tool_calls(tools, message, signal, stream, *more)

    module = importlib.import_module("tinyagent.agent_loop")
    monkeypatch.setattr(module, "execute_tool_calls", execute)
    call = chat(calls=[("c1", "f", {})])
    async with ProviderServer([call, HELLO]) as server:
        agent = live(server.chat_url, AgentTool(name="f", execute=lambda *_: "ok"))
        events: list[Any] = heard(agent)
        shown: list[Any] = [event async for event in agent.stream("hi")]
    assert [event for event in events if event is mine] == [mine]
    assert [event for event in shown if event is mine] == [mine]
    assert said(agent.state.messages[-1]) == "Hello!"


# 16, 17: keys and protocols


@ways
async def test_row_16_a_server_without_a_key_is_asked_without_one(heard: Any) -> None:
    for model in (of("custom"), of("openai", auth="none"), of("custom", auth="none")):
        request = await sent(heard, model=model)
        assert "authorization" not in request.headers
    given = await sent(heard, model=of("openai", auth="none"), api_key="k")
    assert "authorization" not in given.headers
    keyed = await sent(heard, model=of("custom"), api_key="k")
    assert keyed.headers["authorization"] == "Bearer k"


async def test_row_16_a_provider_that_has_a_key_variable_is_not_asked_without() -> None:
    async with ProviderServer(HELLO) as server:
        model = OpenAICompatModel(provider="groq", id="m", base_url=server.chat_url)
        message = await Agent(AgentOptions(initial_state=AgentState(model=model))).prompt("hi")
        assert isinstance(message, AssistantMessage)
        assert message.error_message == (
            "failed to start openai-completions stream: No API key provided for provider: groq"
        )
        assert server.requests == []


RESPONSES = (
    sse({"type": "response.created", "response": {"id": "r"}})
    + sse(
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {"type": "message", "id": "m1", "role": "assistant", "content": []},
        }
    )
    + sse({"type": "response.output_text.delta", "output_index": 0, "delta": "Hi."})
    + sse({"type": "response.completed", "response": {"id": "r", "usage": {}}})
)
GEMINI = sse(
    {
        "candidates": [
            {"content": {"role": "model", "parts": [{"text": "Hi."}]}, "finishReason": "STOP"}
        ]
    }
)
APIS = pytest.mark.parametrize(
    ("api", "base", "path", "body"),
    [
        ("anthropic-messages", "/root", "/root/v1/messages", anthropic("Hi.")),
        ("openai-responses", "/v1/responses", "/v1/responses", RESPONSES),
        (
            "google-generative-ai",
            "/v1beta",
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            GEMINI,
        ),
    ],
)


@ways
@APIS
async def test_row_17_every_protocol_is_spoken_by_the_alchemy_provider(
    heard: Any, api: str, base: str, path: str, body: bytes
) -> None:
    found = await heard(body, model=of("mine", api=api), path=base)
    assert (found.blocks, found.message.api) == ([("text", "Hi.")], api)
    assert found.requests[0].path == path


@APIS
async def test_row_17_and_by_the_binding(api: str, base: str, path: str, body: bytes) -> None:
    async with ProviderServer(body) as server:
        model = {"id": "m", "provider": "mine", "api": api, "base_url": server.url + base}
        told = {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}
        handle = openai_completions_stream(model, told, {})
        message = await asyncio.to_thread(handle.result)
        assert (message["content"][0]["text"], server.requests[0].path) == ("Hi.", path)


async def test_row_17_anthropic_through_the_other_function() -> None:
    found = await heard_by_hand(
        anthropic("Hi."), model=kimi, stream_fn=stream_rust_binding, path="", api_key="k"
    )
    assert (found.blocks, found.requests[0].path) == ([("text", "Hi.")], "/v1/messages")


async def test_row_17_an_unknown_protocol_stays_unknown() -> None:
    model: dict[str, Any] = {
        "id": "m",
        "provider": "mine",
        "api": "x",
        "base_url": "http://127.0.0.1:9",
    }
    handle = openai_completions_stream(model, {"messages": []}, {})
    with pytest.raises(RuntimeError, match=r"^unsupported api `x`$"):
        await asyncio.to_thread(handle.next_event)
    message = await Agent(AgentOptions(AgentState(model=OpenAICompatModel(**model)))).prompt("hi")
    assert isinstance(message, AssistantMessage)
    assert message.error_message == "unsupported api `x`"


# 18: the extension
def test_row_18_an_extension_that_cannot_be_loaded_is_told_with_every_attempt() -> None:
    program = """
import sys
sys.modules["tinyagent._alchemy"] = None
from tinyagent.alchemy_provider import shared_transport
try:
    shared_transport()
except RuntimeError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Failed to import the optional alchemy binding. ")
    assert "Import failures: _alchemy: ModuleNotFoundError: No module named" in done.stdout
    assert "; tinyagent._alchemy: ModuleNotFoundError: " in done.stdout
