"""What user code is given beside its arguments: time, randomness and a key that are the same in
every attempt, so that a repeated call sends the same bytes. None of it is recorded.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Protocol, overload

import msgspec

from tinyagent.events import Record, kinds as k, plain
from tinyagent.runtime.bells import call_in
from tinyagent.runtime.child_log import ChildLog
from tinyagent.runtime.clock import Clock

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # that of typing has no default before 3.13

    D = TypeVar("D", default=Any)
else:
    from typing import TypeVar

    D = TypeVar("D")

R = TypeVar("R", covariant=True)
T = TypeVar("T", contravariant=True)


def no_secret(name: str) -> str:
    """Raise: a session that was given no secrets has none."""
    raise LookupError(f"no secret is named {name!r}: give the agent secrets={{{name!r}: ...}}")


Host = Callable[[Any, ChildLog, dict[str, Any]], Any]
"""Makes of an agent one that runs below, in a log, within limits: ``actors.children.Playing``."""


class Provided(msgspec.Struct, frozen=True):
    """What a host gives its own code beside time and randomness. Never on record.

    Attributes:
        deps: whatever it likes. secret: returns a secret by its name, masked from then on.
        host: makes of an agent of its own one that runs below another.
    """

    deps: Any = None
    secret: Callable[[str], str] = no_secret
    host: Host | None = None


NOTHING = Provided()


class Runs(Protocol[R]):
    """An agent: what can be run."""

    def run(self, input_data: Any = None) -> Awaitable[R]:
        """Run it, and return what came of it."""
        ...


class RunsFor(Protocol[T, R]):
    """An agent that can be asked for an answer of a type."""

    def run(self, input_data: Any = None, *, output: type[T]) -> Awaitable[R]:
        """Run it, and return what came of it."""
        ...


RunBelow = Callable[[Any, Any, Any], Awaitable[Any]]


async def no_run(child: Any, text: Any, output: Any) -> Any:
    """Raise: no agent is run for what is no tool call."""
    raise RuntimeError("ctx.run() runs an agent for a tool call: use it inside of a tool")


def idempotency_key(log_id: str, call_id: str) -> str:
    """Return the key of one call: the same in every attempt and resume, another in a fork.

    Frozen with log format 1: ``ta1-`` and 32 hexadecimal digits of SHA-256.
    """
    return "ta1-" + _digest("tinyagent-key-1", log_id, call_id).hex()[:32]


class Ctx(Generic[D]):
    """The context of one run of a tool, or of one question to a hook.

    Attributes:
        deps: what the agent was given as ``deps``; never on record.
        call_id: the call; in a hook, the number of its question.
        attempt: 1, or more if the call was begun before and cut off.

    >>> @tool(effect="read")
    ... def who(ctx: Ctx[dict[str, str]]) -> str:
    ...     return ctx.deps["name"]
    >>> agent = Agent(model=scripted(("who", {}), "Ann."), tools=[who], deps={"name": "Ann"})
    >>> agent.run_sync("Who is it?").text
    'Ann.'
    """

    def __init__(
        self,
        *,
        log_id: str,
        call_id: str,
        attempt: int,
        at_us: int,
        clock: Clock,
        signal: asyncio.Event,
        progress: Callable[[k.Content], None] = lambda content: None,
        provided: Provided = NOTHING,
        run: RunBelow = no_run,
    ) -> None:
        self.deps: D = provided.deps
        self.call_id = call_id
        self.attempt = attempt
        self._log_id = log_id
        self._at_us = at_us
        self._clock = clock
        self._signal = signal
        self._progress = progress
        self._secret = provided.secret
        self._run = run
        self._uuids = 0

    @property
    def idempotency_key(self) -> str:
        """For services that take one; see the function of this name."""
        return idempotency_key(self._log_id, self.call_id)

    @cached_property
    def random(self) -> random.Random:
        """Seeded by log and call."""
        return random.Random(_digest("tinyagent-rng-1", self._log_id, self.call_id))

    @property
    def cancelled(self) -> bool:
        """Whether the run was asked to stop."""
        return self._signal.is_set()

    def now(self, *, fresh: bool = False) -> datetime:
        """Return the UTC time at which the call was asked for; *fresh*: the time now."""
        at_us = self._clock.now_us() if fresh else self._at_us
        return datetime.fromtimestamp(at_us / 1_000_000, UTC)

    def uuid(self) -> uuid.UUID:
        """Return the next UUID (version 8) of this call."""
        seed = _digest("tinyagent-uuid-1", self._log_id, self.call_id, str(self._uuids))
        self._uuids += 1
        raw = bytearray(seed[:16])
        raw[6], raw[8] = raw[6] & 0x0F | 0x80, raw[8] & 0x3F | 0x80
        return uuid.UUID(bytes=bytes(raw))

    async def sleep(self, seconds: float) -> None:
        """Wait *seconds* on the session's clock; return at once when the run is cancelled."""
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        stopped = asyncio.ensure_future(self._signal.wait())
        try:
            await asyncio.wait({sleeping, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            stopped.cancel()

    def progress(self, content: k.Content) -> None:
        """Say something while the tool runs: a ``tool.progressed``.

        Raises:
            TypeError: *content* is neither a text nor a list of blocks.
        """
        if not isinstance(content, str):
            content = _blocks(content)
        self._progress(content)

    @overload
    async def run(self, child: Runs[R], text: Any) -> R: ...
    @overload
    async def run(self, child: RunsFor[T, R], text: Any, *, output: type[T]) -> R: ...
    async def run(self, child: Any, text: Any, *, output: Any = None) -> Any:
        """Run the agent *child* on *text*, below this one, and return what came of it.

        It has a conversation of its own, in the same log. What is left of the limits of this
        agent holds for it, what it uses counts here, and a cancel of this one ends it. After a
        crash it goes on where it stood, if the tool runs again. *output*: as of ``Agent.run``.

        Raises:
            RunFailedError: it failed. RuntimeError: this is not the context of a tool.
        """
        return await self._run(child, text, output)

    def secret(self, name: str) -> str:
        """Return a secret of the agent's; if the tool says it, it is masked on record.

        Raises:
            LookupError: the agent has none of that name.
        """
        return self._secret(name)


def go_to_thread(ctx: Ctx[Any]) -> None:
    """Let another thread than that of this loop say something by way of *ctx*."""
    loop, progress = asyncio.get_running_loop(), ctx._progress

    def later(content: k.Content) -> None:
        call_in(loop, progress, content)

    ctx._progress = later


def _blocks(content: object) -> list[dict[str, Any]]:
    """Return blocks that a tool says as a log holds them.

    Raises:
        TypeError: they are none.
    """
    blocks: list[dict[str, Any]] = []
    for block in content if isinstance(content, list) else [content]:
        dump = block.model_dump(exclude_none=True) if hasattr(block, "model_dump") else block
        if not isinstance(dump, dict) or (dump is content):
            kind = type(block).__name__
            raise TypeError(f"ctx.progress() takes a text, or a list of blocks; got {kind}")
        blocks.append(plain(dump))
    return blocks


class Contexts:
    """Makes the contexts of one run of a session. ``signal``: set when the run is cancelled."""

    def __init__(
        self,
        log_id: str,
        clock: Clock,
        signal: asyncio.Event,
        provided: Provided = NOTHING,
    ) -> None:
        self.signal = signal
        self.provided = provided
        self._log_id = log_id
        self._clock = clock

    def of(
        self,
        asked: Record,
        call_id: str,
        attempt: int,
        progress: Callable[[k.Content], None] = lambda content: None,
        run: RunBelow = no_run,
    ) -> Ctx[Any]:
        """Return the context in which the request *asked* is answered."""
        return Ctx(
            log_id=self._log_id,
            call_id=call_id,
            attempt=attempt,
            at_us=asked.at_ns // 1000,
            clock=self._clock,
            signal=self.signal,
            progress=progress,
            provided=self.provided,
            run=run,
        )


_current: ContextVar[Callable[[], Ctx[Any]]] = ContextVar("tinyagent_ctx")


def current_ctx() -> Ctx[Any]:
    """Return the context of the tool or hook that runs here, in its task or its thread.

    Raises:
        RuntimeError: none does.
    """
    try:
        find = _current.get()
    except LookupError:
        raise RuntimeError(
            "current_ctx() is for code that an agent runs: call it inside of a tool or a hook"
        ) from None
    return find()


def given(find: Callable[[], Ctx[Any]]) -> AbstractContextManager[None]:
    """Let ``current_ctx`` return what *find* does in the block, and in tasks and threads of it.

    It is called when somebody asks: few do.
    """
    return _Given(find)


def give(find: Callable[[], Ctx[Any]]) -> None:
    """Let it return that from now on in this task, which is the code's own."""
    _current.set(find)


class _Given:
    __slots__ = ("_find", "_token")

    def __init__(self, find: Callable[[], Ctx[Any]]) -> None:
        self._find = find

    def __enter__(self) -> None:
        self._token = _current.set(self._find)

    def __exit__(self, *raised: object) -> None:
        _current.reset(self._token)


def _digest(*parts: str) -> bytes:
    return hashlib.sha256(b"\0".join(part.encode() for part in parts)).digest()
