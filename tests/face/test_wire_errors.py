"""X: what goes wrong: statuses, errors in the stream, streams that break off, keys, silence."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from tests.wire import (
    DONE,
    chunk,
    delta,
    demo,
    end,
    heard_by_agent,
    heard_by_hand,
    read,
    replying,
    user,
)

from tinyagent import Agent, AgentOptions, AgentState, AssistantMessage
from tinyagent.agent_types import Context, Model, SimpleStreamOptions
from tinyagent.alchemy_provider import OpenAICompatModel, stream_alchemy_openai_completions
from tinyagent.rust_binding_provider import RustBindingModel, stream_rust_binding
from tinyagent.testing import ProviderServer, chat, close_after, sse, stall, status

ways = pytest.mark.parametrize("heard", [heard_by_hand, heard_by_agent])
HELLO = delta(role="assistant", content="") + delta(content="Hel") + delta(content="lo")
HALF = "start text_start0 text_delta0 error"
KEYS = ["OPENAI_API_KEY", "OPENROUTER_API_KEY", "GROQ_API_KEY", "MINIMAX_API_KEY", "KIMI_API_KEY"]


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


def soon(code: int, body: Any = "busy") -> Any:
    """Return a refusal that may be tried again at once."""
    return status(code, body, {"retry-after": "0"})


@ways
@pytest.mark.parametrize(
    ("code", "kind"), [(400, "invalid"), (401, "refused"), (404, "invalid"), (413, "overflow")]
)
async def test_x1_a_refusal_is_told_and_asked_for_once(heard: Any, code: int, kind: str) -> None:
    found = await heard([status(code, '{"error":{"message":"no"}}')], retries_max=2)
    message = found.message
    assert found.words == "error"
    assert message.error_message == f'API returned error: {code} - {{"error":{{"message":"no"}}}}'
    assert (message.stop_reason, message.error_kind) == ("error", kind)
    assert found.blocks == [("text", "")]
    assert (message.api, message.provider, message.model) == ("openai-completions", "demo", "m")
    assert message.usage["total_tokens"] == 0
    assert (message.timestamp or 0) > 1_700_000_000_000
    assert len(found.requests) == 1


@ways
@pytest.mark.parametrize("code", [408, 409, 429, 500, 503])
async def test_x1_what_may_pass_is_asked_for_again(heard: Any, code: int) -> None:
    found = await heard([soon(code)] * 3, retries_max=2)
    assert found.words == "error"
    assert found.message.error_message == f"API returned error: {code} - busy"
    assert len(found.requests) == 3
    assert len({request.body for request in found.requests}) == 1


@ways
async def test_x1_and_an_answer_in_the_end_counts(heard: Any) -> None:
    found = await heard([soon(429), soon(503), HELLO + end()], retries_max=2)
    assert found.words == "start text_start0 text_delta0 text_end0 done"
    assert found.blocks == [("text", "Hello")]


async def test_x1_the_error_told_is_that_of_the_last_http_answer() -> None:
    from tinyagent.testing import reset

    found = await heard_by_hand([soon(429, "slow down"), reset()], retries_max=1)
    assert found.message.error_message == "API returned error: 429 - slow down"


@ways
async def test_x1_a_wait_of_more_than_two_minutes_is_not_waited_for(heard: Any) -> None:
    found = await heard([status(429, "tomorrow", {"retry-after": "3600"})], retries_max=2)
    assert found.message.error_message == "API returned error: 429 - tomorrow"
    assert len(found.requests) == 1


@ways
async def test_x1b_a_long_error_body_is_cut(heard: Any) -> None:
    found = await heard([status(502, "<html>" + "x" * 100_000)])
    told = found.message.error_message
    assert told.startswith("API returned error: 502 - <html>xxx")
    assert len(told) == len("API returned error: 502 - ") + 4096


@ways
@pytest.mark.parametrize(
    "error",
    [
        sse({"error": {"message": "The engine fell over", "type": "server_error"}}),
        sse({"error": {"message": "The engine fell over"}}, event="error"),
        sse({"object": "error", "message": "The engine fell over"}),
        chunk([], error={"code": 502, "message": "The engine fell over"}),
    ],
)
async def test_x2_an_error_inside_the_stream_keeps_what_was_said(heard: Any, error: bytes) -> None:
    found = await heard(HELLO + error + DONE, retries_max=2)
    assert (found.words, found.blocks) == (HALF, [("text", "Hello")])
    assert found.message.stop_reason == "error"
    assert "The engine fell over" in found.message.error_message
    assert len(found.requests) == 1


@ways
async def test_x2b_an_error_is_all_there_is(heard: Any) -> None:
    found = await heard(sse({"error": {"message": "The engine fell over"}}) + DONE)
    assert found.words.split()[-1] == "error"
    assert found.blocks == [("text", "")]
    assert "The engine fell over" in found.message.error_message


@ways
async def test_x3_without_done_and_reason_the_answer_is_not_complete(heard: Any) -> None:
    found = await heard(HELLO)
    assert (found.words, found.blocks) == (HALF, [("text", "Hello")])
    assert found.message.error_message == "the stream ended before the answer was complete"
    assert found.message.error_kind == "network"


@ways
async def test_x3_a_reason_without_done_completes_it(heard: Any) -> None:
    found = await heard(HELLO + delta("stop"))
    assert found.words == "start text_start0 text_delta0 text_end0 done"


@ways
async def test_x3b_a_dropped_connection_keeps_what_was_said(heard: Any) -> None:
    found = await heard(close_after(len(HELLO), HELLO + end()), retries_max=2)
    assert (found.words, found.blocks) == (HALF, [("text", "Hello")])
    assert found.message.error_message == "HTTP request failed: error decoding response body"
    assert len(found.requests) == 1


@ways
async def test_row_34_done_alone_is_no_answer(heard: Any) -> None:
    found = await heard(DONE)
    assert found.words.split()[-1] == "error"
    assert found.message.error_message


@ways
@pytest.mark.parametrize("body", ["<html>login</html>", "Not Found"])
async def test_row_34_a_page_is_no_answer(heard: Any, body: str) -> None:
    found = await heard(replying(200, body.encode()))
    assert found.message.stop_reason == "error"
    assert found.message.error_kind == "network"


@pytest.mark.parametrize(("retries_max", "least_s"), [(0, 0.0), (1, 0.375)])
async def test_x8_a_refused_connection_is_tried_again(retries_max: int, least_s: float) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    url = "http://127.0.0.1:9/v1/chat/completions"
    options = SimpleStreamOptions(retries_max=retries_max)
    response = await stream_alchemy_openai_completions(demo(url), Context("", [user()]), options)
    events, message = await read(response)
    assert [event.type for event in events] == ["error"]
    assert message.error_message == (f"HTTP request failed: error sending request for url ({url})")
    assert message.error_kind == "network"
    assert loop.time() - start >= least_s


@ways
async def test_x8b_a_url_that_is_none(heard: Any) -> None:
    found = await heard(b"", model=lambda _: demo("not a url"), retries_max=2)
    assert found.words == "error"
    assert found.message.error_message == "HTTP request failed: builder error"


@ways
async def test_x9a_x9b_a_provider_without_a_key_is_asked_without_one(heard: Any) -> None:
    def custom(url: str) -> Model:
        return OpenAICompatModel(provider="custom", id="m", base_url=url)

    found = await heard(HELLO + end(), model=custom)
    assert found.blocks == [("text", "Hello")]
    assert "authorization" not in found.requests[0].headers


@ways
async def test_x9c_the_key_of_the_environment(heard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "from-the-environment")

    def groq(url: str) -> Model:
        return OpenAICompatModel(provider=" groq ", id="m", base_url=url)

    found = await heard(HELLO + end(), model=groq)
    assert found.requests[0].headers["authorization"] == "Bearer from-the-environment"
    given = await heard(HELLO + end(), model=groq, api_key="given")
    assert given.requests[0].headers["authorization"] == "Bearer given"


@ways
async def test_x9d_a_key_with_a_newline_is_not_sent_and_not_told(heard: Any) -> None:
    found = await heard(b"", model=lambda url: demo(url, auth="bearer"), api_key="half\nkey")
    assert found.words == "error"
    assert found.message.error_message == "Invalid header: failed to parse header value"
    assert found.requests == []


async def test_x9_a_known_provider_without_a_key_is_a_set_up_error() -> None:
    told = "failed to start openai-completions stream: No API key provided for provider: openrouter"
    model = OpenAICompatModel(base_url="http://127.0.0.1:9")
    response = await stream_alchemy_openai_completions(
        model, Context("", [user()]), SimpleStreamOptions()
    )
    with pytest.raises(RuntimeError) as raised:
        await anext(response)
    assert str(raised.value) == told
    with pytest.raises(RuntimeError, match="No API key provided"):
        await response.result()
    agent = Agent(AgentOptions(initial_state=AgentState(model=model)))
    message = await agent.prompt("hi")
    assert isinstance(message, AssistantMessage)
    assert (message.stop_reason, message.error_message) == ("error", told)
    assert agent.state.error == told


async def test_x9_by_the_other_function() -> None:
    model = RustBindingModel(provider="kimi", id="m")
    response = await stream_rust_binding(model, Context("", [user()]), SimpleStreamOptions())
    with pytest.raises(RuntimeError) as raised:
        await response.result()
    assert str(raised.value) == (
        "failed to start anthropic-messages stream: No API key provided for provider: kimi"
    )


async def test_x11_an_unknown_api_is_a_set_up_error() -> None:
    model = demo("http://127.0.0.1:9", api="telepathy")
    response = await stream_alchemy_openai_completions(
        model, Context("", [user()]), SimpleStreamOptions()
    )
    with pytest.raises(RuntimeError, match=r"^unsupported api `telepathy`$"):
        await anext(response)
    with pytest.raises(RuntimeError, match=r"^unsupported api `telepathy`$"):
        await response.result()
    agent = Agent(AgentOptions(initial_state=AgentState(model=model)))
    message = await agent.prompt("hi")
    assert message.error_message == "unsupported api `telepathy`"  # type: ignore[union-attr] # an answer


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"provider": " "}, "Model `provider` must be a non-empty string"),
        ({"id": ""}, "Model `id` must be a non-empty string"),
        (
            {"provider": "x"},
            "Model `base_url` must be set for unknown providers in rust_binding_provider",
        ),
    ],
)
async def test_a_model_that_lacks_something_is_refused_at_once(fields: Any, told: str) -> None:
    with pytest.raises(ValueError, match=r"^Model") as raised:
        await stream_rust_binding(
            RustBindingModel(**fields), Context("", [user()]), SimpleStreamOptions()
        )
    assert str(raised.value) == told


async def test_a_blank_url_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"^Model `base_url` must be a non-empty string$"):
        await stream_alchemy_openai_completions(
            demo(" "), Context("", [user()]), SimpleStreamOptions()
        )


async def test_an_api_that_the_binding_does_not_know_is_refused_at_once() -> None:
    told = (
        "Model `api` must be one of 'anthropic-messages', 'openai-completions', "
        "or 'minimax-completions'"
    )
    model = Model(provider="openai", id="m", api="openai-responses")
    with pytest.raises(ValueError, match=r"^Model `api`") as raised:
        await stream_rust_binding(model, Context("", [user()]), SimpleStreamOptions())
    assert str(raised.value) == told


# Silence, and a host that gives up


@pytest.mark.parametrize("body", [stall(), stall(chat(text="x" * 400), 600)])
async def test_p12_the_signal_closes_the_request_at_once(body: Any) -> None:
    signal = asyncio.Event()
    async with ProviderServer(body) as server:
        options = SimpleStreamOptions(signal=signal)
        response = await stream_alchemy_openai_completions(
            demo(server.chat_url), Context("", [user()]), options
        )
        reading = asyncio.create_task(read(response))
        await asyncio.sleep(0.1)
        start = asyncio.get_running_loop().time()
        signal.set()
        events, message = await reading
        assert asyncio.get_running_loop().time() - start < 0.1
        await server.requests[0].wait_gone(1)
    assert (events[-1].type, events[-1].reason) == ("error", "aborted")
    assert (message.stop_reason, message.error_message) == ("aborted", "Request was aborted")
    assert message.error_kind == "aborted"
    said = "".join(event.delta or "" for event in events)
    assert message.content[0].text == said  # type: ignore[union-attr] # a text


async def test_a_signal_that_is_set_sends_nothing() -> None:
    signal = asyncio.Event()
    signal.set()
    found = await heard_by_hand(HELLO + end(), signal=signal)
    assert (found.words, found.message.stop_reason, found.requests) == ("error", "aborted", [])


async def test_who_stops_reading_closes_the_request() -> None:
    async with ProviderServer(stall(chat(text="x" * 400), 600)) as server:
        response = await stream_alchemy_openai_completions(
            demo(server.chat_url), Context("", [user()]), SimpleStreamOptions()
        )
        await anext(response)
        reading = asyncio.ensure_future(response.result())
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await server.requests[0].wait_gone(1)


@ways
@pytest.mark.parametrize(
    ("body", "option"),
    [(stall(), "first_byte_timeout_s"), (stall(HELLO, len(HELLO)), "read_timeout_s")],
)
async def test_row_40_silence_is_an_error(heard: Any, body: Any, option: str) -> None:
    found = await heard(body, **{option: 0.1})
    assert found.message.error_kind == "timeout"
    assert option in found.message.error_message


PROGRAM = """
import asyncio, sys
from tinyagent.agent_types import *
from tinyagent.alchemy_provider import *

async def main():
    model = OpenAICompatModel(provider="demo", id="m", base_url="http://127.0.0.1:9/v1?key=s3cret")
    options = SimpleStreamOptions(api_key="s3cret", retries_max=0)
    response = await stream_alchemy_openai_completions(model, Context(), options)
    await response.result()

asyncio.run(main())
"""


@pytest.mark.parametrize(("value", "is_told"), [("1", True), (" YES ", True), ("0", False)])
def test_diagnostics_go_to_standard_error_if_they_are_asked_for(value: str, is_told: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"TINYAGENT_ALCHEMY_DEBUG": value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    assert ("POST http://127.0.0.1:9/v1" in done.stderr) is is_told
    assert ("error sending request" in done.stderr) is is_told
    assert "s3cret" not in done.stderr
