"""``request_at`` is what the provider was sent, to the byte, in every protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.recordings import REPLAYS
from tests.traces import MODEL, calls, result, script, text
from tests.wire import of

from tinyagent import Agent, AgentOptions, AgentState, AgentTool, load
from tinyagent.agent_types import Model
from tinyagent.events import Conversation, kinds as k
from tinyagent.runtime.errors import NotInLogError
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import ProviderServer, chat, sse, status
from tinyagent.verbs import Recording

FILES = sorted(REPLAYS.glob("*.jsonl"))
Json = dict[str, Any]


def anthropic(*content: Json) -> bytes:
    """Return an answer of Anthropic's: text blocks, and tool blocks with their arguments."""
    out = sse({"type": "message_start", "message": {"id": "m1", "usage": {"input_tokens": 9}}})
    for index, block in enumerate(content):
        out += sse({"type": "content_block_start", "index": index, "content_block": block["is"]})
        out += sse({"type": "content_block_delta", "index": index, "delta": block["says"]})
        out += sse({"type": "content_block_stop", "index": index})
    reason = "tool_use" if "id" in content[-1]["is"] else "end_turn"
    return (
        out
        + sse(
            {
                "type": "message_delta",
                "delta": {"stop_reason": reason},
                "usage": {"output_tokens": 7},
            }
        )
        + sse({"type": "message_stop"})
    )


def spoken(said: str) -> Json:
    return {"is": {"type": "text", "text": ""}, "says": {"type": "text_delta", "text": said}}


def used(call_id: str, arguments: str) -> Json:
    return {
        "is": {"type": "tool_use", "id": call_id, "name": "weather", "input": {}},
        "says": {"type": "input_json_delta", "partial_json": arguments},
    }


def responses(*items: tuple[Json, Json, Json]) -> bytes:
    """Return an answer of OpenAI's responses: items as they open, a delta of each, their end."""
    out = sse({"type": "response.created", "response": {"id": "r1"}})
    for index, (item, piece, whole) in enumerate(items):
        out += sse({"type": "response.output_item.added", "output_index": index, "item": item})
        out += sse({**piece, "output_index": index, "item_id": item["id"]})
        done = {**item, **whole, "status": "completed"}
        out += sse({"type": "response.output_item.done", "output_index": index, "item": done})
    ended = {"id": "r1", "status": "completed", "usage": {"input_tokens": 3, "output_tokens": 2}}
    return out + sse({"type": "response.completed", "response": ended})


def gemini(*parts: Json) -> bytes:
    """Return an answer of Gemini's in one chunk."""
    content = {"role": "model", "parts": list(parts)}
    return sse({"candidates": [{"content": content, "finishReason": "STOP"}]})


CALL = '{"city": "Köln 🙂"}'
MESSAGE = {"type": "message", "id": "i1", "role": "assistant", "content": []}
FUNCTION = {"type": "function_call", "id": "i2", "call_id": "c1", "name": "weather"}
SAYS = {"type": "response.output_text.delta", "delta": "Sunny."}
ARGUMENTS = {"type": "response.function_call_arguments.delta", "delta": CALL}
GEMINI_CALL = {"functionCall": {"name": "weather", "args": {"city": "Köln 🙂"}}}
PROTOCOLS: dict[str, tuple[Callable[[str], Model], list[bytes]]] = {
    "openai-completions": (
        of("demo", auth="none"),
        [chat(text="I look.", calls=[("c1", "weather", CALL)]).body, chat(text="Sunny.").body],
    ),
    "minimax-completions": (
        of("minimax"),
        [chat(text="I look.", calls=[("c1", "weather", CALL)]).body, chat(text="Sunny.").body],
    ),
    "anthropic-messages": (
        of("anthropic", api="anthropic-messages", max_tokens=8000),
        [anthropic(spoken("I look."), used("c1", CALL)), anthropic(spoken("Sunny."))],
    ),
    "openai-responses": (
        of("openai", api="openai-responses"),
        [responses((FUNCTION, ARGUMENTS, {"arguments": CALL})), responses((MESSAGE, SAYS, {}))],
    ),
    "google-generative-ai": (
        of("google", api="google-generative-ai"),
        [gemini({"text": "I look."}, GEMINI_CALL), gemini({"text": "Sunny."})],
    ),
}


async def weather(*_: Any) -> Any:
    return result("21 °C, “sunny” \u2028 <ok>")


def agent_of(model: Model, log: Any, **options: Any) -> Agent:
    tool = AgentTool(
        name="weather", description="Weather.", parameters={"type": "object"}, execute=weather
    )
    state = AgentState(system_prompt="Be brief.", model=model, tools=[tool])
    return Agent(
        AgentOptions(initial_state=state, log=log, get_api_key=lambda _: "secret", **options)
    )


def asked_in(recording: Recording) -> list[int]:
    return [r.seq for r in recording.records if isinstance(r.event, k.ModelRequested)]


@pytest.mark.parametrize("api", PROTOCOLS)
async def test_a_request_is_the_one_that_the_server_received(api: str) -> None:
    make, answers = PROTOCOLS[api]
    log = MemoryLog()
    async with ProviderServer([*answers, answers[-1]]) as server:
        agent = agent_of(make(f"{server.url}/v1"), log)
        await agent.prompt("Weather in Köln?")
        await agent.prompt("Thanks.")
    recording = load(log)
    assert [call.outcome for call in recording.tool_calls.values()] == ["finished"]
    requests = [recording.request_at(n) for n in asked_in(recording)]
    assert [request.body for request in requests] == [r.body for r in server.requests]
    assert [request.is_verified for request in requests] == [True, True, True]
    assert [request.model["api"] for request in requests] == [api] * 3
    assert b"secret" not in b"".join(request.body for request in requests)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_recorded_request_is_built_again_to_its_digest(path: Path) -> None:
    recording = load(path)
    digests = {
        r.cause: r.event.request
        for r in recording.records
        if isinstance(r.event, k.ModelFinished | k.ModelFailed)
    }
    asked = asked_in(recording)
    assert {n: recording.request_at(n).digest for n in asked} == digests
    assert {n: load(path).request_at(n).digest for n in reversed(asked)} == digests


