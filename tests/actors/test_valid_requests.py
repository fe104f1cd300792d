"""Whatever the history, each protocol's rules hold in what is sent.

The rules are those that providers enforce with HTTP 400: calls are answered at once and once,
nothing is empty that must not be, ids are unique and spelled as they are taken.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tinyagent.actors.providers import provider_for
from tinyagent.events.codec import plain
from tinyagent.events.fact import ToolSpec
from tinyagent.events.messages import Assistant, Block, Custom, Message, Result, User
from tinyagent.events.settings import Settings

MODEL: dict[str, Any] = {"provider": "p", "id": "m", "api": "a"}
APIS = (
    "openai-completions",
    "minimax-completions",
    "anthropic-messages",
    "openai-responses",
    "google-generative-ai",
)
IDS = st.sampled_from(["", "a", "b", "a~2", "functions.add:0", "call_0", "x" * 70])
TEXTS = st.sampled_from(["", " ", "hi", "\ud800", "☃"])
PARTS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS}),
        st.just({"type": "image", "url": "data:image/png;base64,AAAA"}),
        st.just({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}),
        st.just({"type": "odd"}),
        st.just({}),
    ),
    max_size=3,
)
CONTENT = st.one_of(TEXTS, PARTS)
BLOCKS = st.one_of(
    st.builds(Block, st.sampled_from(["text", "refuse", "think"]), TEXTS, sign=TEXTS),
    st.builds(
        Block, st.just("call"), st.sampled_from(["", "{}", '{"a":', "[1]"]), IDS, st.just("add")
    ),
)
MODELS = st.sampled_from([MODEL, {**MODEL, "id": "other"}, {}])
OUTCOMES = st.sampled_from(["ok", "ok", "ok", "failed", "cancelled"])
MESSAGES = st.one_of(
    st.builds(User, st.just(1), CONTENT),
    st.builds(Assistant, st.just(2), st.lists(BLOCKS, max_size=4).map(tuple), MODELS, OUTCOMES),
    st.builds(Result, st.just(3), IDS, st.just("add"), CONTENT, st.booleans()),
    st.builds(Custom, st.just(4), st.just({"role": "note"})),
)


@pytest.mark.parametrize("api", APIS)
@given(
    history=st.lists(MESSAGES, max_size=8),
    provider=st.sampled_from(["anthropic", "openai", "openrouter", "mistral", "kimi", "custom"]),
    caching=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_what_is_sent_is_valid(
    api: str, history: list[Message], provider: str, caching: bool
) -> None:
    said = {**MODEL, "provider": provider, "api": api}
    config = Settings(model=said, system="S", options={"prompt_caching": caching})
    body = json.loads(provider_for(api).body(config, history))
    _RULES[api](body)
    assert json.dumps(body).count("cache_control") <= 4


def chat_rules(body: dict[str, Any]) -> None:
    open_ids: list[str] = []
    seen: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            assert message["tool_call_id"] == open_ids.pop(0)
            continue
        assert not open_ids, "a call was not answered at once"
        assert set(message) - {"role"}, "an empty message"
        for call in message.get("tool_calls", []):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            open_ids.append(call["id"])
            seen.append(call["id"])
    assert not open_ids
    assert len(seen) == len(set(seen))


def anthropic_rules(body: dict[str, Any]) -> None:
    open_ids: list[str] = []
    seen: list[str] = []
    for message in body["messages"]:
        assert message["content"], "an empty message"
        given = [it["tool_use_id"] for it in message["content"] if it["type"] == "tool_result"]
        assert given == open_ids, "all results of a turn are in the next message"
        open_ids = [it["id"] for it in message["content"] if it["type"] == "tool_use"]
        seen += open_ids
        for block in message["content"]:
            assert block["type"] != "text" or block["text"].strip()
            if block["type"] == "tool_result" and block["is_error"]:
                assert block["content"]
    assert not open_ids
    assert len(seen) == len(set(seen))


def responses_rules(body: dict[str, Any]) -> None:
    calls = [item["call_id"] for item in body["input"] if item["type"] == "function_call"]
    given = [item["call_id"] for item in body["input"] if item["type"] == "function_call_output"]
    assert calls == given
    assert len(set(calls)) == len(calls)
    assert all(len(call_id) <= 64 for call_id in calls)


def gemini_rules(body: dict[str, Any]) -> None:
    due = 0
    for content in body["contents"]:
        assert content["parts"], "an empty content"
        given = sum("functionResponse" in part for part in content["parts"])
        assert given == due, "as many results as calls"
        assert given in (0, len(content["parts"])), "nothing else beside results"
        due = sum("functionCall" in part for part in content["parts"])
    assert not due


_RULES = {
    "openai-completions": chat_rules,
    "minimax-completions": chat_rules,
    "anthropic-messages": anthropic_rules,
    "openai-responses": responses_rules,
    "google-generative-ai": gemini_rules,
}


@given(IDS)
def test_anthropic_takes_every_id_that_is_sent(call_id: str) -> None:
    said = {**MODEL, "provider": "anthropic", "api": "anthropic-messages"}
    answer = Assistant(1, (Block("call", "{}", call_id, "add"),), said)
    body = json.loads(provider_for("anthropic-messages").body(Settings(model=said), [answer]))
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", body["messages"][0]["content"][0]["id"])


@pytest.mark.parametrize("api", APIS)
def test_a_schema_that_went_through_a_log_is_sent_as_the_user_wrote_it(api: str) -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"b": {"$ref": "#/$defs/B"}, "$a": {"enum": ["$x"]}},
        "$defs": {"B": {"type": "string"}},
    }
    logged = plain(schema)
    assert logged != schema
    config = Settings(model=MODEL, tools=(ToolSpec("add", "", logged),))
    body = provider_for(api).body(config, [])
    assert json.dumps(schema, separators=(",", ":")).encode() in body
