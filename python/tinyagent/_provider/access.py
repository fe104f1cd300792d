"""What one request is sent with. Apart from ``resolve``: to name a model takes none of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tinyagent._provider.resolve import (
    OPENAI_URL,
    debug,
    debugs,
    environment_key,
    is_elsewhere,
)
from tinyagent.actors.providers.endpoints import KEY_VARIABLES
from tinyagent.actors.sources import Granted
from tinyagent.actors.transports import Failure
from tinyagent.actors.transports.failures import public_url
from tinyagent.agent_types import Model
from tinyagent.events import Settings


def access(model: Model, settings: Settings, key: str | None) -> Granted:
    """Return what one request is sent with: key, headers, and where to.

    A class of models may have a rule of its own (``__tinyagent_access__``). Else the key is the
    one given, or the provider's environment variable. One from the environment goes to the OpenAI
    URL only if it is OpenAI's; see ``resolve_alchemy`` for the others.

    Raises:
        Failure: the provider needs a key and there is none for this URL.
    """
    own: Callable[[Model, Settings, str | None], Granted] | None = getattr(
        type(model), "__tinyagent_access__", None
    )
    if own is not None:
        return own(model, settings, key)
    asked = settings.model
    provider, api, url = asked["provider"], asked["api"], asked["base_url"]
    headers: Mapping[str, str] = getattr(model, "headers", None) or {}
    if key and asked.get("url_by") == "environment":
        url = OPENAI_URL
    elif not key and asked.get("auth") != "none":
        key = environment_key(provider)
        if provider.lower() in KEY_VARIABLES and (key is None or is_elsewhere(provider, url)):
            raise Failure(
                "refused",
                f"failed to start {api} stream: No API key provided for provider: {provider}",
            )
    if debugs():
        debug(f"{provider} {asked['id']} by {api}: POST {public_url(url)}")
    return Granted(key or None, headers, url)
