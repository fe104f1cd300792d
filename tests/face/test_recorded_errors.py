"""The HTTP errors that providers really sent, all the way: server, transport, agent, message.

What the words of the message are is the compatible API's (``API returned error: ...``); what is
held here is that the provider's own words are in it, and the kind that a program asks for.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests import corpus
from tests.corpus import APIS
from tests.rust.test_decode_errors import KINDS, SPECIAL
from tests.wire import Hurried

from tinyagent import Agent, AgentOptions, AssistantMessage, load, named_model, open_log
from tinyagent.actors.transports import Transport
from tinyagent.actors.transports.native import NativeTransport
from tinyagent.actors.transports.portable import PortableTransport
from tinyagent.events import kinds as k
from tinyagent.testing import ProviderServer, status

KEY = "sk-live-0123456789abcdef"
PROVIDERS = {
    "openai-chat": "openai",
    "anthropic-messages": "anthropic",
    "openai-responses": "openai-responses",
    "gemini": "google",
}
"""By whose name a recording's protocol is spoken here."""

EXPECTED = {"invalid": 25, "refused": 12, "overflow": 3, "overloaded": 4}


@pytest.fixture(params=["native", "portable"])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    made: Transport = (
        NativeTransport() if request.param == "native" else PortableTransport(time.monotonic)
    )
    yield made
    await made.aclose()


async def test_each_recorded_error_is_a_message_of_its_kind_with_the_providers_words(
    transport: Transport,
) -> None:
    kinds: dict[str, int] = {}
    for name, error in corpus.errors():
        refusal = status(error["status"], error["body"], error["headers"])
        clock = Hurried()
        async with ProviderServer(refusal) as server:
            model = named_model(f"{PROVIDERS[error['protocol']]}:m", base_url=f"{server.url}/v1")
            assert model.api == APIS[error["protocol"]]
            options = AgentOptions(
                transport=transport, clock=clock, get_api_key=lambda _: KEY, retries_max=2
            )
            message = await Agent(options, model=model).prompt("hi")
        assert isinstance(message, AssistantMessage)
        expected = SPECIAL.get(name, KINDS[error["status"]])
        assert (message.stop_reason, message.error_kind) == ("error", expected), name
        head, _, told = (message.error_message or "").partition(" - ")
        assert head == f"API returned error: {error['status']}", name
        assert json.loads(told) == error["body"], name
        # Only what may pass is asked for again.
        attempts = 3 if error["status"] in (429, 500) else 1
        assert len(server.requests) == attempts, name
        assert len(clock.slept) == attempts - 1, name
        kinds[expected] = kinds.get(expected, 0) + 1
    assert kinds == EXPECTED
    assert sum(kinds.values()) == 44


async def test_an_error_that_echoes_the_key_does_not_bring_it_into_message_or_log(
    transport: Transport, tmp_path: Path
) -> None:
    refusal = status(401, {"error": {"message": f"Incorrect API key provided: {KEY}."}})
    async with ProviderServer(refusal) as server, open_log(tmp_path / "log") as log:
        options = AgentOptions(transport=transport, get_api_key=lambda _: KEY)
        model = named_model("openai:m", base_url=f"{server.url}/v1")
        message = await Agent(options, model=model, log=log).prompt("hi")
    assert isinstance(message, AssistantMessage)
    assert message.error_message == (
        'API returned error: 401 - {"error":{"message":"Incorrect API key provided: ***."}}'
    )
    files = [path.read_bytes() for path in (tmp_path / "log").rglob("*") if path.is_file()]
    assert not any(KEY.encode() in data for data in files)
    failed = [r.event for r in load(tmp_path / "log").records if isinstance(r.event, k.ModelFailed)]
    assert [event.failure.kind for event in failed] == ["refused"]
