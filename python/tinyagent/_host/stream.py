"""A stream function of the host, as a source of answers.

Its events and its result travel beside the records, so listeners get the very objects; the log
gets the deltas. What it says last counts: where the result is not what the deltas said, the
deltas are void and the result is put on record.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any

import msgspec

from tinyagent._host.host import HostHooks, awaited
from tinyagent._host.mended import Mender, call_at
from tinyagent._reading.bodies import Bodies
from tinyagent._reading.partial import arguments_of, public_usage
from tinyagent.actors.providers.hosted import Description
from tinyagent.actors.streamer import Hear, Heard, relayed
from tinyagent.actors.tools import GRACE_S
from tinyagent.actors.transports import Answer, Failure, Timed
from tinyagent.actors.transports.failures import ABORTED
from tinyagent.agent_types import (
    AgentMessage,
    AssistantMessage,
    AssistantMessageEvent,
    Context,
    SimpleStreamOptions,
    TextContent,
    ThinkingContent,
    ToolCallContent,
)
from tinyagent.events import View, plain
from tinyagent.events.messages import Custom, Message
from tinyagent.runtime.clock import Clock

_DELTAS = {"text_delta": "text", "thinking_delta": "think", "tool_call_delta": "args"}
REQUEST: ContextVar[int] = ContextVar("request", default=0)
"""Which request of its log, to a model of this name, a stream function answers; 0 without a log."""
_REASONS = {"tool_calls": "tools", "tool_use": "tools", "length": "length"}


class HostedSource:
    """Calls one stream function per model call.

    Args:
        stream_fn, model, options: ask the host for these at each call.

    Attributes:
        raised: the last exception of a stream function.
    """

    attempts_max = 1
    grace_s = GRACE_S

    def __init__(
        self,
        *,
        stream_fn: Callable[[], Callable[..., Any]],
        model: Callable[[], Any],
        options: Callable[[str | None], SimpleStreamOptions],
        bodies: Bodies,
        hooks: HostHooks,
        signal: Callable[[], asyncio.Event],
        clock: Clock,
    ) -> None:
        self.signal = signal
        self.raised: Exception | None = None
        self._description = Description()
        self._seen: list[Message] | None = None
        self._seen_count = 0
        self._shown: list[AgentMessage] = []
        self._stream_fn = stream_fn
        self._model = model
        self._options = options
        self._bodies = bodies
        self._hooks = hooks
        self._clock = clock

    def digest(self, asked: View) -> str:
        """Return the digest of what the function is asked."""
        return self._description.digest(asked)

    def attempt(self, asked: View, key: str | None) -> _Attempt:
        """Return one call of the function, not made yet."""
        return _Attempt(self, asked, key)

    async def open(self, asked: View, key: str | None) -> Any:
        """Call the function; what it raises is the failure of the call."""
        messages, self._hooks.shaped = self._hooks.shaped, None
        if messages is None:
            messages = await self._hooks.marked(self._public(asked))
        REQUEST.set(asked.number)
        context = Context(asked.settings.system, messages, self._hooks.tools())  # type: ignore[arg-type] # any sequence of tools
        response = await awaited(self._stream_fn()(self._model(), context, self._options(key)))
        if not hasattr(response, "__aiter__"):
            kind = type(response).__name__
            raise TypeError(f"stream_fn returned {kind}, expected a StreamResponse")
        return response

    def _public(self, asked: View) -> list[AgentMessage]:
        """Return the messages that a model understands; those met before are not looked up."""
        if asked.messages is not self._seen or asked.length < self._seen_count:
            self._seen, self._seen_count, self._shown = asked.messages, 0, []
        for message in asked.messages[self._seen_count : asked.length]:
            if not isinstance(message, Custom):
                self._shown.append(self._bodies.of(message))
        self._seen_count = asked.length
        return list(self._shown)

    def blank(self) -> AssistantMessage:
        """Return an answer of the model that says nothing yet."""
        model = self._model()
        return AssistantMessage(
            stop_reason="stop",
            api=model.api,
            provider=model.provider,
            model=model.id,
            usage=public_usage(None),
        )

    def now_us(self) -> int:
        """Return the time, for the gaps between deltas."""
        return self._clock.now_us()


class _Attempt:
    def __init__(self, source: HostedSource, asked: View, key: str | None) -> None:
        self._source = source
        self._asked = asked
        self._key = key
        self._said: dict[int, list[str]] = {}
        self._named: set[int] = set()
        self._held: list[AssistantMessageEvent] = []
        self._mender = Mender(source.blank)
        self._at_us = source.now_us()
        self.live: AssistantMessage | None = None

    async def play(self, hear: Hear) -> None:
        """Call the function; give *hear* what its stream says."""
        await relayed(self._said_by(), hear)

    async def _said_by(self) -> AsyncIterator[Heard]:
        source = self._source
        try:
            async for heard in self._listen():
                yield heard
        except Exception as error:
            source.raised = error
            kind = "cancelled" if source.signal().is_set() else "host"
            raise Failure(kind, str(error) or type(error).__name__) from error

    async def _listen(self) -> AsyncIterator[Heard]:
        response = await self._source.open(self._asked, self._key)
        async for event in response:
            if not isinstance(event, AssistantMessageEvent):
                kind = type(event).__name__
                raise TypeError(f"Unsupported assistant event payload: {kind}")
            if event.type in ("done", "error"):
                break
            if not event.type:
                continue
            event = self._mender.mended(event)
            self._held.append(event)
            pieces = self._pieces(event)
            if pieces:
                yield Heard(pieces, self._take_held())
        message = await response.result()
        if not isinstance(message, AssistantMessage):
            kind = type(message).__name__
            raise TypeError(f"Unsupported assistant message payload: {kind}")
        self.live = message
        rest = self._rest(message)
        if rest is None:
            self._said, self._named = {}, set()
            yield Heard(self._whole(message), self._take_held(), void=True)
        elif rest or self._held:
            yield Heard(rest, self._take_held())

    def finish(self) -> Answer:
        message = self.live
        assert message is not None
        usage = plain(message.usage) if isinstance(message.usage, dict) else None
        if message.stop_reason in ("error", "aborted"):
            aborted = message.stop_reason == "aborted"
            told = message.error_message or (ABORTED if aborted else "")
            kind = "cancelled" if aborted else message.error_kind or "host"
            return Answer(reason=None, usage=usage, failure=(kind, told))
        reason = _REASONS.get(message.stop_reason or "", "end")
        return Answer(reason=reason, usage=usage)

    async def aclose(self) -> None:
        """Nothing to let go of: the function's task is this one."""

    def _take_held(self) -> list[AssistantMessageEvent]:
        held, self._held = self._held, []
        return held

    def _gap_us(self) -> int:
        now = self._source.now_us()
        gap, self._at_us = now - self._at_us, now
        return gap

    def _pieces(self, event: AssistantMessageEvent) -> list[Timed]:
        op = _DELTAS.get(event.type or "")
        if op is None or (not event.delta and op != "args"):
            return []
        block = event.content_index or 0
        pieces: list[Timed] = []
        if op == "args" and block not in self._named:
            pieces.append((block, "call", call_at(event, block), self._gap_us()))
            self._named.add(block)
        self._said.setdefault(block, [op]).append(event.delta or "")
        pieces.append((block, op, event.delta or "", self._gap_us()))
        return pieces

    def _rest(self, message: AssistantMessage) -> list[Timed] | None:
        """Return what the result says beyond the deltas; None if it says something else."""
        rest: list[Timed] = []
        for index, block in enumerate(message.content):
            whole = self._block(index, block)
            said = self._said.get(index)
            if said is None:
                rest += whole
                continue
            op, text = said[0], "".join(said[1:])
            final = next((piece[2] for piece in whole if piece[1] == op), None)
            if not isinstance(final, str):
                return None
            if op == "args":
                if arguments_of(text) != arguments_of(final):
                    return None
                if isinstance(block, ToolCallContent) and index in self._named:
                    rest.append((index, "call", {"id": block.id, "name": block.name}, 0))
            elif not final.startswith(text):
                return None
            elif final != text:
                rest.append((index, op, final[len(text) :], self._gap_us()))
            rest += [piece for piece in whole if piece[1] == "sign"]
        return None if any(i >= len(message.content) for i in self._said) else rest

    def _whole(self, message: AssistantMessage) -> list[Timed]:
        return [
            piece
            for index, block in enumerate(message.content)
            for piece in self._block(index, block)
        ]

    def _block(self, index: int, block: object) -> list[Timed]:
        match block:
            case TextContent():
                return [(index, "text", block.text or "", 0)]
            case ThinkingContent():
                signed: list[Timed] = []
                if block.thinking_signature:
                    signed = [(index, "sign", block.thinking_signature, 0)]
                return [(index, "think", block.thinking or "", 0), *signed]
            case ToolCallContent():
                raw = block.partial_json if not block.arguments else None
                text = raw or msgspec.json.encode(plain(block.arguments)).decode()
                call = {"id": block.id or "", "name": block.name or ""}
                return [(index, "call", call, 0), (index, "args", text, 0)]
            case _:
                return []
