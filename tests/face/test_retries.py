"""Requests that are sent again, all the way: a real server, an agent, its log, a stepped clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.wire import Hurried, call, delta, end

from tinyagent import (
    Agent,
    AgentOptions,
    AgentTool,
    AssistantMessage,
    Retry,
    extract_text,
    load,
    named_model,
    open_log,
    replay,
)
from tinyagent.events import kinds as k
from tinyagent.testing import ProviderServer, chat, close_after, reset, sse, status

HELLO = delta(content="Hello, ")
WHOLE = chat(text="Hello, world.")
OVERLOADED = sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})


class Outcome:
    """What came of one prompt."""

    def __init__(self, message: AssistantMessage, where: Path, slept: list[float]) -> None:
        self.message = message
        self.text = extract_text(message)
        self.slept = slept
        self.records = [record.event for record in load(where).records]
        self.retries = [event for event in self.records if isinstance(event, k.ModelRetrying)]
        self.bodies: list[bytes] = []
        self.called: list[Any] = []


async def prompt(where: Path, *script: Any, model: str = "openai:m", **options: Any) -> Outcome:
    """Prompt an agent whose provider answers with *script*; its log replays."""
    clock, called = Hurried(), list[Any]()

    async def add(call_id: str, args: Any, signal: Any, on_update: Any) -> str:
        called.append(args)
        return "3"

    def build(*, log: Any) -> Agent:
        given = AgentOptions(clock=clock, get_api_key=lambda _: "k", **options)
        tool = AgentTool(name="add", execute=add)
        named = named_model(model, base_url=f"{server.url}/v1")
        return Agent(given, model=named, tools=[tool], log=log)

    async with ProviderServer(script) as server, open_log(where) as log:
        message = await build(log=log).prompt("hi")
        bodies = [request.body for request in server.requests]
    assert isinstance(message, AssistantMessage)
    outcome = Outcome(message, where, clock.slept)
    outcome.bodies, outcome.called = bodies, list(called)
    report = await replay(where, build)
    assert report.ok, report.first_divergence
    assert called == outcome.called
    return outcome


async def test_a_provider_that_says_when_is_asked_again_then(tmp_path: Path) -> None:
    busy = status(429, "slow down", {"retry-after": "7"})
    found = await prompt(tmp_path / "log", busy, WHOLE)
    assert (found.text, found.slept) == ("Hello, world.", [7.0])
    failure = k.Failure("overloaded", "API returned error: 429 - slow down", 429, 7.0)
    assert found.retries == [k.ModelRetrying(2, failure, 7.0)]
    assert len(found.bodies) == 2
    assert found.bodies[0] == found.bodies[1]


@pytest.mark.parametrize(
    ("headers", "body", "waited_s"),
    [
        ({"retry-after-ms": "1500"}, "", 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, "", 1.5),
        ({"retry-after": "0.25"}, "", 0.25),
        (
            {},
            {
                "error": {
                    "code": 429,
                    "message": "m",
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [
                        {
                            "@type": "type.googleapis.com/google.rpc.RetryInfo",
                            "retryDelay": "48s",
                        }
                    ],
                }
            },
            48.0,
        ),
    ],
)
async def test_when_is_said_in_headers_and_bodies(
    tmp_path: Path, headers: dict[str, str], body: Any, waited_s: float
) -> None:
    found = await prompt(tmp_path / "log", status(429, body, headers), WHOLE)
    assert (found.text, found.slept) == ("Hello, world.", [waited_s])


async def test_who_says_nothing_is_asked_again_after_a_growing_wait(tmp_path: Path) -> None:
    busy = [status(503, "busy")] * 6
    found = await prompt(tmp_path / "log", *busy, WHOLE, retry=Retry(attempts_max=7))
    assert found.text == "Hello, world."
    longest = [0.5, 1, 2, 4, 8, 8]
    assert len(found.slept) == 6
    for waited_s, longest_s in zip(found.slept, longest, strict=True):
        assert 0.75 * longest_s <= waited_s <= longest_s
    assert [event.attempt for event in found.retries] == [2, 3, 4, 5, 6, 7]
    assert [event.delay_s for event in found.retries] == [round(s, 3) for s in found.slept]


async def test_without_an_option_a_request_is_sent_three_times(tmp_path: Path) -> None:
    found = await prompt(tmp_path / "log", *[status(503, "busy")] * 3)
    assert found.message.error_message == "API returned error: 503 - busy"
    assert found.message.error_kind == "overloaded"
    assert len(found.bodies) == 3


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"retry": Retry(attempts_max=1)}, 1),
        ({"retries_max": 0}, 1),
        ({"retry": Retry(attempts_max=2)}, 2),
        ({"retries_max": 1}, 2),
        ({"retry": Retry(attempts_max=5)}, 5),
    ],
)
async def test_how_often_is_an_option(tmp_path: Path, options: dict[str, Any], sent: int) -> None:
    found = await prompt(tmp_path / "log", *[status(503, "busy")] * sent, **options)
    assert found.message.error_message == "API returned error: 503 - busy"
    assert len(found.bodies) == sent


async def test_who_asks_for_more_time_than_the_host_gives_has_refused(tmp_path: Path) -> None:
    busy = status(429, "in half a minute", {"retry-after": "30"})
    found = await prompt(tmp_path / "log", busy, retry=Retry(delay_s_max=10))
    assert found.message.error_message == "API returned error: 429 - in half a minute"
    assert (found.slept, len(found.bodies)) == ([], 1)


async def test_no_wait_is_longer_than_the_host_gives(tmp_path: Path) -> None:
    found = await prompt(
        tmp_path / "log", status(503), status(503), WHOLE, retry=Retry(delay_s_max=0.25)
    )
    assert (found.text, found.slept) == ("Hello, world.", [0.25, 0.25])


@pytest.mark.parametrize(
    "refusal",
    [
        status(503, "no", {"x-should-retry": "false"}),
        status(400, {"error": {"message": "no"}}),
        status(401, {"error": {"message": "no"}}),
        status(429, {"error": {"code": "insufficient_quota", "message": "no"}}),
    ],
)
async def test_what_would_be_refused_again_is_not_sent_again(tmp_path: Path, refusal: Any) -> None:
    found = await prompt(tmp_path / "log", refusal)
    assert (len(found.bodies), found.slept, found.message.stop_reason) == (1, [], "error")


async def test_a_refusal_may_say_that_it_passes(tmp_path: Path) -> None:
    again = status(400, "odd", {"x-should-retry": "true"})
    found = await prompt(tmp_path / "log", again, WHOLE)
    assert found.text == "Hello, world."


async def test_a_connection_that_breaks_before_the_answer_is_made_again(tmp_path: Path) -> None:
    found = await prompt(tmp_path / "log", reset(), WHOLE)
    assert (found.text, len(found.bodies)) == ("Hello, world.", 2)
    assert [event.failure.kind for event in found.retries] == ["network"]


@pytest.mark.parametrize(
    "broken", [close_after(len(HELLO), HELLO + end()), reset(HELLO, len(HELLO)), HELLO]
)
async def test_after_a_part_was_shown_nothing_is_sent_again(tmp_path: Path, broken: Any) -> None:
    found = await prompt(tmp_path / "log", broken)
    assert (found.text, len(found.bodies), found.retries) == ("Hello, ", 1, [])
    assert found.message.stop_reason == "error"
    assert found.message.error_kind == "network"


@pytest.mark.parametrize(
    "broken", [close_after(len(HELLO), HELLO + end()), reset(HELLO, len(HELLO)), HELLO]
)
async def test_unless_the_host_says_that_it_can_drop_that_part(tmp_path: Path, broken: Any) -> None:
    found = await prompt(tmp_path / "log", broken, WHOLE, retry=Retry(after_delta=True))
    assert (found.text, len(found.bodies)) == ("Hello, world.", 2)
    assert found.message.stop_reason == "stop"
    assert [event.failure.kind for event in found.retries] == [
        "network" if broken is not HELLO else "interrupted"
    ]
    messages = load(tmp_path / "log").messages
    assert [extract_text(message) for message in messages] == ["hi", "Hello, world."]


async def test_a_call_in_the_part_that_was_dropped_is_not_run(tmp_path: Path) -> None:
    half = call(0, "c1", "add", '{"a": 1')
    whole = chat(calls=[("c2", "add", {"a": 2})])
    found = await prompt(
        tmp_path / "log", half, whole, chat(text="3"), retry=Retry(after_delta=True)
    )
    assert (found.called, found.text) == ([{"a": 2}], "3")


@pytest.mark.parametrize("model", ["openai:m", "anthropic:m", "openai-responses:m", "google:m"])
async def test_an_error_within_a_good_answer_is_tried_again_if_it_may_pass(
    tmp_path: Path, model: str
) -> None:
    event = {
        "openai:m": sse({"error": {"type": "overloaded_error", "message": "Overloaded"}}),
        "anthropic:m": OVERLOADED,
        "openai-responses:m": sse(
            {"type": "error", "code": "server_is_overloaded", "message": "Overloaded"}
        ),
        "google:m": sse({"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}),
    }[model]
    found = await prompt(tmp_path / "log", *[event] * 2, model=model, retries_max=1)
    assert [event.failure.kind for event in found.retries] == ["overloaded"]
    assert (len(found.bodies), found.message.error_kind) == (2, "overloaded")


async def test_an_error_within_a_good_answer_that_would_come_again_is_not_tried_again(
    tmp_path: Path,
) -> None:
    refused = sse({"error": {"type": "invalid_request_error", "message": "no"}})
    found = await prompt(tmp_path / "log", refused)
    assert (found.retries, len(found.bodies), found.message.error_kind) == ([], 1, "invalid")


def test_retries_given_both_ways_are_refused() -> None:
    with pytest.raises(TypeError, match="retries were given twice, as retry and as retries_max"):
        AgentOptions(retry=Retry(), retries_max=2)


@pytest.mark.parametrize("given", [{"attempts_max": 0}, {"delay_s_max": -1}])
def test_a_retry_that_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="attempts_max must be at least 1, delay_s_max at least"):
        Retry(**given)
