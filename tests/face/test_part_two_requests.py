"""Part two: the bodies of requests: caching, history, images, what each provider takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.wire import (
    MARK,
    anthropic,
    called,
    delta,
    end,
    heard_by_agent,
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
    AssistantMessage,
    ImageContent,
    TextContent,
    UserMessage,
)
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.caching import EPHEMERAL_CACHE
from tinyagent.testing import RecordedTransport

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
