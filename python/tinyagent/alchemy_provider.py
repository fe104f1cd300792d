"""The built-in provider for OpenAI-compatible servers, by its compatible name."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any, Literal

from tinyagent._bodies import error_kind
from tinyagent._partial import Partial, public_usage
from tinyagent._resolve import access, resolve_alchemy, resolve_rust
from tinyagent.actors.sources import ProviderSource
from tinyagent.actors.transports import Failure, Transport
from tinyagent.agent_types import (
    AgentTool,
    AssistantMessage,
    AssistantMessageEvent,
    Context,
    Model,
    SimpleStreamOptions,
    StreamResponse,
    TextContent,
    dump_model_dumpable,
)
from tinyagent.events import Settings, View, plain
from tinyagent.events import kinds as k
from tinyagent.events.messages import Message, message_of
from tinyagent.provider_contracts import (
    BindingStreamHandle,
    BindingStreamResponseBase,
    ProviderMetadataModel,
    ReasoningEffort,
    ReasoningMode,
    resolve_model_metadata,
)

__all__ = [
    "DEFAULT_OPENAI_COMPAT_CHAT_COMPLETIONS_URL",
    "AgentTool",
    "AlchemyStreamResponse",
    "BindingStreamHandle",
    "BindingStreamResponseBase",
    "Context",
    "Model",
    "OpenAICompatModel",
    "ProviderMetadataModel",
    "ReasoningEffort",
    "ReasoningMode",
    "SimpleStreamOptions",
    "dump_model_dumpable",
    "resolve_model_metadata",
    "stream_alchemy_openai_completions",
]

DEFAULT_OPENAI_COMPAT_CHAT_COMPLETIONS_URL = "https://api.openai.com/v1/chat/completions"


class OpenAICompatModel(ProviderMetadataModel):
    """A model behind an OpenAI-compatible endpoint; ``base_url`` is the endpoint's whole URL."""

    provider: str = "openrouter"
    id: str = "moonshotai/kimi-k2.5"
    api: str = "openai-completions"
    base_url: str = DEFAULT_OPENAI_COMPAT_CHAT_COMPLETIONS_URL
    auth: Literal["bearer", "none"] = "bearer"


class AlchemyStreamResponse(BindingStreamResponseBase):
    """An answer read from a blocking handle."""

    def __init__(self, _handle: BindingStreamHandle) -> None:
        super().__init__(_handle, "tinyagent._alchemy returned an invalid event")


async def stream_alchemy_openai_completions(
    model: Model, context: Context, options: SimpleStreamOptions
) -> StreamResponse:
    """Ask *model* and return its answer as a stream.

    Given to an ``Agent`` as its ``stream_fn`` it is not called: the agent streams by itself, with
    every delta on record.

    Raises:
        ValueError: the model's base URL is blank.
    """
    return DirectResponse(model, resolve_alchemy(model), context, options)


stream_alchemy_openai_completions.__tinyagent_provider__ = resolve_alchemy  # type: ignore[attr-defined] # how an agent knows its own


def resolved(model: Model, stream_fn: object) -> dict[str, Any]:
    """Return *model* as the request builders take it, by the rules of *stream_fn*.

    A model that cannot be resolved keeps its names: its first call says what is wrong.
    """
    resolve = getattr(stream_fn, "__tinyagent_provider__", None)
    if resolve is None:
        from tinyagent.rust_binding_provider import RustBindingModel

        resolve = resolve_rust if isinstance(model, RustBindingModel) else resolve_alchemy
    try:
        described: dict[str, Any] = resolve(model)
    except ValueError as error:
        return {"provider": model.provider, "id": model.id, "api": model.api, "fault": str(error)}
    return described


@lru_cache(maxsize=1)
def shared_transport() -> Transport:
    """Return the process's transport and its connection pool."""
    from tinyagent.actors.transports.portable import PortableTransport
    from tinyagent.runtime.clock import SystemClock

    return PortableTransport(SystemClock().monotonic_s)


