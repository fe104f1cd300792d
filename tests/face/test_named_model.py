"""Models by name: who is asked, where, with whose key. Requests are looked at, none is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tinyagent import (
    Agent,
    AgentContext,
    AgentLoopConfig,
    AgentOptions,
    AgentState,
    AgentTool,
    AssistantMessage,
    Context,
    Model,
    SimpleStreamOptions,
    UserMessage,
    agent_loop,
    default_convert_to_llm,
    named_model,
    open_log,
)
from tinyagent.actors.providers.table import KNOWN
from tinyagent.actors.transports import Exchange, Failure, HttpRequest
from tinyagent.alchemy_provider import stream_alchemy_openai_completions
from tinyagent.runtime.errors import TinyAgentError, UnknownModelError
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import ProviderServer, RecordedTransport, chat, status
from tinyagent.verbs import replay

TABLE = """
openai:gpt-4o-mini https://api.openai.com/v1/chat/completions OPENAI_API_KEY authorization
openai-responses:gpt-5 https://api.openai.com/v1/responses OPENAI_API_KEY authorization
openrouter:moonshotai/kimi-k2.5
    https://openrouter.ai/api/v1/chat/completions
    OPENROUTER_API_KEY authorization
chutes:Qwen/Qwen3-32B https://llm.chutes.ai/v1/chat/completions CHUTES_API_KEY authorization
minimax:MiniMax-M2.1 https://api.minimax.io/v1/chat/completions MINIMAX_API_KEY authorization
minimax-cn:MiniMax-M2.1
    https://api.minimax.chat/v1/chat/completions
    MINIMAX_CN_API_KEY authorization
kimi:kimi-for-coding https://api.kimi.com/coding/v1/messages KIMI_API_KEY authorization
anthropic:claude-sonnet-4-6 https://api.anthropic.com/v1/messages ANTHROPIC_API_KEY x-api-key
google:g-2.5
    https://generativelanguage.googleapis.com/v1beta/models/g-2.5:streamGenerateContent?alt=sse
    GEMINI_API_KEY x-goog-api-key
gemini:g-2.5
    https://generativelanguage.googleapis.com/v1beta/models/g-2.5:streamGenerateContent?alt=sse
    GOOGLE_API_KEY x-goog-api-key
vertex:g-2.5
    https://europe-west1-aiplatform.googleapis.com/v1/projects/acme/locations/europe-west1\
/publishers/google/models/g-2.5:streamGenerateContent?alt=sse
    GOOGLE_OAUTH_ACCESS_TOKEN authorization
deepseek:deepseek-chat https://api.deepseek.com/chat/completions DEEPSEEK_API_KEY authorization
groq:llama-3.3-70b-versatile
    https://api.groq.com/openai/v1/chat/completions
    GROQ_API_KEY authorization
mistral:mistral-large-latest
    https://api.mistral.ai/v1/chat/completions
    MISTRAL_API_KEY authorization
xai:grok-4 https://api.x.ai/v1/chat/completions XAI_API_KEY authorization
together:Qwen/Qwen3-32B
    https://api.together.xyz/v1/chat/completions
    TOGETHER_API_KEY authorization
cerebras:gpt-oss-120b https://api.cerebras.ai/v1/chat/completions CEREBRAS_API_KEY authorization
zai:glm-4.7 https://api.z.ai/api/paas/v4/chat/completions ZAI_API_KEY authorization
moonshot:kimi-k2 https://api.moonshot.ai/v1/chat/completions MOONSHOT_API_KEY authorization
featherless:Qwen/Qwen3-32B
    https://api.featherless.ai/v1/chat/completions
    FEATHERLESS_API_KEY authorization
vercel-ai-gateway:openai/gpt-5
    https://ai-gateway.vercel.sh/v1/chat/completions
    AI_GATEWAY_API_KEY authorization
azure:my-deployment
    https://acme.openai.azure.com/openai/v1/chat/completions
    AZURE_OPENAI_API_KEY api-key
azure-responses:my-deployment
    https://acme.openai.azure.com/openai/v1/responses
    AZURE_OPENAI_API_KEY api-key
