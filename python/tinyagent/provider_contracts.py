"""What a provider binding must keep to: handles, usage, messages, the metadata of a model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar, get_args

from tinyagent.agent_types import AssistantMessage, AssistantMessageEvent, JsonObject, Model
from tinyagent.agent_types._structure import reject

if TYPE_CHECKING:
    import asyncio

ReasoningEffort: TypeAlias = Literal["minimal", "low", "medium", "high", "xhigh"]
ReasoningMode: TypeAlias = bool | ReasoningEffort
T = TypeVar("T")

_USAGE = ("input", "output", "cache_read", "cache_write", "total_tokens", "cost")
_COST = ("input", "output", "cache_read", "cache_write", "total")


class BindingStreamHandle(Protocol):
    """An answer that is read by blocking calls."""

    def next_event(self) -> dict[str, Any] | None:
        """Wait for the next event; None at the end."""
        ...

    def result(self) -> dict[str, Any]:
        """Wait for the final message."""
        ...


class ProviderMetadataModel(Model):
    """A model with what requests need to know of it.

    Raises:
        ValidationError: ``reasoning`` is neither a bool nor one of the words. It is checked at
            construction, because a wrong word would only be seen as a model that does not think.
    """

    name: str | None = None
    headers: dict[str, str] | None = None
    context_window: int = 128_000
    max_tokens: int = 4096
    reasoning: ReasoningMode = False

    @classmethod
    def __complete__(cls, given: dict[str, object]) -> None:
        """Refuse a ``reasoning`` that is none."""
        reasoning = given.get("reasoning", False)
        words: tuple[str, ...] = get_args(ReasoningEffort)
        if not isinstance(reasoning, bool) and reasoning not in words:
            possible = ", ".join(repr(word) for word in words)
            problem = f"must be True, False or one of {possible}, not {reasoning!r}"
            raise reject(cls, "reasoning", problem, reasoning)


@dataclass(frozen=True)
class ResolvedModelMetadata:
    """What requests need to know of a model, whatever its class."""

    name: str | None
    headers: dict[str, str] | None
    reasoning: ReasoningMode
    context_window: int | None
    max_tokens: int | None


def resolve_model_metadata(
    model: Model, *, context_window: int | None, max_tokens: int | None
) -> ResolvedModelMetadata:
    """Return the metadata of *model*; the two numbers are for models that have none."""
    if isinstance(model, ProviderMetadataModel):
        return ResolvedModelMetadata(
            model.name, model.headers, model.reasoning, model.context_window, model.max_tokens
        )
    return ResolvedModelMetadata(None, None, False, context_window, max_tokens)


def missing_keys(data: Mapping[str, object], required: Iterable[str]) -> list[str]:
    """Return those of *required* that *data* lacks, sorted."""
    return sorted(key for key in required if key not in data)


def validate_usage_contract(raw: object, *, where: str) -> JsonObject:
    """Return *raw* if it is a complete usage.

    Raises:
        RuntimeError: it is none, or keys are missing.
    """
    if not isinstance(raw, dict):
        raise RuntimeError(f"{where}: usage must be a dict")
    missing = missing_keys(raw, _USAGE)
    if missing:
        raise RuntimeError(f"{where}: usage missing key(s): {', '.join(missing)}")
    cost: object = raw["cost"]
    if not isinstance(cost, dict):
        raise RuntimeError(f"{where}: usage.cost must be a dict")
    missing = missing_keys(cost, _COST)
    if missing:
        raise RuntimeError(f"{where}: usage.cost missing key(s): {', '.join(missing)}")
    return raw


def validate_assistant_message_contract(
    raw: object, *, where: str, require_usage: bool
) -> AssistantMessage:
    """Return *raw* as a message.

    Raises:
        RuntimeError: it is neither a message nor a dict, or lacks the usage that it must have.
    """
    if isinstance(raw, AssistantMessage):
        message = raw
    elif isinstance(raw, dict):
        message = AssistantMessage.model_validate(raw)
    else:
        raise RuntimeError(f"{where}: assistant message must be a dict")
    if require_usage:
        validate_usage_contract(message.usage, where=where)
    return message


def dump_model_payload(payload: Any) -> dict[str, Any]:
    """Return *payload* as a dict, without what is None."""
    dumped: dict[str, Any] = payload.model_dump(exclude_none=True)
    return dumped


@dataclass
class BindingStreamResponseBase:
    """An answer of a blocking handle, read without blocking the loop.

    Each blocking call runs in a daemon thread of our own: asyncio's executor would keep the
    process alive while a provider is silent.
    """

    _handle: BindingStreamHandle
    invalid_event_message: str
    _final_message: AssistantMessage | None = field(default=None)
    _reading: asyncio.Future[Any] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def __aiter__(self) -> AsyncIterator[AssistantMessageEvent]:
        """Return this stream."""
        return self

    async def __anext__(self) -> AssistantMessageEvent:
        """Return the next event. Who is cancelled here loses none: the next read gets it.

        Raises:
            RuntimeError: the handle gave something that is no event.
            ValidationError: it gave a dict that is none.
        """
        import asyncio

        if self._reading is None:
            self._reading = asyncio.ensure_future(in_thread(self._handle.next_event))
            # So that nobody complains if it fails when nobody reads any more.
            self._reading.add_done_callback(lambda done: done.cancelled() or done.exception())
        reading = self._reading
        try:
            event: Any = await asyncio.shield(reading)
        finally:
            if reading.done():
                self._reading = None
        if event is None:
            raise StopAsyncIteration
        if isinstance(event, AssistantMessageEvent):
            return event
        if isinstance(event, dict):
            return AssistantMessageEvent.model_validate(event)
        raise RuntimeError(self.invalid_event_message)

    async def result(self) -> AssistantMessage:
        """Return the final message; asked for once.

        Raises:
            RuntimeError: it lacks usage, or is no message.
        """
        if self._final_message is None:
            raw = await in_thread(self._handle.result)
            self._final_message = validate_assistant_message_contract(
                raw, where="result", require_usage=True
            )
        return self._final_message

    async def aclose(self) -> None:
        """Wake the threads that wait for the handle, if it can be cancelled. Never waits."""
        cancel: Callable[[], object] | None = getattr(self._handle, "cancel", None)
        if cancel is not None:
            cancel()


async def in_thread(call: Callable[[], T]) -> T:
    """Return what *call* gives, called in a daemon thread."""
    import asyncio
    import contextlib
    import threading

    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if isinstance(error, StopIteration):
            # A future refuses this one, and its waiter would wait for ever.
            error = RuntimeError(f"the call raised {error!r}")
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(value)

    def run() -> None:
        value, error = None, None
        try:
            value = call()
        except BaseException as raised:
            error = raised
        # A closed loop has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name="tinyagent-binding", daemon=True).start()
    return await done
