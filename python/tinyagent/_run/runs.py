"""A run to watch, and what came of it."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic

import msgspec

from tinyagent._reading.partial import arguments_of
from tinyagent._reading.state import extract_text
from tinyagent.actors.waiting import ended
from tinyagent.agent_types import AgentEndEvent, AgentEvent, AgentMessage, AssistantMessage
from tinyagent.events import Conversation, Record, kinds as k
from tinyagent.runtime.errors import TinyAgentError

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from tinyagent._reading.vocabulary import Event
    from tinyagent._run.binding import Binding
    from tinyagent._run.engine import Engine
    from tinyagent._run.played import Played
    from tinyagent.runtime.journal import Journal

    Output = TypeVar("Output", default=Any)
else:
    from typing import TypeVar

    Output = TypeVar("Output")

T = TypeVar("T")
_AGAIN = "; `await agent.continue_()` asks the model again, or"
_ENDS = {"error": f"the last run failed{_AGAIN}", "aborted": f"the last run was cancelled{_AGAIN}"}


def nothing_error(messages: Sequence[AgentMessage]) -> RuntimeError:
    """Return the error of who goes on from *messages* without one of his own."""
    why = "the last run ended with an answer;" if messages else "nothing was said yet;"
    if messages and isinstance(last := messages[-1], AssistantMessage):
        why = _ENDS.get(last.stop_reason or "", why)
    return RuntimeError(f"nothing to go on from: {why} give run() a message")


class RunResult(msgspec.Struct, Generic[Output], frozen=True):
    """What came of one run.

    Attributes:
        outcome: ``answered stopped failed cancelled over_budget paused``.
        ref: where the run ended, as ``<log id>:<seq>``.
        last, added: return what ``message`` and ``messages`` are. given: what ``output`` is, if
            there is anything.
    """

    outcome: str
    ref: str
    last: Callable[[], AssistantMessage | None]
    added: Callable[[], list[AgentMessage]]
    given: Output | msgspec.UnsetType = msgspec.UNSET

    def __repr__(self) -> str:
        return f"RunResult(outcome={self.outcome!r}, message={self.message!r}, ref={self.ref!r})"

    @property
    def message(self) -> AssistantMessage | None:
        """The last answer; None if there was none."""
        return self.last()

    @property
    def messages(self) -> list[AgentMessage]:
        """All that the run added to the conversation."""
        return self.added()

    @property
    def text(self) -> str:
        """The text of the last answer; empty if there is none."""
        return extract_text(self.message)

    @property
    def output(self) -> Output:
        """The answer, of the type that ``run(output=...)`` was given.

        Raises:
            NoOutputError: none was given, or the run did not end with an answer.
        """
        if self.given is msgspec.UNSET:
            raise NoOutputError(self)
        return self.given


def recorded_result(
    end: Record, log: str, events: Callable[[], Iterable[AgentEvent]]
) -> RunResult[Any]:
    """Return what came of the run that ended in record *end* of *log*.

    *events*: returns the public events up to there, from which messages are read when asked for.
    """
    assert isinstance(end.event, k.RunEnded)

    def added() -> list[AgentMessage]:
        ends = [event.messages for event in events() if isinstance(event, AgentEndEvent)]
        return list(ends[-1])

    def last() -> AssistantMessage | None:
        return next((m for m in reversed(added()) if isinstance(m, AssistantMessage)), None)

    return RunResult(end.event.outcome, f"{log}:{end.seq}", last, added)


class NoOutputError(TinyAgentError):
    """There is no output: none was asked for, or the run ended without. ``result``: what came."""

    def __init__(self, result: RunResult) -> None:
        super().__init__(
            f"the run has no output: it ended {result.outcome} ({result.ref}); "
            "give run() output=, and look at .outcome first"
        )
        self.result = result


class RunFailedError(TinyAgentError):
    """The run failed. ``result`` is what came of it.

    Its ``__cause__`` is a ``ProviderError`` if a model call failed.
    """

    def __init__(self, result: RunResult) -> None:
        message = result.message
        told = message.error_message if message is not None else None
        super().__init__(f"{told or 'the run failed'} ({result.ref})")
        self.result = result


class Run(Generic[T, Output]):
    """One run of an agent, to watch: an async iterator, and an async context manager.

    It begins when it is entered, or when its first item is asked for. Leaving it early, by
    ``break`` out of its context or by ``aclose``, cancels the run, on record, and waits for its
    end. Letting go of it cancels the run too: the agent's next one waits for that end. Who is
    slow to read slows the model down, and loses nothing.
    """

    _journal: Journal  # of the run that has begun, as is this
    _conversation: Conversation

    def __init__(
        self,
        begin: Callable[[], Awaitable[Played]],
        engine: Callable[[], Engine],
        pick: Callable[[Record], T],
        pick_call: Callable[[Record, Conversation], T] | None,
        *,
        let_go: Callable[[], None],
        leave: Callable[[], None],
        below: bool = False,
    ) -> None:
        self._begin = begin
        self._engine = engine
        self._pick = pick
        self._pick_call = pick_call
        self._take: Callable[[], Record | None] = _nothing_yet
        self._news: Callable[[], Awaitable[None] | None] = _nothing_yet
        self._let_go = let_go
        self._leave = leave
        self._below = below
        self._binding: Binding | None = None
        self._playing: asyncio.Task[None] | None = None
        self._results: list[RunResult[Output]] = []

    @property
    def result(self) -> RunResult[Output]:
        """What came of the run, whatever it was.

        Raises:
            RuntimeError: it has not ended.
        """
        if not self._results:
            raise RuntimeError("the run has not ended: its result is there after the last event")
        return self._results[0]

    def __aiter__(self) -> Run[T, Output]:
        """Return this run."""
        return self

    async def __anext__(self) -> T:
        """Return the next item.

        Raises:
            RuntimeError: the run cannot begin: see ``Agent.run``.
        """
        while (record := self._take()) is None:
            if (news := self._news()) is None:
                await self._begin_or_end()
            else:
                await news
        if type(record.event) in _LOOKED_AT:
            if isinstance(record.event, k.RunEnded):
                await self._journal.reached(record)  # an end is shown when it is safe
            elif self._pick_call is not None:
                return self._pick_call(record, self._conversation)
        return self._pick(record)

    async def _begin_or_end(self) -> None:
        """Begin the run if it has not; else it has ended."""
        if self._playing is None:
            await self._started()
            return
        await self._playing
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Cancel the run if it is under way, and wait for its end."""
        playing = self._playing
        if self._binding is None or playing is None or playing.done():
            return
        self._binding.cancel("closed")
        await ended(playing)
        await playing

    async def __aenter__(self) -> Run[T, Output]:
        """Begin the run."""
        await self._started()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Cancel the run if it is under way, and wait for its end."""
        await self.aclose()

    async def _started(self) -> asyncio.Task[None]:
        if self._playing is not None:
            return self._playing
        played = await self._begin()
        binding = self._binding = self._engine().binding
        binding.open()
        session = binding.session
        self._journal, self._conversation = session.journal, session.conversation
        mailbox = session.watch("run", below=self._below)
        self._take, self._news = mailbox.take, mailbox.news
        try:
            # Begun here: from now on the agent is busy, before anybody else had a turn.
            await played.begin()
        except BaseException:
            session.unwatch(mailbox)
            raise
        playing = self._playing = asyncio.create_task(
            _play(played, self._results), name="tinyagent watched run"
        )
        # Who breaks out of a loop over it, and was not in its context, does not hold it any more.
        abandon = weakref.finalize(self, _abandon, playing, binding, self._leave)
        abandon.atexit = False
        let_go = self._let_go

        def end(_: object) -> None:
            abandon.detach()
            session.unwatch(mailbox)
            let_go()

        playing.add_done_callback(end)
        return playing


async def _play(played: Played, results: list[RunResult[Any]]) -> None:
    """Let the run go on to its end; it holds no reference to who watches."""
    try:
        results.append(await played.play())
    except RunFailedError as error:
        results.append(error.result)


def _abandon(playing: asyncio.Task[None], binding: Binding, leave: Callable[[], None]) -> None:
    """Cancel the run that nobody watches any more."""
    if not playing.done():
        with suppress(RuntimeError):  # a closed loop runs nothing
            playing.get_loop().call_soon_threadsafe(binding.cancel, "closed")
            leave()


def _nothing_yet() -> None:
    return None


_LOOKED_AT = frozenset({k.RunEnded, k.ToolRequested})

event_of: Callable[[Record], Event] = attrgetter("event")
"""Returns the event of a record."""


def as_it_is(record: Record) -> Record:
    """Return *record* as it is."""
    return record


def call_of(record: Record, conversation: Conversation) -> Event:
    """Return the event of a call with its arguments, which the log has in the answer before."""
    event = record.event
    assert isinstance(event, k.ToolRequested)
    given = event.arguments or conversation.given.get(event.call_id)
    if given is None and (call := conversation.calls.get(event.call_id)) is not None:
        given = arguments_of(call.arguments)
    return msgspec.structs.replace(event, arguments=given)
