"""Asks models: joins a source of answers to the log. Every attempt is an event.

A source knows how one request becomes an answer: a provider over a transport, or a stream
function of the host. The streamer knows the rest: ids unique in the log, what is retried and
when, what an answer that was cancelled, cut off or refused leaves behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple, Protocol

from tinyagent.actors import transports
from tinyagent.actors.limits import is_cut
from tinyagent.actors.speech import Speech, logged
from tinyagent.actors.transports import Answer, Exchange, Player, Timed, joined, played
from tinyagent.actors.transports.failures import ABORTED
from tinyagent.events import Conversation, Event, Record, View, digest, kinds as k
from tinyagent.events.closing import limit_text
from tinyagent.runtime.clock import Clock
from tinyagent.runtime.loops import Live, Voice

INTERRUPTED = "the process stopped while the answer arrived"
KEY = "get_api_key"
REPLACED = "the stream's result is not what its deltas said"
RETRY_AFTER_S_MAX = 120.0
"""A longer wait is a refusal (openai-python 3.54 gives up there too)."""


class Heard(NamedTuple):
    """What a source had to say: pieces of the answer, and the host's own objects for them.

    ``void``: everything said before is not part of the answer.
    """

    pieces: Sequence[Timed]
    live: object = None
    void: bool = False


class Hear(Protocol):
    """Is told what ``Heard`` is, joined; returns what to wait for before it is told more."""

    def __call__(
        self, pieces: list[k.Piece], live: object = None, void: bool = False
    ) -> Awaitable[None] | None:
        """Put it on record; the list is its own now."""
        ...


async def relayed(said: AsyncIterable[Heard], hear: Hear) -> None:
    """Let *hear* have all that is *said*."""
    async for heard in said:
        if (room := hear(joined(heard.pieces), heard.live, heard.void)) is not None:
            await room


Attempt = Exchange | Player[Hear]
"""One request under way."""


class Source(Protocol):
    """Makes attempts. ``attempts_max`` counts the first one."""

    @property
    def attempts_max(self) -> int:
        """How often one request is sent at most, before its first delta."""
        ...

    def digest(self, asked: View) -> str:
        """Return the digest of the request. Pure."""
        ...

    def attempt(self, asked: View, key: str | None) -> Attempt:
        """Return a request that is not sent yet.

        Raises:
            transports.Failure: there is none.
        """
        ...

    @property
    def grace_s(self) -> float:
        """Time that a cancelled attempt has to end by itself."""
        ...


KeyOf = Callable[[str], Awaitable[str | None]]


class Streamer:
    """The worker that answers ``model.requested``.

    Args:
        conversation: the fold that is evolved ahead of every mailbox.
        key_of: the host's key resolver, if it has one.
        room: returns what to wait for behind a record, if who shows the answer is behind.
        reopened: how often an earlier process made each of the calls that it left open.
        recorded: the fold of the log, where that is masked and *conversation* is not; requests
            are digested as it knows them.
        keeps_interrupted: such a call fails, and what was heard of it is kept; it is not repeated.
    """

    name = "model"
    requests = frozenset({k.ModelRequested.kind})
    _voice: Voice  # of the call that is answered

    def __init__(
        self,
        source: Source,
        conversation: Conversation,
        clock: Clock,
        *,
        log_id: str,
        key_of: KeyOf | None = None,
        room: Callable[[Record], Awaitable[None] | None] | None = None,
        reopened: Mapping[int, int] | None = None,
        recorded: Conversation | None = None,
        keeps_interrupted: bool = False,
    ) -> None:
        self.source = source
        self.key_of = key_of
        self._conversation = conversation
        self._recorded = recorded or conversation
        self._clock = clock
        self._log_id = log_id
        self._room = room or (lambda record: None)
        self._speech = Speech(conversation)
        self._reopened = reopened or {}
        self._keeps_interrupted = keeps_interrupted
        self._cancelled = False
        self._why = ABORTED
        self._has_ended = False
        self._sent = 0
        self._given_up: transports.Failure | None = None
        self._task: asyncio.Task[Any] | None = None

    def is_asked(self, event: Event) -> bool:
        """Say whether *event* asks for an answer of the model."""
        return isinstance(event, k.ModelRequested)

    def fold(self, record: Record) -> None:
        """Cancel what is under way when the host asks for it."""
        if is_cut(record.event):
            self._cancelled = True
            if isinstance(record.event, k.BudgetExceeded):
                self._why = limit_text(record.event)
            asyncio.get_running_loop().call_later(self.source.grace_s, self._cut_off)

    def _cut_off(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def answer(self, record: Record, voice: Voice) -> Coroutine[Any, Any, None]:
        """Tell retries and the end of one model call; its deltas are said as they arrive."""
        self._voice = voice
        asks = self.key_of is not None and not self._cancelled and record.seq not in self._reopened
        if asks:
            voice.say(k.HostAsked(KEY))
        # The request is built while its record is on its way to the disk.
        recorded = self._recorded.asked
        request = self.source.digest(recorded)
        return self._call(record, self._conversation.asked, recorded, request, has_asked=asks)

    async def _call(
        self, record: Record, asked: View, recorded: View, request: str, *, has_asked: bool
    ) -> None:
        if self._cancelled and not has_asked:
            await self._voice.tell(
                k.ModelFailed(k.Failure("cancelled", self._why), request=request)
            )
            return
        others: list[dict[str, Any]] = asked.settings.options.get("fallback") or []
        self._has_ended, self._sent = False, self._reopened.get(record.seq, 0)
        if self._sent:
            interrupted = k.Failure("interrupted", INTERRUPTED)
            if self._keeps_interrupted:
                await self._voice.tell(k.ModelFailed(interrupted, request=request))
                return
            first = asked.settings.model if others else None
            await self._voice.tell(k.ModelRetrying(self._sent + 1, interrupted, 0.0, first))
        await self._ask(record, asked, request, len(others), has_asked=has_asked)
        for at, model in enumerate(others, 1):
            if self._given_up is None:
                return
            asked = asked.to(model)
            again = self._sent + 1, logged(self._given_up), 0.0
            digested = self.source.digest(recorded.to(model))
            await self._voice.tell(k.ModelRetrying(*again, model, digested))
            await self._ask(record, asked, request, len(others) - at, has_asked=False)

    async def _ask(
        self, record: Record, asked: View, request: str, left: int, *, has_asked: bool
    ) -> None:
        """Ask one model. *left*: how many others may be asked if it does not answer."""
        self._given_up = None
        key: str | None = None
        if self.key_of is not None:
            if not has_asked:
                # While this is being written nothing is cut off: the task would end unheard.
                await self._voice.tell(k.HostAsked(KEY))
            provider = asked.settings.model.get("provider", "")
            answered, key = await self._key(self.key_of, provider)
            await self._voice.tell(answered)
            if isinstance(answered, k.HostFailed):
                await self._voice.tell(k.ModelFailed(answered.failure, request=request))
                return
        if self._cancelled:
            failure = k.Failure("cancelled", self._why)
            await self._voice.tell(k.ModelFailed(failure, request=request))
            return
        self._task = self._voice.task
        try:
            await self._attempts(record, asked, key, request, left)
        except asyncio.CancelledError:
            cut = self._cut()
            if cut is None:
                raise
            if not self._has_ended:
                await self._voice.tell(k.ModelFailed(cut, request=request))
        finally:
            self._task = None

    async def _key(
        self, key_of: KeyOf, provider: str
    ) -> tuple[k.HostAnswered | k.HostFailed, str | None]:
        """Ask for the key, unless the run was cancelled; return the host's answer, and the key."""
        if self._cancelled:
            return k.HostFailed(KEY, k.Failure("cancelled", self._why)), None
        self._task = asyncio.current_task()
        try:
            key = await key_of(provider)
        except asyncio.CancelledError:
            failure = self._cut()
            if failure is None:
                raise
            return k.HostFailed(KEY, failure), None
        except Exception as error:
            return k.HostFailed(KEY, k.Failure("host", str(error) or type(error).__name__)), None
        finally:
            self._task = None
        return k.HostAnswered(KEY, found=bool(key)), key

    def _cut(self) -> k.Failure | None:
        """Return why the call was cut off; None if its task is, as the whole session is ended."""
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            return k.Failure("host", "the model call cancelled itself")
        if not self._cancelled:
            return None
        task.uncancel()
        return k.Failure("cancelled", self._why)

    def _hear(
        self, pieces: list[k.Piece], live: object = None, void: bool = False
    ) -> Awaitable[None] | None:
        voice = self._voice
        if void:
            self._speech = Speech(self._conversation)
            voice.say(k.ModelRetrying(self._sent, k.Failure("host", REPLACED)))
        speech = self._speech
        is_first = not speech.begun and bool(pieces) and pieces[0][1] != "call"
        room = self._room(voice.say(k.ModelDelta(speech.take(pieces)), live))
        # Who waits for words sees their beginning before the rest is taken in.
        return asyncio.sleep(0) if room is None and is_first else room

    async def _attempts(
        self, record: Record, asked: View, key: str | None, request: str, left: int
    ) -> None:
        told: transports.Failure | None = None
        for number in count(1):
            attempt: Attempt | None = None
            self._sent += 1
            self._speech = Speech(self._conversation)
            try:
                attempt = self.source.attempt(asked, key)
                await played(attempt, self._hear)
                answer, live = attempt.finish(), getattr(attempt, "live", None)
                failure = failed_in_band(answer)
                if failure is None:
                    await self._end(self._speech.end(answer, request), live)
                    return
                told = failure
                delay_s = self._delay_s(failure, number, record.seq, asked)
                if delay_s is None and not self._goes_on(told, left, asked):
                    await self._end(self._speech.end(answer, request), live)
                    return
            except transports.Failure as raised:
                failure = raised
                if failure.status is not None or told is None:
                    told = failure
                delay_s = self._delay_s(failure, number, record.seq, asked)
                if delay_s is None and not self._goes_on(told, left, asked):
                    live = getattr(failure, "live", None)
                    await self._end(self._speech.fail(told, request), live)
                    return
            finally:
                if attempt is not None:
                    await attempt.aclose()
            if delay_s is None:
                self._given_up = told
                return
            again = k.ModelRetrying(self._sent + 1, logged(failure), round(delay_s, 3))
            await self._voice.tell(again)
            await self._clock.sleep(delay_s)

    def _end(self, event: Event, live: object) -> Coroutine[Any, Any, None]:
        self._has_ended = True
        return self._voice.tell(event if live is None else Live(event, live))

    def _goes_on(self, failure: transports.Failure, left: int, asked: View) -> bool:
        """Say whether another model is asked: there is one, and it may do better."""
        is_void = not self._speech.begun or bool(asked.settings.options.get("retry_after_delta"))
        return bool(left) and is_void and not self._cancelled and failure.kind in _ELSEWHERE

    def _delay_s(
        self,
        failure: transports.Failure,
        number: int,
        seq: int,
        asked: View,
    ) -> float | None:
        """Return how long to wait before the next attempt, None if there is none.

        After a delta was shown there is none, unless the host said that it can take one
        (``retry_after_delta``). The share is derived from the place in the log, so that a session
        recorded twice is the same twice.
        """
        options = asked.settings.options
        if self._cancelled or (self._speech.begun and not options.get("retry_after_delta")):
            return None
        share = int(digest(f"{self._log_id}:{seq}:{number}".encode()), 16) / 16**16
        longest_s = float(options.get("retry_delay_s_max", RETRY_AFTER_S_MAX))
        return retry_delay_s(failure, number, self.source.attempts_max, share, longest_s)


def retry_delay_s(
    failure: transports.Failure,
    number: int,
    attempts_max: int,
    share: float,
    longest_s: float = RETRY_AFTER_S_MAX,
) -> float | None:
    """Return how long to wait after attempt *number* failed, None if it was the last.

    The back-off is openai-python's: min(0.5 * 2^n, 8) s less up to a quarter, *share* of which is
    taken: from 0 to 1. A provider that asks for more than *longest_s* has refused.
    """
    if not failure.retryable or number >= attempts_max:
        return None
    if failure.retry_after_s is not None:
        return failure.retry_after_s if failure.retry_after_s <= longest_s else None
    return min(float(min(0.5 * 2 ** (number - 1), 8.0) * (1 - share / 4)), longest_s)


def failed_in_band(answer: Answer) -> transports.Failure | None:
    """Return the failure that an answer with status 200 is, if it may pass; None if it is none."""
    if answer.failure is None or answer.failure[0] not in _MAY_PASS:
        return None
    return transports.Failure(*answer.failure, retryable=True)


_ELSEWHERE = frozenset({"network", "overloaded", "timeout", "refused", "interrupted"})
_MAY_PASS = frozenset({"overloaded", "network", "interrupted"})
