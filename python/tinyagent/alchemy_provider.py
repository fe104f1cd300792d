"""The built-in provider for OpenAI-compatible servers, by its compatible name."""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from tinyagent._provider.resolve import (
    environment_key,
    is_elsewhere,
    resolve_alchemy,
    resolve_rust,
)
from tinyagent.agent_types import (
    AgentTool as AgentTool,
    Context as Context,
    Model as Model,
    SimpleStreamOptions as SimpleStreamOptions,
    StreamResponse,
    dump_model_dumpable as dump_model_dumpable,
)
from tinyagent.provider_contracts import (
    BindingStreamHandle as BindingStreamHandle,
    BindingStreamResponseBase as BindingStreamResponseBase,
    ProviderMetadataModel as ProviderMetadataModel,
    ReasoningEffort as ReasoningEffort,
    ReasoningMode as ReasoningMode,
    resolve_model_metadata as resolve_model_metadata,
)

if TYPE_CHECKING:
    from tinyagent.actors.transports import Transport

DEFAULT_OPENAI_COMPAT_CHAT_COMPLETIONS_URL = "https://api.openai.com/v1/chat/completions"


class OpenAICompatModel(ProviderMetadataModel):
    """A model behind an OpenAI-compatible endpoint; ``base_url`` is the endpoint's whole URL."""

    provider: str = "openrouter"
    id: str = "moonshotai/kimi-k2.5"
    api: str = "openai-completions"
    base_url: str = DEFAULT_OPENAI_COMPAT_CHAT_COMPLETIONS_URL
    auth: Literal["bearer", "none"] = "bearer"

    @classmethod
    def __complete__(cls, given: dict[str, object]) -> None:
        """Take the api that the provider speaks, if neither the call nor a subclass gives one."""
        super().__complete__(given)
        defaults = cls.__struct_defaults__
        own = dict(zip(cls.__struct_fields__[-len(defaults) :], defaults, strict=True))
        provider = given.get("provider", own.get("provider"))
        if "api" in given or own.get("api") != "openai-completions":
            return
        if isinstance(provider, str) and provider.strip().startswith("minimax"):
            given["api"] = "minimax-completions"


@dataclass
class AlchemyStreamResponse(BindingStreamResponseBase):
    """An answer read from a blocking handle."""

    invalid_event_message: str = "tinyagent._alchemy returned an invalid event"


async def stream_alchemy_openai_completions(
    model: Model, context: Context, options: SimpleStreamOptions
) -> StreamResponse:
    """Ask *model* and return its answer as a stream.

    Given to an ``Agent`` as its ``stream_fn`` it is not called: the agent streams by itself, with
    every delta on record. It is called if there is a module ``_alchemy`` of the user's own, which
    then makes the answer.

    Raises:
        ValueError: the model's base URL is blank.
    """
    described = resolve_alchemy(model)
    binding = users_binding()
    if binding is not None:
        asked = payloads(model, described, context, options)
        return AlchemyStreamResponse(binding.openai_completions_stream(*asked))
    from tinyagent._provider.direct import DirectResponse

    return DirectResponse(model, described, context, options)


stream_alchemy_openai_completions.__tinyagent_provider__ = resolve_alchemy  # type: ignore[attr-defined] # how an agent knows its own


def resolved(model: Model, stream_fn: object) -> dict[str, Any]:
    """Return *model* as the request builders take it, by the rules of *stream_fn*.

    A model that cannot be resolved keeps its names: its first call says what is wrong.
    """
    try:
        described: dict[str, Any] = _resolver(model, stream_fn)(model)
    except ValueError as error:
        return {"provider": model.provider, "id": model.id, "api": model.api, "fault": str(error)}
    return described


def is_answered_by_user(model: Model, stream_fn: object) -> bool:
    """Say whether a binding of the user's own answers where *stream_fn*, one of ours, would."""
    is_first = _resolver(model, stream_fn) is resolve_alchemy
    return (users_binding() if is_first else binding_instead()) is not None


def _resolver(model: Model, stream_fn: object) -> Any:
    """Return the rules for *model*: its class's own, those of *stream_fn*, or of its class."""
    resolve = getattr(type(model), "__tinyagent_provider__", None)
    resolve = resolve or getattr(stream_fn, "__tinyagent_provider__", None)
    if resolve is None:
        # Where nobody has imported that module there is no model of it.
        rust = sys.modules.get("tinyagent.rust_binding_provider")
        is_rust = rust is not None and isinstance(model, rust.RustBindingModel)
        resolve = resolve_rust if is_rust else resolve_alchemy
    return resolve


@lru_cache(maxsize=1)
def shared_transport() -> Transport:
    """Return the process's transport and its connection pool: the extension's.

    Raises:
        MissingExtensionError: the extension cannot be loaded; the text has every attempt, and its
            cause is the first that is more than an absent module.
    """
    faults: dict[str, ImportError] = {}
    for name in ("_alchemy", "tinyagent._alchemy"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            faults[name] = error
    if "tinyagent._alchemy" in faults:
        from tinyagent.runtime.errors import MissingExtensionError

        cause = next((e for e in faults.values() if not isinstance(e, ModuleNotFoundError)), None)
        raise MissingExtensionError("asking a model", faults) from cause
    from tinyagent.actors.transports.native import NativeTransport

    return NativeTransport()


@lru_cache(maxsize=1)
def users_binding() -> Any:
    """Return a top-level module ``_alchemy`` of the user's own, or None."""
    try:
        module = importlib.import_module("_alchemy")
    except ImportError:
        return None
    return module if hasattr(module, "openai_completions_stream") else None


def binding_instead() -> Any:
    """Return the user's own binding if ours cannot be loaded, else None."""
    binding = users_binding()
    if binding is not None:
        with suppress(ImportError):
            importlib.import_module("tinyagent._alchemy")
            return None
    return binding


def payloads(
    model: Model, described: dict[str, Any], context: Context, options: SimpleStreamOptions
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the three arguments of a binding, plain dicts all through."""
    known = resolve_model_metadata(model, context_window=None, max_tokens=None)
    asked = {
        **{name: described[name] for name in ("id", "provider", "api", "base_url")},
        "name": known.name,
        "headers": known.headers,
        "reasoning": known.reasoning,
        "context_window": known.context_window,
        "max_tokens": known.max_tokens,
    }
    tools = [
        {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters or {"type": "object", "properties": {}},
        }
        for tool in context.tools or ()
    ]
    said = {
        "system_prompt": context.system_prompt or "",
        "messages": [
            dump_model_dumpable(message, where="context.messages") for message in context.messages
        ],
        "tools": tools or None,
    }
    given = options.model_dump(exclude_none=True, exclude={"signal"})
    always = {name: given.get(name) for name in ("api_key", "temperature", "max_tokens")}
    provider, sends_none = described["provider"], described.get("auth") == "none"
    if not (options.api_key or sends_none or is_elsewhere(provider, described["base_url"])):
        always["api_key"] = environment_key(provider)
    return asked, said, {**given, **always}