ollama:qwen3:8b http://localhost:11434/v1/chat/completions - -
llamacpp:any http://localhost:8080/v1/chat/completions - -
vllm:facebook/opt-125m http://localhost:8000/v1/chat/completions - -
lmstudio:qwen3-8b http://localhost:1234/v1/chat/completions - -
"""
"""Name, URL that is asked, variable with the key, header that it goes in."""

_WORDS = TABLE.split()
EXPECTED = {_WORDS[at]: tuple(_WORDS[at + 1 : at + 4]) for at in range(0, len(_WORDS), 4)}
KEY = "key-0123456789"


class Looking:
    """A transport that keeps requests to itself."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []

    def open(self, request: HttpRequest) -> Exchange:
        self.requests.append(request)
        raise Failure("refused", "this test sends nothing")

    async def aclose(self) -> None:
        pass


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for known in KNOWN.values():
        for name in known.keys:
            monkeypatch.delenv(name, raising=False)
    for name in ("AZURE_OPENAI_ENDPOINT", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


async def asked_of(
    model: Model | str, *, key: str | None = None
) -> tuple[list[HttpRequest], str | None]:
    """Ask *model*; return the requests that would have been sent, and what came of it."""
    looking = Looking()
    options = AgentOptions(transport=looking, get_api_key=(lambda _: key) if key else None)
    message = await Agent(options, model=model).prompt("hi")
    assert isinstance(message, AssistantMessage)
    return looking.requests, message.error_message


@pytest.mark.parametrize("name", EXPECTED)
async def test_a_name_is_asked_where_its_provider_is_with_its_key_in_its_header(
    name: str, environment: pytest.MonkeyPatch
) -> None:
    url, variable, header = EXPECTED[name]
    environment.setenv("AZURE_OPENAI_ENDPOINT", "https://acme.openai.azure.com/")
    environment.setenv("GOOGLE_CLOUD_PROJECT", "acme")
    environment.setenv("GOOGLE_CLOUD_LOCATION", "europe-west1")
    if variable != "-":
        environment.setenv(variable, KEY)
    (request,), _ = await asked_of(name)
    assert request.url == url
    sent = {key: value for key, value in request.headers if KEY in value}
    scheme = "Bearer " if header == "authorization" else ""
    assert sent == ({header: f"{scheme}{KEY}"} if header != "-" else {})


def test_every_provider_of_the_table_is_tried_above() -> None:
    assert [name.partition(":")[0] for name in EXPECTED] == sorted(
        KNOWN, key=[name.partition(":")[0] for name in EXPECTED].index
    )


@pytest.mark.parametrize("name", [name for name, row in EXPECTED.items() if row[1] != "-"])
async def test_a_missing_key_names_its_variable_and_nothing_is_sent(
    name: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("AZURE_OPENAI_ENDPOINT", "https://acme.openai.azure.com")
    environment.setenv("GOOGLE_CLOUD_PROJECT", "acme")
    environment.setenv("GOOGLE_CLOUD_LOCATION", "europe-west1")
    requests, told = await asked_of(name)
    assert requests == []
    assert told is not None
    assert EXPECTED[name][1] in told
    assert told.startswith(f"No API key for {name.partition(':')[0]}: set ")
    assert told.endswith(", or give the agent a get_api_key")


async def test_a_key_that_was_given_counts_more_than_the_environments(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("OPENAI_API_KEY", "from-the-environment")
    (request,), _ = await asked_of("openai:gpt-4o-mini", key=KEY)
    assert dict(request.headers)["authorization"] == f"Bearer {KEY}"


async def test_a_model_that_wants_no_key_gets_none(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OPENAI_API_KEY", KEY)
    model = named_model("openai:m", base_url="http://localhost:9/v1", auth="none")
    (request,), _ = await asked_of(model)
    assert "authorization" not in dict(request.headers)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("azure:d", "AZURE_OPENAI_ENDPOINT"),
        ("vertex:m", "GOOGLE_CLOUD_LOCATION and GOOGLE_CLOUD_PROJECT"),
    ],
)
async def test_a_missing_address_names_its_variables(name: str, missing: str) -> None:
    requests, told = await asked_of(name, key=KEY)
    assert requests == []
    provider = name.partition(":")[0]
    assert told == f"No address for {provider}: set {missing}, or give a base_url"


async def test_vertex_everywhere_is_a_host_of_its_own(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("GOOGLE_CLOUD_PROJECT", "acme")
    environment.setenv("GOOGLE_CLOUD_LOCATION", "global")
    (request,), _ = await asked_of("vertex:m", key=KEY)
    assert request.url.startswith(
        "https://aiplatform.googleapis.com/v1/projects/acme/locations/global/publishers/google/"
    )


@pytest.mark.parametrize(
    ("name", "given", "url"),
    [
        ("openai:m", "http://h/v1", "http://h/v1/chat/completions"),
        ("openai:m", "http://h/v1/", "http://h/v1/chat/completions"),
        ("openai:m", "http://h/v1/chat/completions", "http://h/v1/chat/completions"),
        ("azure:m", "http://h/x?api-version=1", "http://h/x/chat/completions?api-version=1"),
        ("openai-responses:m", "http://h/v1", "http://h/v1/responses"),
        ("openai-responses:m", "http://h/v1/responses", "http://h/v1/responses"),
        ("anthropic:m", "http://h", "http://h/v1/messages"),
        ("anthropic:m", "http://h/v1", "http://h/v1/messages"),
        ("anthropic:m", "http://h/v1/messages", "http://h/v1/messages"),
        ("google:m", "http://h/v1beta", "http://h/v1beta/models/m:streamGenerateContent?alt=sse"),
    ],
)
async def test_any_base_url_will_do_with_the_endpoint_or_without(
    name: str, given: str, url: str
) -> None:
    (request,), _ = await asked_of(named_model(name, base_url=given), key=KEY)
    assert request.url == url


@pytest.mark.parametrize(
    ("name", "api", "url"),
    [
        ("openrouter:m", "openai-responses", "https://openrouter.ai/api/v1/responses"),
        ("openrouter:m", "anthropic-messages", "https://openrouter.ai/api/v1/messages"),
        ("xai:m", "openai-responses", "https://api.x.ai/v1/responses"),
    ],
)
async def test_a_provider_is_asked_by_another_of_its_protocols(
    name: str, api: str, url: str
) -> None:
    (request,), _ = await asked_of(named_model(name, api=api), key=KEY)
    assert (request.url, request.api) == (url, api)


def test_an_unknown_protocol_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"no protocol is called 'grpc' \(known: openai-completion"
    ):
        named_model("openai:m", api="grpc")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("opnai:gpt-4o", "no provider is named 'opnai'"),
        ("gpt-4o", "the name has no provider"),
        ("", "the name has no provider"),
        ("openai:", "the name has no model"),
        ("openai: ", "the name has no model"),
        (":gpt-4o", "no provider is named ''"),
    ],
)
def test_a_wrong_name_is_refused_with_the_providers_there_are(name: str, what: str) -> None:
    for wrong in (lambda: Agent(model=name), lambda: Agent().set_model(name)):
        with pytest.raises(UnknownModelError) as caught:
            wrong()
        assert str(caught.value) == (
            f"{what}\n"
            f"  got       {name!r}\n"
            "  expected  provider:model, with a provider of: anthropic, azure, azure-responses, "
            "cerebras, chutes, deepseek, featherless, gemini, google, groq, kimi, llamacpp, "
            "lmstudio, minimax, minimax-cn, mistral, moonshot, ollama, openai, openai-responses, "
            "openrouter, together, vercel-ai-gateway, vertex, vllm, xai, zai\n"
            "  try       a model object for any other provider"
        )
        assert isinstance(caught.value, TinyAgentError)
        assert caught.value.name == name


