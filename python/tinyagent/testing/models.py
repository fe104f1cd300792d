"""Models that need no key and no network: one says what a script says, one calls every tool.

A script is a row of turns, one per model call::

    scripted("Paris.")                                          # says it, once
    scripted.calls("forecast", city="Paris").text("Sunny.")     # calls a tool, then answers
    scripted(["Let me look.", ("forecast", {"city": "Paris"})], "Sunny.")

Turn *n* answers the *n*-th request that its log records to a model of this name, whatever has
become of the conversation since: an agent that is resumed or forked goes on where its log stands,
many may share one script, and a request that a crash left open is answered as it was. Two models
in one log that shall count apart have names of their own, ``.named("critic")``. Asked without a
log, by a stream function that is called by hand, it counts the answers that it is shown.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Self, get_args

import msgspec

from tinyagent._host.stream import REQUEST
from tinyagent._reading.state import extract_text
from tinyagent.agent_types import (
    AssistantMessage,
    AssistantMessageEvent,
    Context,
    Model,
    SimpleStreamOptions,
    TextContent,
    ThinkingContent,
    ToolCallContent,
    UserMessage,
)
from tinyagent.events.fact import FailureKind
from tinyagent.runtime.clock import Clock, SystemClock
from tinyagent.testing._samples import sample
from tinyagent.testing.answers import Call

Part = str | Call | ThinkingContent
"""What an answer is made of: text, calls, thinking."""
Given = Part | Sequence[Part] | Exception | Callable[[Context], "Part | Sequence[Part]"]
"""One turn: its parts, what the model raises, or who makes the parts from what is asked."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a script.

    Attributes:
        failure: kind and text of what comes instead of an end. chunks: sizes of the pieces, in
            characters, the last repeats; none gives each block whole. delay_s: before each piece.
    """

    parts: tuple[Part, ...] = ()
    made: Callable[[Context], Part | Sequence[Part]] | None = None
    raises: Exception | None = None
    failure: tuple[FailureKind, str] | None = None
    chunks: tuple[int, ...] = ()
    delay_s: float = 0.0
    clock: Clock | None = None


class Script:
    """Turns, and which were given: the play behind a model, shared by its copies."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.turns = tuple(turns)
        self.given: set[int] = set()

    def __deepcopy__(self, memo: dict[int, object]) -> Script:
        return self

    def due(self, context: Context) -> Turn:
        """Return the turn that answers *context*.

        Raises:
            LookupError: the script has no such turn.
        """
        number = REQUEST.get() or 1 + sum(
            isinstance(message, AssistantMessage) for message in context.messages
        )
        if number > len(self.turns):
            turns = "1 turn" if len(self.turns) == 1 else f"{len(self.turns)} turns"
            raise LookupError(
                f"the script has {turns}, and the model was asked for one more; what its log holds "
                "from before counts: give it more turns, or a log of its own"
            )
        self.given.add(number - 1)
        return self.turns[number - 1]


class _Playing(Model):
    """A model that answers by itself."""

    async def __tinyagent_stream__(
        self, model: Model, context: Context, options: SimpleStreamOptions
    ) -> Playback:
        """Return the answer to *context*, as a stream."""
        turn, parts = self._answer(context)
        return Playback(self, turn, parts, context)

    async def __call__(
        self, model: Model, context: Context, options: SimpleStreamOptions
    ) -> Playback:
        """Answer as a stream function, whatever *model* is."""
        return await self.__tinyagent_stream__(model, context, options)

    def _answer(self, context: Context) -> tuple[Turn, Sequence[Part]]:
        raise NotImplementedError


