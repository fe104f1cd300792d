"""What goes wrong from outside: a clear error, nothing hangs, a history that a provider takes."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tinyagent import (
    Agent,
    AgentOptions,
    AgentState,
    AgentTool,
    AssistantMessage,
    RunFailedError,
    load,
    open_log,
)
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.runtime.errors import CorruptLogError, LogNotFoundError, LogOwnedError
from tinyagent.testing import (
    ProviderServer,
    Reply,
    chat,
    close_after,
    reset,
    scripted,
    stall,
    status,
)


def make(url: str, **options: Any) -> Agent:
    model = OpenAICompatModel(
        provider="demo", id="m", api="openai-completions", base_url=url, auth="none"
    )
    tool = AgentTool(name="f", parameters={"type": "object"}, execute=lambda *_: "ok")
    return Agent(
        AgentOptions(initial_state=AgentState(model=model, tools=[tool]), retries_max=0, **options)
    )


async def failed(agent: Agent) -> AssistantMessage:
    async with asyncio.timeout(10):
        message = await agent.prompt("hi")
    assert isinstance(message, AssistantMessage)
    assert message.stop_reason == "error"
    assert agent.state.error == message.error_message
    return message


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:9/v1", "error sending request for url (http://127.0.0.1:9/v1)"),
        ("not a url", "builder error"),
    ],
)
async def test_a_wrong_base_url(url: str, told: str) -> None:
    message = await failed(make(url))
    assert told in (message.error_message or "")


@pytest.mark.parametrize(
    ("answer", "told", "kind"),
    [
        (status(401, {"error": {"message": "bad key"}}), "API returned error: 401", "refused"),
        (close_after(200, chat(text="x" * 400)), "error decoding response body", "network"),
        (chat(text="x" * 40).body[:600], "ended before the answer was complete", "network"),
        (reset(chat(text="x" * 400), 200), "error decoding response body", "network"),
        (b"data: [DONE]\n\n", "", "network"),
        (status(200, "<html>login</html>"), "", "network"),
    ],
)
async def test_answers_that_are_none(answer: Reply | bytes, told: str, kind: str) -> None:
    async with ProviderServer([answer, chat(text="Back.")]) as server:
        agent = make(server.chat_url)
        message = await failed(agent)
        assert told in (message.error_message or "")
        assert message.error_kind == kind
        assert await agent.prompt_text("again") == "Back."
        roles = [m["role"] for m in server.requests[1].json["messages"]]
    assert roles.count("user") == 2
    assert roles[-1] == "user"


async def test_a_silent_server_is_given_up() -> None:
    async with ProviderServer([stall()]) as server:
        message = await failed(make(server.chat_url, first_byte_timeout_s=0.1))
    assert message.error_kind == "timeout"


async def test_arguments_that_are_no_json_are_an_error_result_and_the_loop_goes_on() -> None:
    script = [chat(calls=[("c1", "f", '{"a": ')]), chat(text="Sorry.")]
    async with ProviderServer(script) as server:
        agent = make(server.chat_url)
        assert await agent.prompt_text("hi") == "Sorry."
        call, result = server.requests[1].json["messages"][-2:]
    assert call["tool_calls"][0]["function"]["arguments"] == "{}"
    assert result["content"].startswith("Invalid arguments for tool f:\n- ")
    assert 'Received: {"a": ' in result["content"]


def test_a_log_of_garbage(tmp_path: Path) -> None:
    (tmp_path / "00000001.jsonl").write_bytes(b"\x00\xff garbage\n" * 50)
    with pytest.raises(LogNotFoundError, match="no segment with a header"):
        load(tmp_path)
    with pytest.raises(CorruptLogError, match=r"00000001\.jsonl"):
        load(tmp_path / "00000001.jsonl")


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LogNotFoundError, match="nowhere"):
        load(tmp_path / "nowhere")


async def test_a_log_that_is_being_written(tmp_path: Path) -> None:
    async with open_log(tmp_path / "log"):
        with pytest.raises(LogOwnedError, match=r"process \d+ .* is writing this log"):
            async with open_log(tmp_path / "log"):
                pass


async def test_a_log_is_taken_up_where_its_last_run_ended(tmp_path: Path) -> None:
    script = [chat(text="One."), chat(text="Two.")]
    async with ProviderServer(script) as server:
        async with open_log(tmp_path / "log") as log:
            await make(server.chat_url, log=log).prompt("first")
        async with open_log(tmp_path / "log") as log:
            agent = make(server.chat_url, log=log)
            assert await agent.prompt_text("second") == "Two."
        texts = [m["content"] for m in server.requests[1].json["messages"]]
    assert str(texts).count("first") == 1
    assert "One." in str(texts)
    report = load(tmp_path / "log").replay()
    assert report.ok, report.first_divergence


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (None, "nothing was said yet; give run"),
        ("answered", "the last run ended with an answer; give run"),
        ("failed", "the last run failed; `await agent.continue_()` asks the model again, or give"),
        ("cancelled", "the last run was cancelled; `await agent.continue_()` asks"),
    ],
)
async def test_without_an_input_it_is_told_how_the_last_run_ended(
    ends: str | None, told: str
) -> None:
    agent = Agent(model=scripted(RuntimeError("No.") if ends == "failed" else "Hi."))
    if ends == "cancelled":
        async with agent.events("hello") as run:
            await anext(run)
    elif ends is not None:
        with suppress(RunFailedError):
            await agent.run("hello")
    with pytest.raises(RuntimeError, match=f"^nothing to go on from: {re.escape(told)}"):
        await agent.run()
