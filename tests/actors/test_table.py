"""Who takes what: every row of the table, seen in a request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tinyagent.actors.providers import endpoints, provider_for, table
from tinyagent.events.fact import ToolSpec
from tinyagent.events.settings import Settings

OTHERS = (
    *("mistral", "xai", "cerebras", "groq", "featherless", "anthropic", "custom", "zai"),
    *("deepseek", "together", "chutes"),
)


def head(provider: str, url: str = "http://localhost/", **more: Any) -> dict[str, Any]:
    said = {"provider": provider, "id": "m", "base_url": url, "reasoning": more.pop("reasoning", 0)}
    settings = Settings(model=said, system="S", tools=(ToolSpec("t"),), options=more)
    found: dict[str, Any] = json.loads(provider_for("openai-completions").body(settings, []))
    return found


def role(head: dict[str, Any]) -> str:
    return str(head["messages"][0]["role"])


@pytest.mark.parametrize("name", ["openai", "openrouter", "azure"])
def test_who_takes_the_developer_role_gets_it_while_the_model_reasons(name: str) -> None:
    assert role(head(name, reasoning=True)) == "developer"
    assert role(head(name, reasoning="high")) == "developer"
    assert role(head(name)) == "system"


@pytest.mark.parametrize(
    "name",
    [
        "mistral",
        "xai",
        "cerebras",
        "groq",
        "featherless",
        "anthropic",
        "custom",
        "zai",
        "deepseek",
        "together",
        "chutes",
    ],
)
def test_all_others_get_the_system_role(name: str) -> None:
    assert role(head(name, reasoning="high")) == "system"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("xai", "http://localhost/"),
        ("mistral", "http://localhost/"),
        ("cerebras", "http://localhost/"),
        ("openai", "https://api.x.ai/v1/chat/completions"),
        ("custom", "https://llm.chutes.ai/v1/chat/completions"),
        ("custom", "https://api.mistral.ai/v1/chat/completions"),
    ],
)
def test_who_refuses_store_does_not_get_it(name: str, url: str) -> None:
    assert "store" not in head(name, url)


REFUSING = (
    *("xai", "zai", "moonshot", "together", "cerebras", "chutes", "deepseek", "cloudflare"),
    *("mistral", "google"),
)


@pytest.mark.parametrize("name", REFUSING)
def test_who_refuses_openais_newer_fields_gets_none_of_them(name: str) -> None:
    found = head(name, reasoning="high")
    assert "store" not in found
    assert role(found) == "system"
    if name not in ("mistral", "google"):
        assert "reasoning_effort" not in found


@pytest.mark.parametrize("name", ["openai", "openrouter", "groq", "zzz", "featherless"])
def test_all_others_are_told_to_store_nothing(name: str) -> None:
    assert head(name)["store"] is False


@pytest.mark.parametrize("name", ["mistral", "featherless", "chutes", "moonshot", "ollama"])
def test_some_call_the_limit_max_tokens(name: str) -> None:
    found = head(name, max_tokens=5)
    assert (found["max_tokens"], "max_completion_tokens" in found) == (5, False)


@pytest.mark.parametrize("name", ["openai", "groq", "xai", "zai", "custom", "openrouter"])
def test_most_call_the_limit_max_completion_tokens(name: str) -> None:
    found = head(name, max_tokens=5)
    assert (found["max_completion_tokens"], "max_tokens" in found) == (5, False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openai", {"reasoning_effort": "high"}),
        ("openrouter", {"reasoning_effort": "high"}),
        ("mistral", {"reasoning_effort": "high"}),
        ("custom", {"reasoning_effort": "high"}),
        ("xai", {}),
        ("cerebras", {}),
        ("moonshot", {}),
        ("zai", {"thinking": {"type": "enabled"}}),
        ("deepseek", {"thinking": {"type": "enabled"}}),
        ("together", {"reasoning": {"enabled": True}}),
    ],
)
def test_a_level_is_asked_for_in_the_providers_own_words(
    name: str, expected: dict[str, Any]
) -> None:
    found = head(name, reasoning="high")
    words = ("reasoning_effort", "thinking", "reasoning")
    assert {word: found[word] for word in words if word in found} == expected


def test_the_effective_level_wins_and_true_has_no_effort() -> None:
    assert "reasoning_effort" not in head("openai", reasoning=True)
    settings = Settings(
        model={"provider": "openai", "reasoning": "low"}, options={"reasoning": "high"}
    )
    assert b'"reasoning_effort":"high"' in provider_for("openai-completions").body(settings, [])


@pytest.mark.parametrize("name", ["moonshot", "together", "cloudflare"])
def test_who_refuses_strict_does_not_get_it(name: str) -> None:
    assert "strict" not in head(name)["tools"][0]["function"]


@pytest.mark.parametrize(
    ("name", "expected"), [("openai", "s1"), ("mistral", "s1"), ("groq", None), ("custom", None)]
)
def test_the_name_of_the_session_helps_some_caches(name: str, expected: str | None) -> None:
    assert head(name, session_id="s1").get("prompt_cache_key") == expected


def test_a_long_name_of_a_session_is_cut_to_what_is_taken() -> None:
    keys = {head("openai", session_id="s" * 100 + end)["prompt_cache_key"] for end in "ab"}
    assert {len(key) for key in keys} == {64}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("limit", "expected"), [(4096, None), (8192, 8192), (None, None), (0, None)]
)
def test_a_described_model_has_a_limit_unless_it_is_the_default(
    limit: int | None, expected: int | None
) -> None:
    assert table.limit_of({"max_tokens": limit}, {}) == expected
    assert table.limit_of({"max_tokens": limit}, {"max_tokens": 7}) == 7


def test_the_host_that_is_asked_counts_more_than_the_name() -> None:
    found = table.CHAT.of({"provider": "openai", "base_url": "https://API.X.AI/v1"})
    assert found.names == ("xai",)
    lookalike = {"provider": "none", "base_url": "https://evilopenrouter.ai/"}
    assert table.CHAT.of(lookalike) is table.CHAT.default


@pytest.mark.parametrize("url", ["", "http://[", "no url", None])
def test_an_odd_url_names_no_host(url: str | None) -> None:
    assert table.host_of({"base_url": url}) == ""


def test_names_and_hosts_are_in_one_row_each() -> None:
    for rows in (table.CHAT, table.MESSAGES):
        names = [name for row in rows.all for name in row.names]
        hosts = [host for row in rows.all for host in row.hosts]
        assert len(set(names)) == len(names)
        assert len(set(hosts)) == len(hosts)


def test_the_compatible_face_knows_six_urls_and_their_keys() -> None:
    assert list(endpoints.DEFAULT_BASE_URLS) == [
        "openai",
        "openrouter",
        "chutes",
        "minimax",
        "minimax-cn",
        "kimi",
    ]
    for name, url in endpoints.DEFAULT_BASE_URLS.items():
        assert table.KNOWN[name].url == url
        assert table.KNOWN[name].keys == endpoints.KEY_VARIABLES[name]


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("claude-opus-4-7", True),
        ("claude-opus-4-8-20260601", True),
        ("anthropic/claude-opus-4.7", True),
        ("claude-sonnet-5", True),
        ("claude-opus-4-6", False),
        ("claude-opus-4-20250514", False),
        ("claude-sonnet-4-5-20250929", False),
        ("claude-haiku-4-5", False),
        ("claude-3-7-sonnet-latest", False),
    ],
)
def test_newer_models_adapt_their_thinking(model_id: str, expected: bool) -> None:
    assert bool(table.ADAPTIVE.search(model_id)) is expected
