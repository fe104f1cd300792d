"""The built-in provider by the rules of the Rust binding: three protocols, known endpoints."""

from __future__ import annotations

from typing import Any, Literal

from tinyagent._resolve import resolve_rust
from tinyagent.actors.providers.table import DEFAULT_BASE_URLS
from tinyagent.agent_types import (
    AgentTool,
    Context,
    JsonObject,
    Model,
    SimpleStreamOptions,
    StreamResponse,
    dump_model_dumpable,
)
from tinyagent.alchemy_provider import DirectResponse
from tinyagent.provider_contracts import (
    BindingStreamHandle,
    BindingStreamResponseBase,
    ProviderMetadataModel,
    ReasoningEffort,
    ReasoningMode,
    resolve_model_metadata,
)

BindingApi = Literal["", "anthropic-messages", "openai-completions", "minimax-completions"]
_HELD = (AgentTool, BindingStreamHandle, JsonObject, ReasoningEffort, ReasoningMode)
_HELD_TOO = (dump_model_dumpable, resolve_model_metadata, DEFAULT_BASE_URLS)


class RustBindingModel(ProviderMetadataModel):
    """A model of one of the known providers, or of any URL."""

    provider: str = "openrouter"
    id: str = "moonshotai/kimi-k2.5"
    api: BindingApi = ""  # pyright: ignore[reportIncompatibleVariableOverride] - narrower
    base_url: str | None = None


class RustBindingStreamResponse(BindingStreamResponseBase):
    """An answer read from a blocking handle."""

    def __init__(self, _handle: BindingStreamHandle) -> None:
        super().__init__(_handle, "tinyagent._alchemy returned an invalid event")


async def stream_rust_binding(
    model: Model, context: Context, options: SimpleStreamOptions
) -> StreamResponse:
    """Ask *model* and return its answer as a stream.

    Raises:
        ValueError: the model names no provider, id, known endpoint or known api.
    """
    described: dict[str, Any] = resolve_rust(model)
    return DirectResponse(model, described, context, options)


stream_rust_binding.__tinyagent_provider__ = resolve_rust  # type: ignore[attr-defined] # how an agent knows its own