class ScriptedModel(_Playing):
    """A model that says what its script says; ``scripted`` makes it. Each method adds to a copy."""

    provider: str = "testing"
    id: str = "scripted"
    api: str = "scripted"
    script: Any = Script(())

    @classmethod
    def of(cls, turns: Sequence[Turn]) -> Self:
        """Return a model that gives *turns*, as ``strategies.model_turns`` draws them."""
        return cls(script=Script(turns))

    def text(self, said: str) -> Self:
        """Add a turn that says *said*."""
        return self._with(said)

    def calls(self, tool: str, /, **arguments: Any) -> Self:
        """Add a turn that calls one tool; ``turn`` takes several calls."""
        return self._with((tool, arguments))

    def turn(self, *parts: Part) -> Self:
        """Add a turn of several parts: texts, and calls as ``(name, arguments)``."""
        return self._with(list(parts))

    def think(self, thought: str) -> Self:
        """Let the turn that is added next begin by thinking *thought*."""
        return self._with([ThinkingContent(thinking=thought)])

    def fails(self, kind: FailureKind = "overloaded", message: str = "") -> Self:
        """Add a turn that fails; asked again, the model gives the next one."""
        if kind not in get_args(FailureKind):
            known = ", ".join(get_args(FailureKind))
            raise ValueError(f"no failure is of kind {kind!r} (known: {known})")
        return self._with(Turn(failure=(kind, message or f"the script fails here: {kind}")))

    def named(self, name: str) -> Self:
        """Return a copy whose id is *name*: a log counts the requests to it apart."""
        return self.model_copy(update={"id": name})

    def chunks(self, *sizes: int) -> Self:
        """Cut the last turn into pieces of these sizes, in characters; the last size repeats."""
        return self._changed(chunks=sizes)

    def delays(self, seconds: float, *, clock: Clock | None = None) -> Self:
        """Wait before each piece of the last turn, on *clock*."""
        return self._changed(delay_s=seconds, clock=clock)

    def assert_done(self) -> None:
        """Raise unless every turn was given.

        Raises:
            AssertionError: some were not.
        """
        turns, given = self.script.turns, self.script.given
        left = [at + 1 for at in range(len(turns)) if at not in given]
        if left:
            numbers = ", ".join(map(str, left))
            raise AssertionError(f"the model was never asked for turn {numbers} of {len(turns)}")

    def _answer(self, context: Context) -> tuple[Turn, Sequence[Part]]:
        turn = self.script.due(context)
        if turn.raises is not None:
            raise turn.raises
        return turn, _listed(turn.made(context)) if turn.made is not None else turn.parts

    def _with(self, given: Given | Turn) -> Self:
        turns = list(self.script.turns)
        turn = given if isinstance(given, Turn) else turn_of(given)
        if turns and _is_thought(turns[-1]) and turn.made is None and turn.raises is None:
            turn = msgspec.structs.replace(turn, parts=(*turns.pop().parts, *turn.parts))
        return self.model_copy(update={"script": Script([*turns, turn])})

    def _changed(self, **changes: Any) -> Self:
        if not self.script.turns:
            raise ValueError("chunks() and delays() change the turn before them, and there is none")
        *before, last = self.script.turns
        turns = [*before, msgspec.structs.replace(last, **changes)]
        return self.model_copy(update={"script": Script(turns)})


class EchoModel(_Playing):
    """A model that calls every tool once, with arguments that fit, then says what it was told."""

    provider: str = "testing"
    id: str = "echo"
    api: str = "echo"

    def _answer(self, context: Context) -> tuple[Turn, Sequence[Part]]:
        since: list[Any] = []
        for message in context.messages:
            since = [message] if isinstance(message, UserMessage) else [*since, message]
        has_called = any(isinstance(message, AssistantMessage) for message in since)
        if context.tools and not has_called:
            return Turn(), [(tool.name, sample(tool.parameters)) for tool in context.tools]
        return Turn(), [extract_text(since[0]) if since else ""]


class _Scripted:
    """Makes scripted models."""

    def __call__(self, *turns: Given) -> ScriptedModel:
        """Return a model that gives *turns*, one per call."""
        return ScriptedModel.of([turn_of(turn) for turn in turns])

    def text(self, said: str) -> ScriptedModel:
        """Return a model whose first turn says *said*."""
        return self().text(said)

    def think(self, thought: str) -> ScriptedModel:
        """Return a model whose first turn begins by thinking *thought*."""
        return self().think(thought)

    def calls(self, tool: str, /, **arguments: Any) -> ScriptedModel:
        """Return a model whose first turn calls a tool."""
        return self().calls(tool, **arguments)

    def turn(self, *parts: Part) -> ScriptedModel:
        """Return a model whose first turn has several parts."""
        return self().turn(*parts)

    def fails(self, kind: FailureKind = "overloaded", message: str = "") -> ScriptedModel:
        """Return a model whose first turn fails."""
        return self().fails(kind, message)


scripted = _Scripted()
"""Makes a model from its turns: ``scripted("Paris.")``."""


def echo() -> EchoModel:
    """Return a model that calls every tool once, then says what it was told."""
    return EchoModel()


def turn_of(given: Given) -> Turn:
    """Return the turn that *given* is."""
    if isinstance(given, Exception):
        return Turn(raises=given)
    if callable(given) and not isinstance(given, ThinkingContent):
        return Turn(made=given)
    return Turn(parts=tuple(_listed(given)))


