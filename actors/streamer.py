"""Asks models: joins a source of answers to the log. Every attempt is an event.

A source knows how one request becomes an answer: a provider over a transport, or a stream
function of the host. The streamer knows the rest: ids unique in the log, what is retried and
when, what an answer that was cancelled, cut off or refused leaves behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from tinyagent.actors import transports
from tinyagent.actors.transports import Answer, Timed
from tinyagent.actors.transports.failures import ABORTED, fault_of
from tinyagent.events import Conversation, Event, Record, View, canonical, digest, kinds as k
from tinyagent.runtime.clock import Clock
from tinyagent.runtime.loops import Live, Say

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


class Attempt(Protocol):
    """One request under way."""

    def __aiter__(self) -> AsyncIterator[Heard]:
        """Yield the answer as it arrives.

        Raises:
            transports.Failure: there is no answer, or no more of it.
        """
        ...

    def finish(self) -> tuple[Answer, object]:
        """Return how the answer ended, and the host's own message for it."""
        ...

    async def aclose(self) -> None:
        """Let go of the request at once."""
        ...


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
        """Return a request that is not sent yet."""
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
        room: waits while who shows the answer is behind.
    """

    name = "model"
    requests = frozenset({k.ModelRequested.kind})

    def __init__(
        self,
        source: Source,
        conversation: Conversation,
        clock: Clock,
        *,
        log_id: str,
        key_of: KeyOf | None = None,
        room: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.source = source
        self.key_of = key_of
        self._conversation = conversation
        self._clock = clock
        self._log_id = log_id
        self._room = room
        self._cancelled = False
        self._has_ended = False
        self._task: asyncio.Task[Any] | None = None

    def fold(self, record: Record) -> None:
        """Cancel what is under way when the host asks for it."""
        if isinstance(record.event, k.CancelRequested):
            self._cancelled = True
            asyncio.get_running_loop().call_later(self.source.grace_s, self._cut_off)

    def _cut_off(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def answer(self, record: Record, say: Say) -> AsyncIterator[Event | Live]:
        """Yield deltas, retries and the end of one model call."""
        return self._call(record, self._conversation.asked)

    async def _call(self, record: Record, asked: View) -> AsyncIterator[Event | Live]:
        request = self.source.digest(asked)
        if self._cancelled:
            yield k.ModelFailed(k.Failure("cancelled", ABORTED), request=request)
            return
        key: str | None = None
        if self.key_of is not None:
            # While this is being written nothing is cut off: that would end the task unheard.
            yield k.HostAsked(KEY)
            answered, key = await self._key(self.key_of, asked.settings.model.get("provider", ""))
            yield answered
            if isinstance(answered, k.HostFailed):
                yield k.ModelFailed(answered.failure, request=request)
                return
        self._has_ended = False
        self._task = asyncio.current_task()
        try:
            async for item in self._attempts(record, asked, key, request):
                yield item
        except asyncio.CancelledError:
            failure = self._cut()
            if failure is None:
                raise
            if not self._has_ended:
                yield k.ModelFailed(failure, request=request)
        finally:
            self._task = None

    async def _key(
        self, key_of: KeyOf, provider: str
    ) -> tuple[k.HostAnswered | k.HostFailed, str | None]:
        """Ask for the key, unless the run was cancelled; return the host's answer, and the key."""
        if self._cancelled:
            return k.HostFailed(KEY, k.Failure("cancelled", ABORTED)), None
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
        return k.Failure("cancelled", ABORTED)

    async def _attempts(
        self, record: Record, asked: View, key: str | None, request: str
    ) -> AsyncIterator[Event | Live]:
        speech = _Speech(self._conversation)
        told: transports.Failure | None = None
        for number in range(1, self.source.attempts_max + 1):
            attempt = self.source.attempt(asked, key)
            try:
                async for heard in attempt:
                    if heard.void:
                        speech = _Speech(self._conversation)
                        yield k.ModelRetrying(number, k.Failure("host", REPLACED))
                    pieces = speech.take(heard.pieces)
                    yield Live(k.ModelDelta(pieces), heard.live)
                    if self._room is not None:
                        await self._room()
                answer, live = attempt.finish()
                self._has_ended = True
                yield Live(speech.end(answer, request), live)
                return
            except transports.Failure as failure:
                if failure.status is not None or told is None:
                    told = failure
                delay_s = self._delay_s(failure, number, record.seq)
                if speech.begun or delay_s is None:
                    self._has_ended = True
                    yield Live(speech.fail(told, request), getattr(failure, "live", None))
                    return
                yield k.ModelRetrying(number + 1, _failure(failure), round(delay_s, 3))
            finally:
                await attempt.aclose()
            await self._clock.sleep(delay_s)

    def _delay_s(self, failure: transports.Failure, number: int, seq: int) -> float | None:
        """Return how long to wait before the next attempt, None if there is none.

        The share is derived from the place in the log, so that a session recorded twice is the
        same twice.
        """
        if self._cancelled:
            return None
        share = int(digest(f"{self._log_id}:{seq}:{number}".encode()), 16) / 16**16
        return retry_delay_s(failure, number, self.source.attempts_max, share)


