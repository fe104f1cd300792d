"""The built-in provider by the rules of the Rust binding: three protocols, known endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from tinyagent._provider.resolve import CONTEXT_WINDOW, MAX_TOKENS, resolve_rust
from tinyagent.actors.providers.endpoints import DEFAULT_BASE_URLS as DEFAULT_BASE_URLS
from tinyagent.agent_types import (
    AgentTool as AgentTool,
    Context as Context,
    JsonObject as JsonObject,
    Model as Model,
    SimpleStreamOptions as SimpleStreamOptions,
    StreamResponse,
    dump_model_dumpable as dump_model_dumpable,
)
from tinyagent.agent_types._structure import Structure, reject
from tinyagent.alchemy_provider import binding_instead, payloads
from tinyagent.provider_contracts import (
    BindingStreamHandle as BindingStreamHandle,
    BindingStreamResponseBase as BindingStreamResponseBase,
    ProviderMetadataModel as ProviderMetadataModel,
    ReasoningEffort as ReasoningEffort,
    ReasoningMode as ReasoningMode,
    resolve_model_metadata as resolve_model_metadata,
)

BindingApi = Literal["", "anthropic-messages", "openai-completions", "minimax-completions"]


class RustBindingModel(ProviderMetadataModel):
    """A model of one of the known providers, or of any URL.

    Raises:
        ValidationError: ``api`` or ``reasoning`` is none of the known words.
    """

    provider: str = "openrouter"
    id: str = "moonshotai/kimi-k2.5"
    api: BindingApi = ""  # pyright: ignore[reportIncompatibleVariableOverride] - narrower
    base_url: str | None = None

    @classmethod
    def __complete__(cls, given: dict[str, object]) -> None:
        """Refuse an unknown ``api``; strip ``base_url``, of which a blank one is none."""
        super().__complete__(given)
        api, url = given.get("api", ""), given.get("base_url")
        words: tuple[str, ...] = get_args(BindingApi)
        if api not in words:
            possible = ", ".join(repr(word) for word in words)
            raise reject(cls, "api", f"must be one of {possible}, not {api!r}", api)
        if isinstance(url, str):
            given["base_url"] = url.strip() or None


class BindingModelPayload(Structure, forbid_unknown_fields=True):
    """A model as the binding takes it."""

    id: str
    provider: str
    api: str
    base_url: str
    name: str | None = None
    headers: dict[str, str] | None = None
    reasoning: ReasoningMode = False
    context_window: int
    max_tokens: int


class BindingToolPayload(Structure, forbid_unknown_fields=True):
    """A tool as the binding takes it; ``parameters`` is a JSON Schema."""

    name: str
    description: str
    parameters: JsonObject


class BindingContextPayload(Structure, forbid_unknown_fields=True):
    """A conversation as the binding takes it; messages are dumped already."""

    system_prompt: str = ""
    messages: list[JsonObject]
    tools: list[BindingToolPayload] | None = None


class BindingOptionsPayload(Structure, forbid_unknown_fields=True):
    """What one call is made with, as the binding takes it."""

    api_key: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None


@dataclass
class RustBindingStreamResponse(BindingStreamResponseBase):
    """An answer read from a blocking handle."""

    invalid_event_message: str = "tinyagent._alchemy returned an invalid event"


async def stream_rust_binding(
    model: Model, context: Context, options: SimpleStreamOptions
) -> StreamResponse:
    """Ask *model* and return its answer as a stream.

    Raises:
        ValueError: the model names no provider, id, known endpoint or known api.
    """
    described: dict[str, Any] = resolve_rust(model)
    binding = binding_instead()
    if binding is not None:
        asked, said, given = map(_told, payloads(model, described, context, options))
        asked = {"context_window": CONTEXT_WINDOW, "max_tokens": MAX_TOKENS, **asked}
        return RustBindingStreamResponse(binding.openai_completions_stream(asked, said, given))
    from tinyagent._provider.direct import DirectResponse

    return DirectResponse(model, described, context, options)


def _told(payload: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if value is not None}


stream_rust_binding.__tinyagent_provider__ = resolve_rust  # type: ignore[attr-defined] # how an agent knows its own
