"""Programs written for the compatible API, unchanged, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.wire import call, delta, end

from tinyagent import _alchemy
from tinyagent.testing import ProviderServer, chat, sse

PROGRAMS = Path(__file__).parents[1] / "programs"
ADD = chat(calls=[("c1", "add_numbers", {"a": 2, "b": 3})])
EVENTS = (
    "agent_start,turn_start,message_start,message_end,message_update,tool_execution_start,"
    "tool_execution_end,turn_end,agent_end"
)
STREAM = "start,tool_call_start,tool_call_delta,tool_call_end,done,text_start,text_delta,text_end"
TEXT = "start,text_start,text_delta,text_end,done"


def run(name: str, *, path: str = "", **env: str) -> list[str]:
    """Run a program; return the lines that it prints. Warnings are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(PROGRAMS / f"{name}.py")],
        env={**env, "PYTHONPATH": os.pathsep.join([path, os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("prefix", ["OPENROUTER", "CHUTES", "MINIMAX"])
def test_the_type_harness_sees_what_it_always_saw(prefix: str) -> None:
    with ProviderServer.threaded([ADD, chat(text="Five.")]) as server:
        lines = run(
            "type_harness",
            **{
                f"{prefix}_API_KEY": "k",
                f"{prefix}_BASE_URL": server.chat_url,
                f"{prefix}_MODEL": "m",
            },
        )
        limits = {"max_tokens", "max_completion_tokens"} & server.requests[0].json.keys()
        assert [server.requests[0].json[name] for name in limits] == [256]
        assert server.requests[1].json["messages"][-1]["content"] == "5"
    classes = [part.title().replace("_", "") + "Event" for part in EVENTS.split(",")]
    assert lines == [
        f"agent_event_types={EVENTS}",
        f"agent_event_class_types={','.join(classes)}",
        f"assistant_stream_event_types={STREAM}",
        "message_types=UserMessage,AssistantMessage,ToolResultMessage",
        "content_types=TextContent,ToolCallContent",
        "result_type=AssistantMessage",
    ]


def test_the_cache_probe_prints_one_document() -> None:
    used = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    cached = {**used, "prompt_tokens_details": {"cached_tokens": 7}}
    with ProviderServer.threaded(
        [chat(text="Yes.", usage=used), chat(text="7", usage=cached)]
    ) as s:
        lines = run(
            "cache_probe",
            CACHE_PROBE_PROVIDER="openrouter",
            CACHE_PROBE_MODEL="m",
            CACHE_PROBE_BASE_URL=s.chat_url,
            CACHE_PROBE_API_KEY="k",
            CACHE_PROBE_SESSION_ID="s-1",
        )
        assert all(b'"cache_control":{"type":"ephemeral"}' in r.body for r in s.requests)
    document = json.loads("\n".join(lines))
    assert (document["session_id"], document["enable_prompt_caching"]) == ("s-1", True)
    first, second = document["records"]
    assert (first["turn"], first["text"], first["stop_reason"]) == (1, "Yes.", "stop")
    assert first["api"] == "openai-completions"
    assert (second["text"], second["usage"]["cache_read"]) == ("7", 7)


def test_the_tool_contracts_hold_with_numbers_as_strings() -> None:
    body = (
        delta(content="<think>Three tools.</think>")
        + call(0, "c1", "add_numbers", '{"a": "2", "b": 3.5}')
        + call(1, "c2", "convert_temperature", '{"value": "212", "unit": "C"}')
        + call(2, "c3", "build_trip_budget", '{"days": 3, "per_day": "40"}')
        + end("tool_calls")
    )
    with ProviderServer.threaded([body, chat(text="Done.")]) as server:
        lines = run("minimax_tools", MINIMAX_API_KEY="k", MINIMAX_BASE_URL=server.chat_url)
        assert "store" not in server.requests[0].json
    assert lines == [
        "update build_trip_budget budget_calculation_started",
        "end add_numbers 5.5 False {'input': {'a': 2, 'b': 3.5}, 'output': 5.5}",
        "end convert_temperature 100.0 C False {}",
        "end build_trip_budget 120.0 False {}",
        "Done.",
    ]


def test_the_single_tool_program_prints_its_message() -> None:
    script = [chat(calls=[("c1", "add", {"a": 2, "b": 3})]), chat(text="It is 5.")]
    with ProviderServer.threaded(script) as server:
        (line,) = run("single_tool", CHUTES_API_KEY="k", CHUTES_BASE_URL=server.chat_url)
        assert server.requests[0].json["max_tokens"] == 128
        assert server.requests[0].headers["authorization"] == "Bearer k"
    assert line.startswith("AssistantMessage(role='assistant', content=[TextContent(type='text',")
    assert "text='It is 5.'" in line


def anthropic(text: str) -> bytes:
    start: dict[str, Any] = {"type": "text", "text": ""}
    return b"".join(
        sse(payload, event=str(payload["type"]))
        for payload in (
            {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}},
            {"type": "content_block_start", "index": 0, "content_block": start},
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": text},
            },
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
            {"type": "message_stop"},
        )
    )


@pytest.mark.skipif(
    not hasattr(_alchemy, "openai_completions_stream"),
    reason="the extension here was built before it had the blocking call",
)
def test_the_smoke_reads_three_providers_by_blocking_calls() -> None:
    answers: list[Any] = [
        chat(text="One."),
        chat(text="Two."),
        anthropic("Three."),
        chat(text="Four."),
    ]
    with ProviderServer.threaded(answers) as server:
        lines = run("smoke", SMOKE_URL=server.url)
        paths = [request.path for request in server.requests]
        roles = [message["role"] for message in server.requests[0].json["messages"]]
    assert lines == [
        f"openrouter {TEXT} One. stop",
        f"minimax {TEXT} Two. stop",
        f"kimi {TEXT} Three. stop",
        f"async {TEXT} Four.",
    ]
    assert paths[2] == "/v1/messages"
    assert roles == ["user", "assistant", "user"]


def test_the_documentation_runs_against_a_binding_of_the_users_own() -> None:
    *lines, asked = run("documentation", path=str(PROGRAMS / "stand_in"))
    assert lines == [
        "Hello! 3 mine",
        "agent_start,turn_start,message_start,message_end,message_start,tool_call_start,"
        "tool_call_delta,tool_call_delta,tool_call_end,message_end,tool_execution_start,"
        "tool_execution_end,message_start,message_end,turn_end,turn_start,message_start,"
        "text_start,text_delta,text_delta,text_end,message_end,turn_end,agent_end",
        "Hel|lo!",
        "agent_start agent_end Hello!",
        "['Use f.', '', 'no', 'Hello!']",
        "ephemeral TextContent(type='text', text='hi', text_signature=None, cache_control=None)",
    ]
    (model, context, options), (plain, _, _) = json.loads(asked)
    assert model == {
        "id": "m",
        "provider": "mine",
        "api": "openai-completions",
        "base_url": "http://127.0.0.1:9",
        "name": None,
        "headers": {"a": "b"},
        "reasoning": False,
        "context_window": 128000,
        "max_tokens": 4096,
    }
    assert context == {
        "system_prompt": "S",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "tools": [
            {
                "name": "f",
                "description": "",
                "parameters": {"type": "object", "properties": {}},
            }
        ],
    }
    assert options == {"api_key": "k", "temperature": None, "max_tokens": 9}
    assert (plain["provider"], plain["api"]) == ("openai", "minimax-completions")
    assert plain["base_url"] == "https://api.openai.com/v1/chat/completions"
