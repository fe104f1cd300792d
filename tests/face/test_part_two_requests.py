"""Part two: the bodies of requests: caching, history, images, what each provider takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.agents import live, reported
from tests.wire import (
    MARK,
    anthropic,
    called,
    delta,
    end,
    heard_by_agent,
    heard_by_hand,
    of,
    result,
    sent,
    user,
    ways,
)

from tinyagent import (
    Agent,
    AgentMessage,
    AgentOptions,
    AgentState,
    AgentTool,
    AssistantMessage,
    CustomAgentMessage,
    ImageContent,
    TextContent,
    ToolCallContent,
    UserMessage,
    load,
)
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.caching import EPHEMERAL_CACHE
from tinyagent.testing import ProviderServer, RecordedTransport, chat

HELLO = delta(content="Hello!") + end()
PICTURE = ImageContent(url="https://example.org/a.png")


INLINE = ImageContent(url="data:image/gif;base64,AAAA")


BARE = ImageContent(url="BBBB", mime_type="image/jpeg")


ANTHROPIC: dict[str, Any] = {
    "model": of("anthropic", api="anthropic-messages"),
    "path": "",
    "api_key": "k",
}


def marks(body: Any) -> list[Any]:
    """Return the text of each block with a mark, the system prompt first."""
    found: list[Any] = []
    system = [{"content": body["system"]}] if "system" in body else []
    for message in [*system, *body["messages"]]:
        content = message["content"]
        for block in content if isinstance(content, list) else ():
            if "cache_control" in block:
                assert block["cache_control"] == MARK
                found.append(block["text"])
    return found


@pytest.mark.parametrize(
    ("how", "is_marked"),
    [
        ({"model": of("openrouter"), "api_key": "k"}, True),
        ({**ANTHROPIC, "script": anthropic("Hi.")}, True),
        ({"model": of("openai"), "api_key": "k"}, False),
        ({"model": of("minimax"), "api_key": "k"}, False),
        ({"model": of("demo")}, False),
    ],
)
async def test_row_1_cache_marks_reach_those_who_read_them_and_no_one_else(
    how: Any, is_marked: bool
) -> None:
    prompts = [user(f"q{n}") for n in range(5)]
    request = await sent(heard_by_agent, *prompts, **how, system="S", enable_prompt_caching=True)
    assert marks(request.json) == (["S", "q2", "q3", "q4"] if is_marked else [])
    assert request.body.count(b"cache_control") == (4 if is_marked else 0)


@ways
async def test_row_1_one_marked_block_marks_the_system_prompt_too(heard: Any) -> None:
    long = UserMessage(
        content=[TextContent(text="long", cache_control=EPHEMERAL_CACHE), TextContent(text="hi")]
    )
    model = of("openrouter")
    request = await sent(heard, long, model=model, api_key="k", system="S")
    assert marks(request.json) == ["S", "long"]
    plain = await sent(heard, user(), model=model, api_key="k", system="S")
    assert plain.json["messages"][0] == {"role": "system", "content": "S"}


async def test_row_1_the_host_openrouter_is_known_whatever_the_provider_is_called() -> None:
    transport = RecordedTransport([HELLO])
    url = "https://openrouter.ai/api/v1/chat/completions"
    model = OpenAICompatModel(provider="mine", id="m", base_url=url)
    state = AgentState(system_prompt="S", model=model)
    agent = Agent(
        AgentOptions(initial_state=state, transport=transport, enable_prompt_caching=True)
    )
    await agent.prompt("hi")
    assert marks(json.loads(transport.requests[0].body)) == ["S", "hi"]


@ways
@pytest.mark.parametrize("api", ["openai-completions", "anthropic-messages"])
async def test_row_4_what_a_message_says_of_its_origin_is_never_parsed(
    heard: Any, api: str
) -> None:
    odd: list[dict[str, Any]] = [
        {"api": "", "provider": "", "model": ""},
        {"api": "openai", "usage": {}},
        {"api": "telepathy", "usage": {"cost": None, "input": "many"}},
        {"usage": {"input": 1, "odd": [None, {"x": 1.5}]}},
    ]
    history: list[AgentMessage] = [user()]
    for number, fields in enumerate(odd):
        answer = AssistantMessage(content=[TextContent(text=f"A{number}")], **fields)
        history += [answer, user(f"q{number}")]
    how = {"script": HELLO} if api.startswith("openai") else {**ANTHROPIC, "script": anthropic("")}
    messages = (await sent(heard, *history, **how)).json["messages"]
    texts = [message["content"][0]["text"] for message in messages]
    assert texts == ["hi", "A0", "q0", "A1", "q1", "A2", "q2", "A3", "q3"]


@ways
async def test_row_5_images_are_sent_in_the_form_of_the_protocol(heard: Any) -> None:
    given = UserMessage(content=[TextContent(text="look"), PICTURE, INLINE, BARE])
    chat_body = (await sent(heard, given)).json
    assert chat_body["messages"][0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,BBBB"}},
    ]
    body = (await sent(heard, given, **ANTHROPIC, script=anthropic("Nice."))).json
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/gif", "data": "AAAA"},
        },
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/jpeg", "data": "BBBB"},
        },
    ]


@ways
async def test_row_5_images_in_results_are_inside_them_or_after_the_batch(heard: Any) -> None:
    history: list[AgentMessage] = [
        user(),
        called("c1", "c2"),
        result("c1", "one", BARE),
        result("c2", "two"),
    ]
    messages = (await sent(heard, *history)).json["messages"]
    assert messages[2:] == [
        {"role": "tool", "tool_call_id": "c1", "content": "one\n(image follows)"},
        {"role": "tool", "tool_call_id": "c2", "content": "two"},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,BBBB"}}],
        },
    ]
    body = (await sent(heard, *history, **ANTHROPIC, script=anthropic("Nice."))).json
    (first, second) = body["messages"][2]["content"]
    source = {"type": "base64", "media_type": "image/jpeg", "data": "BBBB"}
    assert first["content"] == [
        {"type": "text", "text": "one"},
        {"type": "image", "source": source},
    ]
    assert second["content"] == "two"


# 32: order of keys


@ways
@pytest.mark.parametrize("api", ["openai-completions", "anthropic-messages"])
async def test_row_32_schemas_and_arguments_keep_the_order_of_their_keys(
    heard: Any, api: str
) -> None:
    schema = {
        "type": "object",
        "properties": {"z": {"type": "string"}, "a": {"enum": ["y", "b"], "default": "y"}},
        "required": ["z"],
        "additionalProperties": False,
    }
    asked = AssistantMessage(
        content=[ToolCallContent(id="c1", name="f", arguments={"z": 1, "a": {"y": 2, "b": 3}})],
        stop_reason="tool_calls",
    )
    how = {"script": HELLO} if api.startswith("openai") else {**ANTHROPIC, "script": anthropic("")}
    given = AgentTool(name="f", description="d", parameters=schema)
    body = (await sent(heard, user(), asked, result("c1", "r"), tools=[given], **how)).body
    assert json.dumps(schema, separators=(",", ":")).encode() in body
    arguments = '{"z":1,"a":{"y":2,"b":3}}'
    escaped = json.dumps(arguments) if api.startswith("openai") else arguments
    assert escaped.encode() in body


async def test_row_32_what_the_model_wrote_reaches_the_tool_in_its_order() -> None:
    written = '{"z": 1, "a": {"y": 2, "b": 3}}'
    got: list[str] = []

    def execute(call_id: str, args: Any, *_: Any) -> str:
        got.append(json.dumps(args))
        return "ok"

    schema = {"type": "object", "properties": {"a": {}, "z": {}}}
    script = [chat(calls=[("c1", "f", written)]), chat(text="Done.")]
    async with ProviderServer(script) as server:
        given = AgentTool(name="f", parameters=schema, execute=execute)
        agent = live(server.chat_url, given)
        await agent.prompt("hi")
        call = server.requests[1].json["messages"][1]["tool_calls"][0]
    assert got == [written]
    assert call["function"]["arguments"] == written
    assert json.dumps(agent.state.messages[1].content[0].arguments) == written  # type: ignore[union-attr] # a call


# 50: what cannot be sent is left out, and told


@ways
async def test_row_50_illegal_headers_are_left_out(heard: Any) -> None:
    headers = {"X-Good": "yes", "bad name": "x", "X-Bad": "a\nb", "X-Worse": "ü"}
    request = await sent(heard, model=of("demo", headers=headers))
    assert request.headers["x-good"] == "yes"
    assert not {"bad name", "x-bad", "x-worse"} & request.headers.keys()


async def test_row_50_they_are_on_record_once_by_name_and_without_their_values() -> None:
    headers = {"X-Good": "yes", "bad name": "s3cret", "X-Bad": "s3\ncret"}
    async with ProviderServer([chat(text="One."), chat(text="Two.")]) as server:
        model = OpenAICompatModel(
            provider="demo", id="m", base_url=server.chat_url, headers=headers
        )
        agent = Agent(AgentOptions(initial_state=AgentState(model=model)))
        await agent.prompt("hi")
        await agent.prompt("again")
    assert reported(agent) == [
        ("request.header", "the header 'bad name' cannot be sent and is left out"),
        ("request.header", "the header 'X-Bad' cannot be sent and is left out"),
    ]
    assert load(agent.log).replay().ok


async def test_row_50_an_unknown_role_is_left_out_and_reported() -> None:
    async with ProviderServer([chat(text="One."), chat(text="Two.")]) as server:
        agent = live(server.chat_url)
        note = CustomAgentMessage.model_validate({"role": "note", "text": "for nobody"})
        await agent.prompt([user(), note])
        await agent.prompt("again")
        roles = [m["role"] for m in server.requests[1].json["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert agent.state.messages[1] is note
    assert reported(agent) == [
        ("request.role", "messages of the role 'note' are not sent to the model")
    ]


async def test_row_50_by_hand_both_go_to_the_logging_of_the_application(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    headers = {"bad header": "x"}
    nobody: Any = {"role": "gossip", "text": "for nobody"}
    await sent(heard_by_hand, user(), nobody, model=of("demo", headers=headers))
    assert sorted(caplog.messages) == [
        "messages of the role 'gossip' are not sent to the model",
        "the header 'bad header' cannot be sent and is left out",
    ]
    assert capfd.readouterr() == ("", "")