@lru_cache(maxsize=1)
def users_binding() -> Any:
    """Return a top-level module ``_alchemy`` of the user's own, or None."""
    try:
        module = importlib.import_module("_alchemy")
    except ImportError:
        return None
    return module if hasattr(module, "openai_completions_stream") else None


class DirectResponse:
    """An answer read by hand: an async iterator of stream events, and its final message."""

    def __init__(
        self,
        model: Model,
        described: dict[str, Any],
        context: Context,
        options: SimpleStreamOptions,
    ) -> None:
        self._described = described
        self._signal = options.signal
        self._key = options.api_key
        settings = Settings(
            model=described,
            system=context.system_prompt,
            tools=tuple(_spec(tool) for tool in context.tools or ()),
            options=_given(options),
        )
        messages: list[Message] = [
            message_of(plain(_dump(message)), seq)
            for seq, message in enumerate(context.messages, 1)
        ]
        self._asked = View(settings, messages, len(messages))
        self._source = ProviderSource(
            shared_transport(), lambda asked, key: access(model, asked, key)
        )
        self._events = self._stream()
        self._final: AssistantMessage | None = None

    def __aiter__(self) -> AsyncIterator[AssistantMessageEvent]:
        """Return this stream."""
        return self

    async def __anext__(self) -> AssistantMessageEvent:
        """Return the next event of the answer."""
        return await anext(self._events)

    async def result(self) -> AssistantMessage:
        """Return the final message, reading the rest of the answer first. Never raises for what
        the provider did: the message says it."""
        async for _ in self._events:
            pass
        assert self._final is not None
        return self._final

    async def _stream(self) -> AsyncIterator[AssistantMessageEvent]:
        blank = AssistantMessage(
            stop_reason="stop",
            api=self._described["api"],
            provider=self._described["provider"],
            model=self._described["id"],
            usage=public_usage(None),
        )
        partial = Partial(blank)
        try:
            self._source.digest(self._asked)
            attempt = self._source.attempt(self._asked, self._key)
            yield AssistantMessageEvent(type="start", partial=partial.message)
            async for heard in attempt:
                for block, op, data, _ in heard.pieces:
                    for event in partial.take(block, op, data):
                        yield event
            answer, _ = attempt.finish()
            for event in partial.close():
                yield event
        except Failure as failure:
            self._final = _failed(partial.message, failure.kind, failure.message)
        else:
            self._final = partial.message
            self._final.usage = public_usage(answer.usage)
            if answer.failure is not None:
                self._final = _failed(self._final, *answer.failure)
            else:
                reasons = {"tools": "tool_calls", "length": "length"}
                self._final.stop_reason = reasons.get(answer.reason or "", "stop")  # type: ignore[assignment] # three of its words
        final = self._final
        if final.error_message is not None:
            yield AssistantMessageEvent(type="error", reason="error", error=final)
        else:
            yield AssistantMessageEvent(type="done", reason=final.stop_reason, message=final)


def _failed(message: AssistantMessage, kind: str, told: str) -> AssistantMessage:
    message.content = message.content or [TextContent(text="")]
    message.stop_reason = "aborted" if kind == "cancelled" else "error"
    message.error_message = told
    message.error_kind = error_kind(k.Failure(kind, told))  # type: ignore[arg-type] # a transport's kind
    return message


def _dump(message: Any) -> dict[str, Any]:
    return (
        dict(message)
        if isinstance(message, dict)
        else dump_model_dumpable(message, where="context.messages")
    )


def _spec(tool: AgentTool) -> k.ToolSpec:
    return k.ToolSpec(tool.name, tool.description, plain(tool.parameters or {}))


def _given(options: SimpleStreamOptions) -> dict[str, Any]:
    dump = options.model_dump(exclude_none=True, exclude={"api_key", "signal"})
    return {name: plain(value) for name, value in dump.items()}