async def test_a_named_model_is_recorded_as_what_it_stands_for() -> None:
    agent = Agent(model="openai-responses:gpt-5")
    model = agent.configuration().model
    assert model == {
        "provider": "openai",
        "id": "gpt-5",
        "api": "openai-responses",
        "base_url": "https://api.openai.com/v1/responses",
        "reasoning": False,
        "context_window": 128_000,
        "max_tokens": 4096,
    }


async def test_what_is_known_of_a_model_shapes_its_requests() -> None:
    model = named_model("anthropic:claude-sonnet-4-6", max_tokens=9000, reasoning="low")
    (request,), _ = await asked_of(model, key=KEY)
    assert b'"max_tokens":9000' in request.body
    assert b'"budget_tokens":2048' in request.body


async def test_a_named_model_answers_over_the_wire() -> None:
    async with ProviderServer([chat(text="Hello.")]) as server:
        model = named_model("openai:gpt-4o-mini", base_url=f"{server.url}/v1", headers={"x-a": "b"})
        agent = Agent(
            AgentOptions(get_api_key=lambda _: KEY), model=model, system_prompt="Be brief."
        )
        assert await agent.prompt_text("hi") == "Hello."
    (received,) = server.requests
    assert received.path == "/v1/chat/completions"
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.headers["x-a"] == "b"
    assert received.json["model"] == "gpt-4o-mini"


