"""What a request is sent with is found once in a run, and again for the next one."""

from __future__ import annotations

import pytest

from tinyagent import Agent, named_model, tool
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.testing import ProviderServer, chat
from tinyagent.testing.answers import Item


@tool(effect="read", name="rotate")
def nothing() -> str:
    """Do nothing."""
    return "done"


def turns(count: int) -> list[Item]:
    """Return a script of *count* runs, each with a call and an answer."""
    return [chat(calls=[("rotate", {})]), chat(text="done")] * count


def keys(server: ProviderServer) -> list[str]:
    return [asked.headers["authorization"].removeprefix("Bearer ") for asked in server.requests]


@pytest.mark.parametrize("is_named", [False, True])
async def test_a_key_that_changes_in_the_environment_is_seen_by_the_next_run(
    monkeypatch: pytest.MonkeyPatch, is_named: bool
) -> None:
    @tool(effect="write")
    def rotate() -> str:
        """Put another key into the environment."""
        monkeypatch.setenv("OPENAI_API_KEY", "second")
        return "rotated"

    monkeypatch.setenv("OPENAI_API_KEY", "first")
    async with ProviderServer(turns(2)) as server:
        url = server.chat_url
        model = OpenAICompatModel(provider="openai", id="m", base_url=url)
        agent = Agent(
            model=named_model("openai:m", base_url=url) if is_named else model, tools=[rotate]
        )
        await agent.run("one")
        await agent.run("two")
    assert keys(server) == ["first", "first", "second", "second"]


async def test_headers_that_a_host_changes_in_place_are_sent_by_the_next_run() -> None:
    async with ProviderServer(turns(2)) as server:
        headers = {"x-tenant": "first"}
        model = OpenAICompatModel(
            provider="acme", id="m", base_url=server.chat_url, headers=headers
        )
        agent = Agent(model=model, tools=[nothing])
        await agent.run("one")
        assert model.headers is not None
        model.headers["x-tenant"] = "second"
        await agent.run("two")
    tenants = [asked.headers["x-tenant"] for asked in server.requests]
    assert tenants == ["first", "first", "second", "second"]


async def test_a_key_that_the_host_gives_is_asked_for_and_sent_anew_with_every_request() -> None:
    given = iter(["first", "second"])

    async with ProviderServer(turns(1)) as server:
        model = OpenAICompatModel(provider="openai", id="m", base_url=server.chat_url)
        agent = Agent(model=model, tools=[nothing])
        agent.get_api_key = lambda provider: next(given)
        await agent.run("one")
    assert keys(server) == ["first", "second"]


async def test_who_debugs_is_told_of_every_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TINYAGENT_ALCHEMY_DEBUG", "1")
    async with ProviderServer(turns(1)) as server:
        model = OpenAICompatModel(provider="acme", id="m", base_url=server.chat_url)
        await Agent(model=model, tools=[nothing]).run("one")
    told = f"tinyagent: acme m by openai-completions: POST {server.chat_url}\n"
    assert capsys.readouterr().err == told * 2