async def test_the_request_of_a_stream_function_is_what_the_function_was_given() -> None:
    log = MemoryLog()
    answers = script(calls(("c1", "weather", {})), text("Sunny."))
    await agent_of(MODEL, log, stream_fn=answers).prompt("Weather?")
    recording = load(log)
    requests = [recording.request_at(n) for n in asked_in(recording)]
    assert [request.is_verified for request in requests] == [True, True]
    assert [part.path for part in requests[1].added] == ["messages[1]", "messages[2]"]


async def test_an_answer_still_under_way_has_a_request_whose_digest_nobody_recorded() -> None:
    recording = load(REPLAYS / "one-tool.jsonl")
    cut = Recording("cut", recording.meta, list(first_of(recording, 11).read()), None)
    request = cut.request_at(11)
    assert (request.recorded, request.is_verified, request.usage) == ("", None, None)
    assert request.body == recording.request_at(11).body


def first_of(recording: Recording, last: int) -> MemoryLog:
    """Return a log of the first records of *recording*."""
    log = MemoryLog(meta=recording.meta)
    for r in recording.records[:last]:
        log.append(r.seq, r.at_ns // 1000, r.actor, r.event.kind, 1, r.cause, r.payload)
    return log


async def test_each_attempt_at_a_request_sends_the_same_bytes() -> None:
    log = MemoryLog()
    busy = status(503, "busy", headers={"retry-after": "0"})
    async with ProviderServer([busy, chat(text="At last.")]) as server:
        await agent_of(of("demo", auth="none")(server.chat_url), log).prompt("Hi")
    recording = load(log)
    (n,) = asked_in(recording)
    assert [r.body for r in server.requests] == [recording.request_at(n).body] * 2


def test_what_was_added_since_the_request_before_is_told() -> None:
    request = load(REPLAYS / "one-tool.jsonl").request_at(11)
    assert (request.n, request.before) == (2, 3)
    assert request.unchanged == (
        *("model", "stream", "stream_options", "store", "tools[0]"),
        *("messages[0]", "messages[1]"),
    )
    assert [(p.path, p.value["role"]) for p in request.added] == [
        ("messages[2]", "assistant"),
        ("messages[3]", "tool"),
    ]
    assert (request.removed, request.changed) == ((), ())


def test_the_unchanged_prefix_counts_bytes() -> None:
    recording = load(REPLAYS / "one-tool.jsonl")
    first, second = recording.request_at(3), recording.request_at(11)
    length = second.unchanged_prefix
    assert (first.before, first.unchanged_prefix) == (0, 0)
    assert second.body[:length] == first.body[:length]
    assert second.body[length : length + 1] != first.body[length : length + 1]
    assert first.body[length:] == b"]}"


def test_of_a_first_request_everything_is_added() -> None:
    request = load(REPLAYS / "plain-text.jsonl").request_at(3)
    paths = ["model", "stream", "stream_options", "store", "tools[0]", "messages[0]", "messages[1]"]
    assert [part.path for part in request.added] == paths
    assert (request.unchanged, request.removed, request.changed) == ((), (), ())


async def test_a_changed_setting_and_a_removed_message_are_told_with_their_values() -> None:
    log = MemoryLog()
    async with ProviderServer([chat(text="One."), chat(text="Two.")]) as server:
        agent = agent_of(of("demo", auth="none")(server.chat_url), log)
        await agent.prompt("First?")
        agent.set_system_prompt("Be long.")
        agent.replace_messages(agent.state.messages[1:])
        await agent.prompt("Second?")
    recording = load(log)
    request = recording.request_at(asked_in(recording)[1])
    assert [(c.path, c.recorded, c.now) for c in request.changed] == [
        ("messages[0].content", "Be brief.", "Be long."),
        ("messages[2].content[0].text", "First?", "Second?"),
    ]
    assert [part.path for part in request.added] == ["messages[1]"]
    assert request.removed == ()


@pytest.mark.parametrize(
    ("n", "told"),
    [
        (2, "record 2 is user.said, no request"),
        (9, "record 9 is tool.finished, no request; the one before it is 3"),
        (22, "there is no record 22; there are 1 to 21"),
        (0, "there is no record 0"),
    ],
)
def test_what_is_no_request_is_told(n: int, told: str) -> None:
    with pytest.raises(NotInLogError, match=told):
        load(REPLAYS / "one-tool.jsonl").request_at(n)


async def test_where_nothing_could_be_sent_the_reason_is_told() -> None:
    log = MemoryLog()
    await agent_of(of("demo", auth="none", api="telegraph")("http://127.0.0.1:9"), log).prompt("Hi")
    recording = load(log)
    with pytest.raises(NotInLogError, match=r"no request was sent: .*telegraph"):
        recording.request_at(asked_in(recording)[0])


def test_reading_requests_leaves_the_conversation_of_the_recording_alone() -> None:
    recording = load(REPLAYS / "steering-and-hooks.jsonl")
    before = list(recording.conversation.messages)
    for n in asked_in(recording):
        recording.request_at(n)
    assert recording.conversation.messages == before
    fold = Conversation()
    for record in recording.records:
        fold.evolve(record)
    assert fold.messages == before