def retry_delay_s(
    failure: transports.Failure, number: int, attempts_max: int, share: float
) -> float | None:
    """Return how long to wait after attempt *number* failed, None if it was the last.

    The back-off is openai-python's: min(0.5 * 2^n, 8) s less up to a quarter, *share* of which is
    taken: from 0 to 1.
    """
    if not failure.retryable or number >= attempts_max:
        return None
    if failure.retry_after_s is not None:
        return failure.retry_after_s if failure.retry_after_s <= RETRY_AFTER_S_MAX else None
    return float(min(0.5 * 2 ** (number - 1), 8.0) * (1 - share / 4))


class _Speech:
    """One answer as it is put on record: call ids made unique in the log, arguments kept."""

    def __init__(self, conversation: Conversation) -> None:
        self._known = conversation.calls
        self._calls: dict[int, list[Any]] = {}
        self.begun = False

    def take(self, pieces: Sequence[Timed]) -> list[k.Piece]:
        """Return *pieces* as they go on record; runs of one block and operation are joined."""
        self.begun = self.begun or bool(pieces)
        runs: list[tuple[int, str, list[Any], list[int]]] = []
        for block, op, data, gap_us in pieces:
            if op == "call":
                runs.append((block, op, [self._named(block, data)], [gap_us]))
                continue
            if op == "args":
                self._calls.setdefault(block, ["", "", []])[2].append(data)
            if runs and op in _JOINED and runs[-1][0] == block and runs[-1][1] == op:
                runs[-1][2].append(data)
                runs[-1][3].append(gap_us)
            else:
                runs.append((block, op, [data], [gap_us]))
        return [_piece(*run) for run in runs]

    def _named(self, block: int, data: dict[str, Any]) -> dict[str, Any]:
        call = self._calls.setdefault(block, ["", "", []])
        call[1] = data.get("name") or call[1]
        if not call[0]:
            taken = {other[0] for other in self._calls.values()}
            wanted = data.get("id") or f"call_{len(self._known) + len(taken) - 1}"
            call[0], number = wanted, 2
            while call[0] in self._known or call[0] in taken:
                call[0], number = f"{wanted}~{number}", number + 1
        return {**data, "id": call[0], "name": call[1]}

    def end(self, answer: Answer, request: str) -> Event:
        """Return the end of the call that *answer* is."""
        if (fault := fault_of(answer)) is not None:
            return self.fail(transports.Failure(*fault), request, answer.usage)
        calls = [
            k.CallRef(call[0], call[1], self._args(block, answer))
            for block, call in sorted(self._calls.items())
        ]
        raw = answer.raw_reason if answer.raw_reason in _TELLING else None
        return k.ModelFinished(
            answer.reason,  # type: ignore[arg-type] # the decoder's closed set of words
            calls,
            answer.usage,
            request,
            answer.response,
            raw,
        )

    def fail(
        self, failure: transports.Failure, request: str, usage: dict[str, Any] | None = None
    ) -> k.ModelFailed:
        """Return the failure of the call."""
        return k.ModelFailed(_failure(failure), usage, request)

    def _args(self, block: int, answer: Answer) -> str:
        if block in answer.bad_calls:
            return "bad"
        text = "".join(self._calls[block][2])
        try:
            arguments = msgspec.json.decode(text) if text.strip() else {}
        except msgspec.DecodeError:
            return "bad"
        return digest(canonical(arguments)) if isinstance(arguments, dict) else "bad"


_JOINED = frozenset({"text", "think", "refuse", "args"})
_TELLING = frozenset({"stop_sequence", "pause_turn"})


def _piece(block: int, op: str, data: list[Any], gaps_us: list[int]) -> k.Piece:
    """Return a run as one piece; the lengths keep the boundaries of its deltas."""
    if len(data) == 1:
        return (block, op, data[0], gaps_us[0])
    return (block, op, "".join(data), gaps_us, [len(part) for part in data])


def _failure(failure: transports.Failure) -> k.Failure:
    return k.Failure(
        failure.kind,  # type: ignore[arg-type] # a transport's kinds are the log's
        failure.message,
        failure.status,
        failure.retry_after_s,
    )
