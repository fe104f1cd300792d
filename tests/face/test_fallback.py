"""Other models that are asked when the first does not answer: real servers, one per model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.wire import Hurried, delta

from tinyagent import (
    Agent,
    AgentOptions,
    AgentTool,
    AssistantMessage,
    MessageUpdateEvent,
    Retry,
    extract_text,
    load,
    named_model,
    open_log,
    replay,
)
from tinyagent.events import kinds as k
from tinyagent.runtime.errors import UnknownModelError
from tinyagent.testing import ProviderServer, chat, close_after, sse, stall, status

KEYS = {"openai": "key-of-openai", "anthropic": "key-of-anthropic", "groq": "key-of-groq"}
BUSY = status(503, "busy")
TWICE = Retry(attempts_max=2)
HELLO = delta(content="Hello, ")


def claude(*blocks: tuple[dict[str, Any], dict[str, Any]], reason: str = "end_turn") -> bytes:
    """An answer of Anthropic's: of each block its start and its one delta."""
    usage = {"input_tokens": 3, "output_tokens": 1}
    out = sse({"type": "message_start", "message": {"id": "m", "usage": usage}})
    for index, (start, change) in enumerate(blocks):
        out += sse({"type": "content_block_start", "index": index, "content_block": start})
        out += sse({"type": "content_block_delta", "index": index, "delta": change})
        out += sse({"type": "content_block_stop", "index": index})
    out += sse({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage})
    return out + sse({"type": "message_stop"})


SAID = claude(({"type": "text", "text": ""}, {"type": "text_delta", "text": "Bonjour."}))


class Played:
    """What came of it, and who was asked what."""

    def __init__(self) -> None:
        self.messages: list[AssistantMessage] = []
        self.asked: list[list[Any]] = []
        self.headers: list[list[dict[str, str]]] = []
        self.updates: list[tuple[str | None, str | None]] = []
        self.called: list[Any] = []
        self.compared = 0

    @property
    def text(self) -> str:
        return extract_text(self.messages[-1])


async def play(
    where: Path,
    first: list[Any],
    second: list[Any],
    *prompts: str,
    retry: Retry = TWICE,
    patience_s: float = 10.0,
) -> Played:
    """Say *prompts*; the first model answers *first*, the other *second*. The log replays."""
    played = Played()

    async def add(call_id: str, args: Any, signal: Any, on_update: Any) -> str:
        played.called.append(args)
        return "3"

    def build(*, log: Any) -> Agent:
        model = named_model("openai:gpt-4o", base_url=f"{one.url}/v1", headers={"x-who": "one"})
        other = named_model("anthropic:claude-x", base_url=two.url, headers={"x-who": "two"})
        given = AgentOptions(
            fallback=[other],
            clock=Hurried(),
            get_api_key=lambda provider: KEYS[provider],
            retry=retry,
            first_byte_timeout_s=patience_s,
            read_timeout_s=patience_s,
        )
        return Agent(given, model=model, tools=[AgentTool(name="add", execute=add)], log=log)

    async with ProviderServer(first) as one, ProviderServer(second) as two:
        async with open_log(where) as log:
            agent = build(log=log)

            def listen(event: Any) -> None:
                if isinstance(event, MessageUpdateEvent):
                    assert isinstance(event.message, AssistantMessage)
                    played.updates.append((event.message.provider, event.message.model))

            agent.subscribe(listen)
            for prompt in prompts or ("hi",):
                message = await agent.prompt(prompt)
                assert isinstance(message, AssistantMessage)
                played.messages.append(message)
        for server in (one, two):
            played.asked.append([request.json for request in server.requests])
            played.headers.append([request.headers for request in server.requests])
    report = await replay(where, build)
    assert report.ok, report.first_divergence
    played.compared = report.requests
    return played


def retries_in(where: Path) -> list[k.ModelRetrying]:
    return [r.event for r in load(where).records if isinstance(r.event, k.ModelRetrying)]


async def test_another_model_is_asked_when_the_first_was_asked_often_enough(
    tmp_path: Path,
) -> None:
    found = await play(tmp_path / "log", [BUSY, BUSY], [SAID])
    assert found.text == "Bonjour."
    assert [len(asked) for asked in found.asked] == [2, 1]
    assert found.compared == 2  # a replay rebuilds the request to the first and to the other
    message = found.messages[0]
    assert (message.provider, message.model, message.api) == (
        "anthropic",
        "claude-x",
        "anthropic-messages",
    )
    assert set(found.updates) == {("anthropic", "claude-x")}
    again, instead = retries_in(tmp_path / "log")
    assert (again.attempt, again.model) == (2, None)
    assert (instead.attempt, instead.delay_s) == (3, 0.0)
    assert (instead.model or {})["id"] == "claude-x"
    assert instead.failure.message == "API returned error: 503 - busy"


