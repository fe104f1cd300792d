"""The project's own transport, held to the contract that the built-in ones keep, and in use."""

from __future__ import annotations

import pytest
from clerk.agents import build
from clerk.wire import Gateway

from tinyagent import load, named_model
from tinyagent.testing import ProviderServer, TransportContract, chat, status


class TestGateway(TransportContract):
    """All checks of the contract."""

    @pytest.fixture
    def make_transport(self) -> type[Gateway]:
        return Gateway


async def test_the_clerk_thinks_through_the_gateway(agent_log) -> None:
    asks = chat(calls=[("look_up", {"name": "water"})])
    async with ProviderServer([status(503), asks, chat(text="30.00.")]) as server:
        model = named_model("openai:m", base_url=server.chat_url, auth="none")
        result = await build(log=agent_log, model=model, transport=Gateway()).run("How much?")
        connections = server.connections
    assert result.text == "30.00."
    assert connections == 3  # one a request, of which the first was tried again
    assert load(agent_log).replay().ok