def _listed(given: Part | Sequence[Part]) -> Sequence[Any]:
    parts: Sequence[Any] = [given]
    if isinstance(given, (list, tuple)) and not _is_call(given):
        parts = given
    for part in parts:
        _block(part, 1)  # raises, where the script is written, for what is no part
    return parts


def _is_call(given: object) -> bool:
    """Whether *given* is a call, not a row of parts: names, then the arguments."""
    match given:
        case (str(), arguments) | (str(), str(), arguments) if isinstance(given, tuple):
            return isinstance(arguments, (dict, str))
        case _:
            return False


def _is_thought(turn: Turn) -> bool:
    parts = turn.parts
    return bool(parts) and all(isinstance(part, ThinkingContent) for part in parts)


class Playback:
    """One answer, as a stream. Its tokens are words: of what was asked, and of what it says."""

    def __init__(self, model: Model, turn: Turn, parts: Sequence[Part], context: Context) -> None:
        calls = _calls_in(context)
        content: list[TextContent | ThinkingContent | ToolCallContent | None] = []
        for part in parts:
            block = _block(part, calls + 1)
            calls += isinstance(block, ToolCallContent)
            content.append(block)
        is_call = any(isinstance(block, ToolCallContent) for block in content)
        self._turn = turn
        self._message = AssistantMessage(
            content=content,
            stop_reason="tool_calls" if is_call else "stop",
            api=model.api,
            provider=model.provider,
            model=model.id,
            usage=_usage(context, content),
        )
        if turn.failure is not None:
            kind, told = turn.failure
            self._message = self._message.model_copy(
                update={"stop_reason": "error", "error_kind": kind, "error_message": told}
            )
        self._events = self._played()

    def __aiter__(self) -> AsyncIterator[AssistantMessageEvent]:
        """Return the events."""
        return self

    async def __anext__(self) -> AssistantMessageEvent:
        """Return the next event."""
        return await anext(self._events)

    async def result(self) -> AssistantMessage:
        """Return the whole answer."""
        return self._message

    async def _played(self) -> AsyncIterator[AssistantMessageEvent]:
        clock = self._turn.clock or SystemClock()
        for at, block in enumerate(self._message.content):
            kind, text = _said(block)
            call = block if isinstance(block, ToolCallContent) else None
            for piece in _pieces(text, self._turn.chunks):
                if self._turn.delay_s:
                    await clock.sleep(self._turn.delay_s)
                else:
                    await asyncio.sleep(0)
                yield AssistantMessageEvent(
                    type=kind, content_index=at, delta=piece, tool_call=call
                )
        if self._message.stop_reason != "error":
            yield AssistantMessageEvent(type="done", reason=self._message.stop_reason)


def _block(part: Any, number: int) -> TextContent | ThinkingContent | ToolCallContent:
    match part:
        case str():
            return TextContent(text=part)
        case ThinkingContent():
            return part
        case (str(name), arguments):
            call_id = f"c{number}"
        case (str(call_id), str(name), arguments):
            pass
        case _:
            raise TypeError(f"a script's turn has texts and (name, arguments), got {part!r}")
    if isinstance(arguments, str):  # as it is, fit or not
        return ToolCallContent(id=call_id, name=name, partial_json=arguments)
    return ToolCallContent(id=call_id, name=name, arguments=arguments)


def _said(block: object) -> tuple[Any, str]:
    match block:
        case TextContent(text=text):
            return "text_delta", text or ""
        case ThinkingContent(thinking=text):
            return "thinking_delta", text or ""
        case ToolCallContent(arguments=arguments, partial_json=text):
            written = text if text is not None else json.dumps(arguments, ensure_ascii=False)
            return "tool_call_delta", written
        case _:
            raise TypeError(f"no block of an answer: {block!r}")


def _pieces(text: str, sizes: Sequence[int]) -> list[str]:
    pieces: list[str] = []
    start = 0
    while start < len(text):
        size = sizes[min(len(pieces), len(sizes) - 1)] if sizes else len(text)
        pieces.append(text[start : start + max(size, 1)])
        start += max(size, 1)
    return pieces or [""]


def _calls_in(context: Context) -> int:
    return sum(
        isinstance(block, ToolCallContent)
        for message in context.messages
        if isinstance(message, AssistantMessage)
        for block in message.content
    )


def _usage(context: Context, content: Sequence[object]) -> dict[str, Any]:
    asked = [context.system_prompt]
    for message in context.messages:
        asked += [getattr(b, "text", None) or "" for b in getattr(message, "content", ())]
    told = sum(len(text.split()) for text in asked)
    said = sum(len(_said(block)[1].split()) for block in content)
    return {"input": told, "output": said, "total_tokens": told + said}
