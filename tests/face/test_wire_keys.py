"""Row 15: whose key goes where. Every request is looked at, none is sent."""

from __future__ import annotations

from typing import Any

import pytest
from tests.wire import user

from tinyagent import Agent, AgentOptions, AgentState, AssistantMessage
from tinyagent.actors.transports import Exchange, Failure, HttpRequest
from tinyagent.agent_types import Context, Model, SimpleStreamOptions
from tinyagent.alchemy_provider import OpenAICompatModel, stream_alchemy_openai_completions

OPENAI = "https://api.openai.com/v1/chat/completions"
OPENROUTER = "https://openrouter.ai/api/v1/chat/completions"
ELSEWHERE = "https://llm.example.org/v1/chat/completions"


class Looking:
    """A transport that keeps requests to itself."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []

    def open(self, request: HttpRequest) -> Exchange:
        self.requests.append(request)
        raise Failure("refused", "this test sends nothing")

    async def aclose(self) -> None:
        pass


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Looking:
    for name in ("OPENAI_API_KEY", "OPENROUTER_API_KEY", "GROQ_API_KEY", "MINIMAX_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    transport = Looking()
    monkeypatch.setattr("tinyagent.alchemy_provider.shared_transport", lambda: transport)
    return transport


async def ask(model: Model, key: str | None, looking: Looking, way: str) -> str:
    """Ask *model*; return what came of it, by hand or through an agent."""
    if way == "agent":
        options = AgentOptions(
            initial_state=AgentState(model=model),
            get_api_key=(lambda _: key) if key else None,
            transport=looking,
        )
        message = await Agent(options).prompt("hi")
        assert isinstance(message, AssistantMessage)
        return message.error_message or ""
    given = SimpleStreamOptions(api_key=key)
    response = await stream_alchemy_openai_completions(model, Context("", [user()]), given)
    try:
        return (await response.result()).error_message or ""
    except RuntimeError as error:
        return str(error)


@pytest.mark.parametrize("way", ["hand", "agent"])
@pytest.mark.parametrize(
    ("model", "variable", "key", "url", "sent"),
    [
        (OpenAICompatModel(), "OPENROUTER_API_KEY", None, OPENROUTER, "env"),
        (OpenAICompatModel(), "OPENROUTER_API_KEY", "given", OPENAI, "given"),
        (OpenAICompatModel(base_url=ELSEWHERE), "OPENROUTER_API_KEY", None, ELSEWHERE, "env"),
        (OpenAICompatModel(provider="openai"), "OPENAI_API_KEY", None, OPENAI, "env"),
        (OpenAICompatModel(provider=" "), "OPENAI_API_KEY", None, OPENAI, "env"),
        (Model(provider="openrouter", id="m"), "OPENROUTER_API_KEY", None, OPENROUTER, "env"),
        (Model(provider="groq", id="m"), "GROQ_API_KEY", "given", OPENAI, "given"),
        (
            OpenAICompatModel(provider="minimax", id="m"),
            "MINIMAX_API_KEY",
            None,
            "https://api.minimax.io/v1/chat/completions",
            "env",
        ),
    ],
)
async def test_row_15_a_key_goes_where_it_belongs(
    looking: Looking,
    monkeypatch: pytest.MonkeyPatch,
    model: Model,
    variable: str,
    key: str | None,
    url: str,
    sent: str,
    way: str,
) -> None:
    monkeypatch.setenv(variable, "env")
    await ask(model, key, looking, way)
    (request,) = looking.requests
    assert request.url == url
    assert dict(request.headers)["authorization"] == f"Bearer {sent}"


@pytest.mark.parametrize("way", ["hand", "agent"])
async def test_row_15_a_key_of_a_provider_without_a_known_url_is_not_sent_to_openai(
    looking: Looking, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "env")
    told = await ask(Model(provider="groq", id="m"), None, looking, way)
    assert told == (
        "failed to start openai-completions stream: No API key provided for provider: groq"
    )
    assert looking.requests == []


@pytest.mark.parametrize("way", ["hand", "agent"])
async def test_row_15_the_body_is_made_for_who_is_asked(
    looking: Looking, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "env")
    await ask(OpenAICompatModel(reasoning=True), None, looking, way)
    assert b'"moonshotai/kimi-k2.5"' in looking.requests[0].body


async def test_row_15_no_key_is_sent_to_a_model_that_wants_none(
    looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "env")
    for key in (None, "given"):
        model: Any = OpenAICompatModel(base_url=ELSEWHERE, auth="none")
        await ask(model, key, looking, "hand")
    assert all("authorization" not in dict(request.headers) for request in looking.requests)
    assert len(looking.requests) == 2


@pytest.mark.parametrize("way", ["hand", "agent"])
async def test_the_name_of_a_provider_is_known_in_any_case(
    looking: Looking, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    model = OpenAICompatModel(provider="Groq", base_url=ELSEWHERE)
    told = await ask(model, None, looking, way)
    assert (
        told == "failed to start openai-completions stream: No API key provided for provider: Groq"
    )
    monkeypatch.setenv("GROQ_API_KEY", "env")
    await ask(model, None, looking, way)
    assert [dict(each.headers)["authorization"] for each in looking.requests] == ["Bearer env"]
