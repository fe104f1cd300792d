"""From a public model to what a request needs: api and URL; its key, of the environment."""

from __future__ import annotations

import os
import sys
from typing import Any

from tinyagent.actors.providers.endpoints import DEFAULT_BASE_URLS, KEY_VARIABLES
from tinyagent.agent_types import Model, ThinkingLevel
from tinyagent.provider_contracts import ProviderMetadataModel

OPENAI_URL = DEFAULT_BASE_URLS["openai"]
CONTEXT_WINDOW, MAX_TOKENS = 128_000, 4096
_ALIASES = {
    "openai": "openai-completions",
    "openai-compatible": "openai-completions",
    "chat-completions": "openai-completions",
    "minimax": "minimax-completions",
}
_RUST_APIS = ("anthropic-messages", "openai-completions", "minimax-completions")


def inferred_api(provider: str) -> str:
    """Return the api that a provider speaks when its model names none."""
    return (
        "minimax-completions"
        if provider.lower() in ("minimax", "minimax-cn")
        else "openai-completions"
    )


def resolve_alchemy(model: Model) -> dict[str, Any]:
    """Return *model* as the request builders take it, by the rules of the alchemy provider.

    The OpenAI URL is the default of every model. With a key in the environment, a provider whose
    URL is known is asked there instead, because the key is not for OpenAI to see.

    Raises:
        ValueError: the base URL is blank.
    """
    provider = model.provider.strip() or "openai"
    api = model.api.strip().lower()
    api = _ALIASES.get(api, api) or inferred_api(provider)
    url = getattr(model, "base_url", None)
    if url is None:
        url = OPENAI_URL
    url = url.strip()
    if not url:
        raise ValueError("Model `base_url` must be a non-empty string")
    resolved = described(model, provider, model.id, api, url)
    own = DEFAULT_BASE_URLS.get(provider.lower(), OPENAI_URL)
    if url == OPENAI_URL != own and environment_key(provider):
        resolved |= {"base_url": own, "url_by": "environment"}
    return resolved


def resolve_rust(model: Model) -> dict[str, Any]:
    """Return *model* as the request builders take it, by the rules of the Rust binding.

    Raises:
        ValueError: provider, id or base URL are missing, or the api is none of the three.
    """
    provider = model.provider.strip()
    if not provider:
        raise ValueError("Model `provider` must be a non-empty string")
    if not model.id.strip():
        raise ValueError("Model `id` must be a non-empty string")
    url = (getattr(model, "base_url", None) or "").strip()
    url = url or DEFAULT_BASE_URLS.get(provider.lower(), "")
    if not url:
        raise ValueError(
            "Model `base_url` must be set for unknown providers in rust_binding_provider"
        )
    api = model.api.strip()
    if not api:
        api = "anthropic-messages" if provider.lower() == "kimi" else inferred_api(provider)
    if api not in _RUST_APIS:
        raise ValueError(
            "Model `api` must be one of 'anthropic-messages', 'openai-completions', "
            "or 'minimax-completions'"
        )
    return described(model, provider, model.id, api, url)


def described(model: Model, provider: str, name: str, api: str, url: str) -> dict[str, Any]:
    """Return *model* as the request builders take it, with what it says of itself."""
    said: dict[str, Any] = {"provider": provider, "id": name, "api": api, "base_url": url}
    if isinstance(model, ProviderMetadataModel):
        said["reasoning"] = model.reasoning
        said["context_window"] = model.context_window
        said["max_tokens"] = model.max_tokens
    auth = getattr(model, "auth", "bearer")
    if auth != "bearer":
        said["auth"] = auth
    return said


def environment_key(provider: str) -> str | None:
    """Return the key that the environment has for *provider*."""
    for name in KEY_VARIABLES.get(provider.lower(), ()):
        if key := os.environ.get(name):
            return key
    return None


def is_elsewhere(provider: str, url: str) -> bool:
    """Say whether *url* is OpenAI's, and *provider* is not: its key is not to go there."""
    return url == OPENAI_URL and provider.lower() != "openai"


def debugs() -> bool:
    """Say whether the environment asks for lines on standard error."""
    asked = os.environ.get("TINYAGENT_ALCHEMY_DEBUG", "")
    return asked.strip().lower() in ("1", "true", "yes", "on")


def debug(text: str) -> None:
    """Write a line to standard error if the environment asks for it."""
    if debugs():
        sys.stderr.write(f"tinyagent: {text}\n")


def thinking_of(level: ThinkingLevel | str, model: Model | None) -> str | None:
    """Return the thinking level in force: the state's, else the model's, else none."""
    for given in (level, model.thinking_level if model is not None else None):
        if given and given != "off":
            return given.value if isinstance(given, ThinkingLevel) else given
    return None
