"""What an agent's options ask of a model, seen in the requests that a server received."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tinyagent import (
    Agent,
    AgentOptions,
    AgentTool,
    AssistantMessage,
    ImageContent,
    load,
    named_model,
    open_log,
    replay,
)
from tinyagent.testing import ProviderServer, chat, status

SCHEMA: dict[str, Any] = {
    "title": "Sum",
    "$defs": {"n": {"type": "integer"}},
    "type": "object",
    "properties": {"total": {"$ref": "#/$defs/n"}},
    "required": ["total"],
}


async def asked(
    where: Path, name: str, **options: Any
) -> tuple[dict[str, Any] | None, AssistantMessage]:
    """Ask the model *name* once, refused by its server; return request and message. It replays."""

    def build(*, log: Any) -> Agent:
        model = named_model(name, base_url=f"{server.url}/v1")
        given = AgentOptions(get_api_key=lambda _: "k", **options)
        return Agent(given, model=model, tools=[AgentTool(name="add")], log=log)

    async with ProviderServer(status(400, "no")) as server, open_log(where) as log:
        message = await build(log=log).prompt("hi")
        sent = [request.json for request in server.requests]
    assert isinstance(message, AssistantMessage)
    report = await replay(where, build)
    assert report.ok, report.first_divergence
    return (sent[0] if sent else None), message


async def test_all_that_may_be_asked_of_chat(tmp_path: Path) -> None:
    body, _ = await asked(
        tmp_path / "log",
        "openai:gpt-4o",
        stop=("END",),
        parallel_tool_calls=False,
        tool_choice="add",
        output_schema=SCHEMA,
        extra_body={"provider": {"order": ["a"]}, "stream_options": {"include_obfuscation": False}},
    )
    assert body is not None
    assert body["stop"] == ["END"]
    assert body["parallel_tool_calls"] is False
    assert body["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "Sum", "schema": SCHEMA, "strict": False},
    }
    assert body["provider"] == {"order": ["a"]}
    assert body["stream_options"] == {"include_usage": True, "include_obfuscation": False}


async def test_the_same_of_the_other_protocols(tmp_path: Path) -> None:
    wanted: dict[str, Any] = {"output_schema": SCHEMA, "tool_choice": "required"}
    responses, _ = await asked(tmp_path / "1", "openai-responses:gpt-5", **wanted)
    assert responses is not None
    assert responses["text"]["format"]["schema"] == SCHEMA
    assert responses["tool_choice"] == "required"
    anthropic, _ = await asked(
        tmp_path / "2", "anthropic:claude-sonnet-4-6", stop=["END"], **wanted
    )
    assert anthropic is not None
    assert anthropic["stop_sequences"] == ["END"]
    assert anthropic["tool_choice"] == {"type": "any"}
    assert anthropic["output_config"]["format"]["schema"] == SCHEMA
    gemini, _ = await asked(tmp_path / "3", "google:gemini-3-pro", stop=["END"], **wanted)
    assert gemini is not None
    assert gemini["generationConfig"]["stopSequences"] == ["END"]
    assert gemini["generationConfig"]["responseJsonSchema"] == SCHEMA
    assert gemini["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}


async def test_without_options_nothing_of_this_is_asked(tmp_path: Path) -> None:
    body, _ = await asked(tmp_path / "log", "openai:gpt-4o")
    assert body is not None
    assert set(body) == {"model", "stream", "stream_options", "store", "tools", "messages"}


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        (
            "openai-responses:gpt-5",
            {"stop": ["END"]},
            "failed to start openai-responses stream: openai-responses has no stop sequences: "
            "leave out `stop`",
        ),
        (
            "deepseek:deepseek-chat",
            {"output_schema": SCHEMA},
            "failed to start openai-completions stream: deepseek deepseek-chat holds no answer to "
            "a schema beside tools: leave out `output`, or let a tool take the answer",
        ),
    ],
)
async def test_what_cannot_be_asked_is_told_and_nothing_is_sent(
    tmp_path: Path, name: str, options: dict[str, Any], told: str
) -> None:
    body, message = await asked(tmp_path / "log", name, **options)
    assert body is None
    assert (message.error_message, message.error_kind) == (told, "invalid")


async def test_a_schema_is_in_the_log_once_and_as_it_was_written(tmp_path: Path) -> None:
    await asked(tmp_path / "log", "openai:gpt-4o", output_schema=SCHEMA)
    lines = [
        line
        for path in (tmp_path / "log").rglob("*.jsonl")
        for line in path.read_bytes().splitlines()
        if b'"required":["total"]' in line
    ]
    assert len(lines) == 1
    assert load(tmp_path / "log").settings.options["output"]["name"] == "Sum"


async def test_a_document_in_a_message_reaches_the_model(tmp_path: Path) -> None:
    pdf = ImageContent(url="data:application/pdf;base64,JVBERi0=")
    async with ProviderServer([chat(text="Read.")]) as server:
        model = named_model("openai:gpt-4o", base_url=f"{server.url}/v1", auth="none")
        assert await Agent(model=model).prompt_text("Read it.", images=[pdf]) == "Read."
    assert server.requests[0].json["messages"][0]["content"][1]["type"] == "file"