async def test_a_named_model_is_asked_by_hand_and_by_the_loop_too(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("ANTHROPIC_API_KEY", KEY)
    said = status(401, {"error": {"message": "no"}})
    async with ProviderServer(said) as server:
        model = named_model("anthropic:m", base_url=server.url)
        given = SimpleStreamOptions()
        response = await stream_alchemy_openai_completions(model, Context("", []), given)
        assert (await response.result()).error_kind == "refused"
        config = AgentLoopConfig(model=model, convert_to_llm=default_convert_to_llm)
        stream = agent_loop([UserMessage()], AgentContext(), config)
        last = (await stream.result())[-1]
    assert isinstance(last, AssistantMessage)
    assert last.error_kind == "refused"
    for request in server.requests:
        assert (request.path, request.headers["x-api-key"]) == ("/v1/messages", KEY)
    assert len(server.requests) == 2


async def test_a_log_of_a_named_model_replays_without_its_key_and_address(
    tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("AZURE_OPENAI_ENDPOINT", "https://acme.openai.azure.com")
    environment.setenv("AZURE_OPENAI_API_KEY", KEY)
    transport = RecordedTransport([chat(text="Hello.").body])
    async with open_log(tmp_path / "log") as log:
        agent = Agent(AgentOptions(transport=transport), model="azure:d", log=log)
        assert await agent.prompt_text("hi") == "Hello."
    environment.delenv("AZURE_OPENAI_ENDPOINT")
    environment.delenv("AZURE_OPENAI_API_KEY")
    report = await replay(
        tmp_path / "log", lambda *, log: Agent(AgentOptions(), model="azure:d", log=log)
    )
    assert report.ok, report.first_divergence
    assert report.requests == 1
    written = b"".join(
        path.read_bytes() for path in (tmp_path / "log").rglob("*") if path.is_file()
    )
    assert KEY.encode() not in written


@pytest.mark.parametrize(
    "given",
    [
        {"model": "openai:m"},
        {"system_prompt": "s"},
        {"tools": []},
        {"log": MemoryLog()},
    ],
)
def test_a_setting_given_both_ways_is_refused(given: dict[str, Any]) -> None:
    (name,) = given
    state = AgentState(
        model=Model(provider="p", id="m"), system_prompt="t", tools=[AgentTool(name="t")]
    )
    with pytest.raises(TypeError, match=f"Agent: {name} was given twice"):
        Agent(AgentOptions(initial_state=state, log=MemoryLog()), **given)


async def test_a_name_that_was_assigned_to_the_state_is_looked_up_too() -> None:
    looking = Looking()
    agent = Agent(AgentOptions(transport=looking, get_api_key=lambda _: KEY), model="openai:m")
    agent.state.model = "groq:m"  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue] - as users do
    await agent.prompt("hi")
    assert looking.requests[0].url == "https://api.groq.com/openai/v1/chat/completions"


def test_keywords_leave_the_options_as_they_were() -> None:
    options = AgentOptions(initial_state=AgentState(system_prompt="s"))
    agent = Agent(options, model="openai:m")
    assert agent.state.system_prompt == "s"
    assert agent.state.model == named_model("openai:m")
    assert options.initial_state == AgentState(system_prompt="s")
