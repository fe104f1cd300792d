"""The blocking binding, as programs that import it use it: ``spec/api.md`` section 8.3."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tinyagent._alchemy import openai_completions_stream
from tinyagent.testing import ProviderServer, chat, paced, reset, stall, status

AT_ONCE_S = 1.0  # it takes a millisecond; a machine may be busy, and else it would be for ever
USER = {"role": "user", "content": [{"type": "text", "text": "hi"}], "timestamp": 1}


def model(url: str, **more: object) -> dict[str, Any]:
    named = {"id": "m", "provider": "mine", "api": "openai-completions", "base_url": url}
    return {**named, **more}


def events_of(handle: Any) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while (event := handle.next_event()) is not None:
        events.append(event)
    return events


def test_an_answer_is_told_in_plain_dicts_each_as_of_its_event() -> None:
    script = chat(text="hello you", calls=[("add", {"a": 1})], chunk_chars=5)
    with ProviderServer.threaded([script]) as server:
        context = {"system_prompt": "be brief", "messages": [USER], "tools": None}
        handle = openai_completions_stream(model(server.chat_url), context, {"api_key": "k"})
        events = events_of(handle)
        body = server.requests[0].json
    assert body["messages"][0] == {"role": "system", "content": "be brief"}
    assert server.requests[0].headers["authorization"] == "Bearer k"
    assert [event["type"] for event in events] == [
        "start",
        "text_start",
        "text_delta",
        "text_delta",
        "text_end",
        "tool_call_start",
        "tool_call_delta",
        "tool_call_delta",
        "tool_call_delta",
        "tool_call_end",
        "done",
    ]
    texts = [event["partial"]["content"][0]["text"] for event in events[1:4]]
    assert texts == ["", "hello", "hello you"]
    assert events[9]["tool_call"] == {
        "type": "tool_call",
        "id": "call_1",
        "name": "add",
        "arguments": {"a": 1},
    }
    message = events[-1]["message"]
    assert (events[-1]["reason"], message["stop_reason"]) == ("tool_calls", "tool_calls")
    assert handle.result() == message
    assert handle.result() is not handle.result()
    assert set(message["usage"]) == {
        "input",
        "output",
        "cache_read",
        "cache_write",
        "total_tokens",
        "cost",
    }
    with pytest.raises(RuntimeError, match="event stream closed unexpectedly"):
        handle.next_event()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            {"provider": "openai"},
            "failed to start openai-completions stream: No API key provided for provider: openai",
        ),
        ({"api": "telepathy"}, "unsupported api `telepathy`"),
    ],
)
def test_what_cannot_be_set_up_is_raised_by_both_calls(
    more: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    handle = openai_completions_stream(model("http://127.0.0.1:1", **more), {"messages": []}, {})
    for call in (handle.next_event, handle.result):
        with pytest.raises(RuntimeError) as raised:
            call()
        assert str(raised.value) == told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (({}, {"messages": []}, {}), "invalid model: "),
        ((model("u"), {"messages": [{"role": "q"}]}, {}), "invalid context: "),
        ((model("u"), {"messages": []}, {"temperature": "x"}), "invalid options: "),
    ],
)
def test_what_is_malformed_is_refused_at_once(arguments: Any, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}"):
        openai_completions_stream(*arguments)


def test_an_error_status_is_one_event() -> None:
    with ProviderServer.threaded([status(400, "no")]) as server:
        handle = openai_completions_stream(model(server.chat_url), {"messages": [USER]}, {})
        (event,) = events_of(handle)
    assert (event["type"], event["reason"]) == ("error", "error")
    assert event["error"]["error_message"] == "API returned error: 400 - no"
    assert handle.result()["stop_reason"] == "error"


def test_a_connection_that_breaks_keeps_what_was_said() -> None:
    half = chat(text="half of it")
    script = reset(half, sum(map(len, half.chunks[:2])))
    with ProviderServer.threaded([script]) as server:
        handle = openai_completions_stream(model(server.chat_url), {"messages": [USER]}, {})
        last = events_of(handle)[-1]
    assert last["error"]["error_message"] == "HTTP request failed: error decoding response body"
    assert last["error"]["content"][0]["text"] == "half of it"


@pytest.mark.parametrize("call", ["next_event", "result"])
def test_a_call_blocks_without_the_interpreter_and_cancel_wakes_it(call: str) -> None:
    half = chat(text="half of it")
    with ProviderServer.threaded([stall(half, sum(map(len, half.chunks[:2])))]) as server:
        handle = openai_completions_stream(model(server.chat_url), {"messages": [USER]}, {})
        while (event := handle.next_event()) is not None and event["type"] != "text_delta":
            pass
        answers: list[Any] = []
        waiting: Callable[[], Any] = getattr(handle, call)
        thread = threading.Thread(target=lambda: answers.append(waiting()))
        thread.start()
        time.sleep(0.05)  # which this thread could not do while the other held the interpreter
        assert answers == []
        handle.cancel()
        thread.join(AT_ONCE_S)
        assert not thread.is_alive()
        server.requests[0].gone_within(AT_ONCE_S)
    assert handle.result()["stop_reason"] == "aborted"


def test_the_end_of_the_program_waits_for_no_answer() -> None:
    program = """
import sys
from tinyagent._alchemy import openai_completions_stream
model = {"id": "m", "provider": "mine", "api": "openai-completions", "base_url": sys.argv[1]}
handle = openai_completions_stream(model, {"messages": []}, {})
print(handle.next_event()["type"], handle.next_event()["type"])
"""
    with ProviderServer.threaded(paced(chat(text="x" * 5_000, chunk_chars=1), 0.002)) as server:
        started_s = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", program, server.chat_url],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.stdout, done.stderr) == ("start text_start\n", "")
    assert time.monotonic() - started_s < 5.0
