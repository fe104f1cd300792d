"""An answer of a built-in provider that is read by hand, without a session and without a log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from typing import Any, TypeVar

from tinyagent._config.checks import check_json
from tinyagent._diagnostics import diagnose
from tinyagent._provider.access import access
from tinyagent._provider.resolve import debug, thinking_of
from tinyagent._reading.bodies import error_kind, is_overflow
from tinyagent._reading.partial import Partial, public_usage
from tinyagent.actors.sources import ProviderSource
from tinyagent.actors.streamer import failed_in_band, retry_delay_s
from tinyagent.actors.transports import Answer, Exchange, Failure, Timed
from tinyagent.actors.transports.failures import ABORTED, fault_of
from tinyagent.agent_types import (
    AgentTool,
    AssistantMessage,
    AssistantMessageEvent,
    Context,
    Model,
    SimpleStreamOptions,
    TextContent,
    ThinkingLevel,
    ToolCallContent,
    dump_model_dumpable,
)
from tinyagent.events import Settings, View, digest, kinds as k, plain
from tinyagent.events.messages import Assistant, Message, message_of
from tinyagent.runtime.clock import SystemClock

T = TypeVar("T")


class DirectResponse:
    """An answer as a stream: an async iterator of its events, and its final message.

    What the provider does wrong is told by an ``error`` event and by the message. Only what keeps
    the request from being made is raised, by the first read and by ``result``.
    """

    def __init__(
        self,
        model: Model,
        described: dict[str, Any],
        context: Context,
        options: SimpleStreamOptions,
    ) -> None:
        from tinyagent.alchemy_provider import shared_transport

        self._described = described
        self._signal = options.signal
        self._key = options.api_key
        settings = Settings(
            model=described,
            system=context.system_prompt,
            tools=tuple(_spec(tool) for tool in context.tools or ()),
            options=_given(options, model),
        )
        messages: list[Message] = [
            message_of(plain(_dump(message)), seq)
            for seq, message in enumerate(context.messages, 1)
        ]
        self._asked = View(settings, messages, len(messages))
        self._clock = SystemClock()
        self._source = ProviderSource(
            shared_transport(), lambda asked, key: access(model, asked, key), diagnose
        )
        self._partial = Partial(
            AssistantMessage(
                stop_reason="stop",
                timestamp=self._clock.now_us() // 1000,
                api=described["api"],
                provider=described["provider"],
                model=described["id"],
                usage=public_usage(None),
            )
        )
        self._names = _Names(messages)
        self._events = self._stream()
        self._is_reading = False
        self._ended = asyncio.Event()
        self._final: AssistantMessage | None = None
        self._fault: RuntimeError | None = None

    def __aiter__(self) -> AsyncIterator[AssistantMessageEvent]:
        """Return this stream."""
        return self

    async def __anext__(self) -> AssistantMessageEvent:
        """Return the next event of the answer.

        Raises:
            RuntimeError: the request could not be made: no key, or an unknown api.
        """
        self._is_reading = True
        try:
            return await anext(self._events)
        finally:
            self._is_reading = False

    async def result(self) -> AssistantMessage:
        """Return the final message, reading the rest of the answer first.

        Raises:
            RuntimeError: the request could not be made.
        """
        if self._is_reading:
            await self._ended.wait()
        if self._fault is not None:
            raise self._fault
        async for _ in self._events:
            pass
        if self._final is None:
            raise RuntimeError("event stream closed unexpectedly")
        return self._final

    async def aclose(self) -> None:
        """Close the request at once. Safe to call twice."""
        await self._events.aclose()

    async def _stream(self) -> AsyncGenerator[AssistantMessageEvent]:
        try:
            async for event in self._attempts():
                yield event
        except Failure as failure:
            self._final = _failed(self._partial.message, failure.kind, failure.message)
        except RuntimeError as fault:
            self._fault = fault
            raise
        finally:
            self._ended.set()
        final = self._final
        assert final is not None
        debug(f"{final.stop_reason}: {final.error_message or final.usage}")
        if final.error_message is not None:
            yield AssistantMessageEvent(type="error", reason=final.stop_reason, error=final)
        else:
            yield AssistantMessageEvent(type="done", reason=final.stop_reason, message=final)

    async def _attempts(self) -> AsyncIterator[AssistantMessageEvent]:
        source, told = self._source, None
        body, is_begun, is_shown = source.digest(self._asked), False, False
        for number in range(1, source.attempts_max + 1):
            exchange = self._opened()
            try:
                await self._unless_aborted(exchange.start())
                if not is_shown:
                    is_shown = True
                    yield AssistantMessageEvent(type="start", partial=self._partial.message)
                while pieces := await self._unless_aborted(exchange.read()):
                    is_begun = True
                    for event in self._partial.read(self._names.given(pieces)):
                        yield event
                answer = exchange.finish()
                said = None if is_begun else failed_in_band(answer)
                if said is not None and number < source.attempts_max:
                    raise said
                for event in self._end(answer):
                    yield event
                return
            except Failure as failure:
                if failure.status is not None or told is None or failure.kind == "cancelled":
                    told = failure
                share = int(digest(f"{body}:{self._clock.now_us()}".encode()), 16) / 16**16
                delay_s = retry_delay_s(failure, number, source.attempts_max, share)
                if is_begun or delay_s is None:
                    raise told from None
                debug(f"attempt {number}: {failure.message}; again in {delay_s:.3f} s")
            finally:
                await exchange.aclose()
            await self._unless_aborted(self._clock.sleep(delay_s))

    def _opened(self) -> Exchange:
        try:
            return self._source.attempt(self._asked, self._key)
        except Failure as failure:
            raise RuntimeError(failure.message) from None

    def _end(self, answer: Answer) -> Sequence[AssistantMessageEvent]:
        partial = self._partial
        usage = public_usage(answer.usage)
        if (fault := fault_of(answer)) is not None:
            self._final = _failed(partial.message, *fault)
            self._final.usage = usage
            return ()
        reasons = {"tools": "tool_calls", "length": "length"}
        partial.finish(reasons.get(answer.reason or "", "stop"), usage)
        events = partial.close()
        self._final = partial.message
        if is_overflow(usage, self._described):
            self._final.error_kind = "overflow"
        return events

    async def _unless_aborted(self, work: Awaitable[T]) -> T:
        """Return what *work* gives; give it up when the host's signal is set.

        Raises:
            Failure: of kind ``cancelled``.
        """
        if self._signal is None:
            return await work
        task = asyncio.ensure_future(work)
        aborted = asyncio.ensure_future(self._signal.wait())
        try:
            if not self._signal.is_set():
                await asyncio.wait({task, aborted}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Failure("cancelled", ABORTED)
        finally:
            aborted.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})


class _Names:
    """Gives an id to each call that came without one: ``call_{n}``, new in this conversation."""

    def __init__(self, messages: Sequence[Message]) -> None:
        answers = [message for message in messages if isinstance(message, Assistant)]
        self._known = [b.id for answer in answers for b in answer.blocks if b.op == "call"]
        self._ids: dict[int, str] = {}

    def given(self, pieces: Sequence[Timed]) -> list[tuple[int, str, Any]]:
        return [
            (block, op, {**data, "id": self._id(block, data)} if op == "call" else data)
            for block, op, data, _ in pieces
        ]

    def _id(self, block: int, data: dict[str, Any]) -> str:
        if block not in self._ids:
            name, number = data.get("id"), len(self._known)
            while not name:
                name = f"call_{number}" if f"call_{number}" not in self._known else ""
                number += 1
            self._ids[block] = name
            self._known.append(name)
        return self._ids[block]


def _failed(message: AssistantMessage, kind: str, told: str) -> AssistantMessage:
    """Return *message* as the answer that failed: what was said, without half a call."""
    message.content = [
        block
        for block in message.content
        if not isinstance(block, ToolCallContent) or block.partial_json is None
    ] or [TextContent(text="")]
    message.stop_reason = "aborted" if kind == "cancelled" else "error"
    message.error_message = told
    message.error_kind = error_kind(k.Failure(kind, told))  # type: ignore[arg-type] # a transport's kind
    return message


def _dump(message: Any) -> dict[str, Any]:
    dump = (
        dict(message)
        if isinstance(message, dict)
        else dump_model_dumpable(message, where="context.messages")
    )
    if isinstance(dump.get("content"), str):
        dump["content"] = [{"type": "text", "text": dump["content"]}]
    return dump


def _spec(tool: AgentTool) -> k.ToolSpec:
    return k.ToolSpec(tool.name, tool.description, plain(tool.parameters or {}))


def _given(options: SimpleStreamOptions, model: Model) -> dict[str, Any]:
    dump = options.model_dump(exclude_none=True, exclude={"api_key", "signal"})
    for name, value in dump.items():
        if isinstance(value, float):
            check_json(name, value)
    given = {name: plain(value) for name, value in dump.items()}
    if "reasoning" not in given and (level := thinking_of(ThinkingLevel.OFF, model)):
        given["reasoning"] = level
    return given