async def test_each_provider_gets_its_own_key_and_headers(tmp_path: Path) -> None:
    found = await play(tmp_path / "log", [BUSY, BUSY], [SAID])
    for headers in found.headers[0]:
        assert headers["authorization"] == "Bearer key-of-openai"
        assert headers["x-who"] == "one"
    (headers,) = found.headers[1]
    assert headers["x-api-key"] == "key-of-anthropic"
    assert headers["x-who"] == "two"
    assert "authorization" not in headers
    written = [path.read_bytes() for path in (tmp_path / "log").rglob("*") if path.is_file()]
    assert not any(key.encode() in data for data in written for key in KEYS.values())


async def test_the_next_call_begins_with_the_first_model_again(tmp_path: Path) -> None:
    found = await play(tmp_path / "log", [BUSY, BUSY, chat(text="Back.")], [SAID], "hi", "and?")
    assert [extract_text(message) for message in found.messages] == ["Bonjour.", "Back."]
    assert [len(asked) for asked in found.asked] == [3, 1]
    said = found.asked[0][-1]["messages"][1]
    assert said == {"role": "assistant", "content": [{"type": "text", "text": "Bonjour."}]}


async def test_thoughts_go_back_to_the_model_that_had_them_and_to_no_other(
    tmp_path: Path,
) -> None:
    thought = {"type": "thinking", "thinking": "", "signature": ""}
    signed = sse(
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "signature_delta", "signature": "sig+/="},
        }
    )
    call = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}}
    calls = claude(
        (thought, {"type": "thinking_delta", "thinking": "Hm."}),
        (call, {"type": "input_json_delta", "partial_json": '{"a": 1}'}),
        reason="tool_use",
    )
    stop = sse({"type": "content_block_stop", "index": 0})
    calls = calls.replace(stop, signed + stop, 1)
    first = [BUSY, BUSY, BUSY, BUSY, chat(text="Thanks.")]
    found = await play(tmp_path / "log", first, [calls, SAID], "hi", "thanks")
    assert found.called == [{"a": 1}]
    assert found.asked[1][1]["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": "Hm.",
        "signature": "sig+/=",
    }
    assert "sig+/=" not in str(found.asked[0])
    assert found.text == "Thanks."


async def test_what_is_wrong_with_the_request_is_wrong_for_all(tmp_path: Path) -> None:
    found = await play(tmp_path / "log", [status(400, {"error": {"message": "no"}})], [])
    assert (found.messages[0].error_kind, found.asked[1]) == ("invalid", [])


async def test_a_refusal_is_a_reason_to_ask_another(tmp_path: Path) -> None:
    refused = status(401, {"error": {"message": "no credit"}})
    found = await play(tmp_path / "log", [refused], [SAID])
    assert (found.text, len(found.asked[0])) == ("Bonjour.", 1)


@pytest.mark.parametrize("silent", [stall(), stall(chat(text="x"), 1)])
async def test_a_model_that_is_silent_is_not_asked_twice_but_another_is(
    tmp_path: Path, silent: Any
) -> None:
    found = await play(tmp_path / "log", [silent], [SAID], patience_s=0.2)
    assert (found.text, len(found.asked[0])) == ("Bonjour.", 1)
    (instead,) = retries_in(tmp_path / "log")
    assert instead.failure.kind == "timeout"


async def test_the_last_ones_failure_is_told_if_nobody_answers(tmp_path: Path) -> None:
    found = await play(tmp_path / "log", [BUSY, BUSY], [status(529, "full")] * 2)
    message = found.messages[0]
    assert message.error_message == "API returned error: 529 - full"
    assert (message.provider, message.error_kind) == ("anthropic", "overloaded")
    assert [len(asked) for asked in found.asked] == [2, 2]


async def test_after_a_part_was_shown_nobody_else_is_asked_unless_it_may_be_dropped(
    tmp_path: Path,
) -> None:
    broken = close_after(len(HELLO), HELLO + HELLO)
    found = await play(tmp_path / "1", [broken], [])
    assert (found.text, found.asked[1]) == ("Hello, ", [])
    retry = Retry(attempts_max=1, after_delta=True)
    found = await play(tmp_path / "2", [broken], [SAID], retry=retry)
    assert found.text == "Bonjour."
    assert found.updates[-1] == ("anthropic", "claude-x")


async def test_a_missing_key_is_a_reason_to_ask_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("GROQ_API_KEY", "key-of-groq")
    async with ProviderServer([chat(text="Yes.")]) as server:
        other = named_model("groq:m", base_url=f"{server.url}/v1")
        agent = Agent(AgentOptions(fallback=[other]), model="openai:gpt-4o")
        assert await agent.prompt_text("hi") == "Yes."
    assert server.requests[0].headers["authorization"] == "Bearer key-of-groq"


def test_names_are_looked_up_when_the_options_are_made() -> None:
    assert AgentOptions(fallback=["groq:m"]).fallback == [named_model("groq:m")]
    with pytest.raises(UnknownModelError, match="no provider is named 'grok'"):
        AgentOptions(fallback=["grok:m"])


def test_a_stream_function_of_the_hosts_own_has_no_fallback() -> None:
    async def answer(*_: Any) -> Any:
        raise AssertionError

    with pytest.raises(TypeError, match="fallback has no meaning with a stream_fn of your own"):
        AgentOptions(fallback=["groq:m"], stream_fn=answer)
