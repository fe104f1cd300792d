"""Models by their names: ``provider:model``, as in ``openai:gpt-4o-mini``.

The table of providers (``actors/providers/table.py``) says which protocol each of them speaks,
where, and which environment variable holds the key. A model by name never asks anybody else: its
key goes to its provider, or to the ``base_url`` that was given. The environment is asked once in a
run: a key that changes there is sent from the next run on (``get_api_key`` is asked every time).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Literal

from tinyagent._provider.resolve import debug, described
from tinyagent.actors.providers.table import KNOWN, Known
from tinyagent.actors.sources import Granted
from tinyagent.actors.transports import Failure
from tinyagent.actors.transports.failures import public_url
from tinyagent.events import Settings
from tinyagent.provider_contracts import ProviderMetadataModel, ReasoningMode
from tinyagent.runtime.errors import UnknownModelError

ENDPOINTS = {
    "openai-completions": "/chat/completions",
    "minimax-completions": "/chat/completions",
    "openai-responses": "/responses",
    "anthropic-messages": "",
    "google-generative-ai": "",
}
"""How the URL of each protocol ends; the last two put together theirs when they ask."""

_VARIABLE = re.compile(r"\{(\w+)\}")


class NamedModel(ProviderMetadataModel):
    """What a name stands for; ``named_model`` makes it.

    Attributes:
        named: the provider, as in the name. base_url: "" if its environment variable is not set.
        auth: ``none`` sends no key.
    """

    named: str = ""
    base_url: str = ""
    auth: Literal["bearer", "none"] = "bearer"

    def __tinyagent_provider__(self) -> dict[str, Any]:
        """Return the model as the request builders take it; whatever the stream function says."""
        return described(self, self.provider, self.id, self.api, self.base_url)

    def __tinyagent_access__(self, settings: Settings, key: str | None) -> Granted:
        """Return what one request is sent with: the key that was given, else the environment's.

        Raises:
            Failure: there is no key, or nobody said where to ask.
        """
        known, url = KNOWN[self.named], str(settings.model["base_url"])
        if not url:
            missing = [name for name in _VARIABLE.findall(known.url) if not os.environ.get(name)]
            names = " and ".join(dict.fromkeys(missing)) or "its variables before the model is made"
            told = f"No address for {self.named}: set {names}, or give a base_url"
            raise Failure("refused", told)
        if self.auth == "none":
            key = None
        elif not key and known.keys:
            key = next((os.environ[name] for name in known.keys if os.environ.get(name)), None)
            if key is None:
                names = " or ".join(known.keys)
                told = f"No API key for {self.named}: set {names}, or give the agent a get_api_key"
                raise Failure("refused", told)
        debug(f"{self.provider} {self.id} by {self.api}: POST {public_url(url)}")
        return Granted(key or None, self.headers or {}, url)


def named_model(
    name: str,
    *,
    base_url: str | None = None,
    api: str | None = None,
    auth: Literal["bearer", "none"] = "bearer",
    headers: dict[str, str] | None = None,
    reasoning: ReasoningMode = False,
    context_window: int = 128_000,
    max_tokens: int = 4096,
) -> NamedModel:
    """Return the model that *name* stands for: ``provider:model``.

    Nothing is asked, and no key is needed, before the first request.

    Args:
        base_url: where to ask instead, as provider SDKs take it: with or without the endpoint.
        api: the protocol to speak, if the provider speaks more than one; see ``ENDPOINTS``.
        auth: ``none`` sends no key, not even one that the environment has.
        max_tokens: the longest answer; 4096, the default, is only sent where one must be.

    >>> named_model("vllm:qwen3", base_url="http://gpu:8000/v1").id
    'qwen3'

    Raises:
        UnknownModelError: the table has no such provider, or no model is named.
        ValueError: no protocol is called *api*, or *base_url* is no address. TypeError: *name* is
            no text.
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - hosts may not check
        raise TypeError(f"the name of a model is a text like 'openai:gpt-4o-mini', not {name!r}")
    named, _, model = name.partition(":")
    known = KNOWN.get(named)
    if known is None or not model.strip():
        raise UnknownModelError(name, list(KNOWN))
    if api is not None and api not in ENDPOINTS:
        raise ValueError(f"no protocol is called {api!r} (known: {', '.join(ENDPOINTS)})")
    if base_url is not None and not base_url.strip().startswith(("http://", "https://")):
        raise ValueError(f"base_url={base_url!r} is no address: begin it with http:// or https://")
    spoken = api or known.api
    return NamedModel(
        provider=known.provider or named,
        id=model.strip(),
        api=spoken,
        named=named,
        base_url=_endpoint(spoken, base_url or _own_url(known, os.environ)),
        auth=auth,
        headers=headers,
        reasoning=reasoning,
        context_window=context_window,
        max_tokens=max_tokens,
    )


def _own_url(known: Known, environment: Mapping[str, str]) -> str:
    """Return the provider's URL with its variables filled in; empty if one is not set."""
    if not all(environment.get(name) for name in _VARIABLE.findall(known.url)):
        return ""
    url = _VARIABLE.sub(lambda found: environment[found[1]].rstrip("/"), known.url)
    # Vertex's region for everywhere has no name in its host.
    return url.replace("//global-", "//")


def _endpoint(api: str, url: str) -> str:
    """Return *url*, of whatever protocol it is, as the request builder of *api* takes it."""
    path, mark, query = url.strip().partition("?")
    path = path.rstrip("/")
    for end in ("/chat/completions", "/responses", "/messages"):
        path = path.removesuffix(end)
    if api == "anthropic-messages":
        path = path.removesuffix("/v1")
    return f"{path}{ENDPOINTS[api]}{mark}{query}" if path else ""
