"""An event loop of one thread, with time of its own, in which somebody chooses who goes next.

Whatever is ready may be first: that is what a schedule is. Time stands still while anything is
ready, and then jumps to the next timer, so a test of hours takes no time. Nothing ready and no
timer is a deadlock, and raises. What would leave the loop (sockets, processes, signals, other
threads) raises ``SimViolationError``; what is given to an executor runs in the loop itself.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import heapq
import itertools
import re
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, NoReturn, TypeVar, TypeVarTuple

from tinyagent.runtime.errors import TinyAgentError

T = TypeVar("T")
_Ts = TypeVarTuple("_Ts")

STEPS_MAX = 1_000_000
"""A scenario that takes more goes round in circles."""
BEGAN_US = 1_767_225_600_000_000
_NUMBERED = re.compile(r"Task-\d+")


class SimViolationError(TinyAgentError):
    """Something in a scenario would have left the loop: no schedule could repeat it."""


class DeadlockError(TinyAgentError):
    """Nothing is ready, and no timer is set: everybody waits for somebody. ``str()`` tells whom."""


class _Entry:
    """A call that is due."""

    __slots__ = ("call", "callback", "handle")

    def __init__(
        self, handle: asyncio.Handle, call: Callable[[], object], callback: object
    ) -> None:
        self.handle = handle
        self.call = call
        self.callback = callback


class SimLoop(asyncio.AbstractEventLoop):
    """The loop. *choose* is given names of what is ready, oldest first, and returns which is next.

    It is asked only where there is a choice.
    """

    has_no_threads = True

    def __init__(self, choose: Callable[[Sequence[str]], int] = lambda ready: 0) -> None:
        self._choose = choose
        self._ready: list[_Entry] = []
        self._timers: list[tuple[float, int, _Entry]] = []
        self._order = itertools.count()
        self._now_s = 0.0
        self._thread = threading.get_ident()
        self._is_running = self._is_closed = False
        self._generators: weakref.WeakSet[AsyncGenerator[Any, Any]] = weakref.WeakSet()
        self._tasks: dict[asyncio.Task[Any], int] = {}  # in the order in which they were made
        self._raised: BaseException | None = None
        self.trace: list[str] = []

    # What a scenario asks of a loop

    def time(self) -> float:
        """Return seconds since the loop was made."""
        return self._now_s

    def call_soon(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Let *callback* be ready."""
        context = contextvars.copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(_Entry(handle, partial(context.run, callback, *args), callback))
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """As ``call_soon``.

        Raises:
            SimViolationError: from another thread.
        """
        if threading.get_ident() != self._thread:
            self._violated("a thread called into the loop")
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Let *callback* be ready in *delay* seconds."""
        return self.call_at(self._now_s + max(delay, 0), callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Let *callback* be ready at *when*."""
        context = contextvars.copy_context() if context is None else context
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        entry = _Entry(handle, partial(context.run, callback, *args), callback)
        heapq.heappush(self._timers, (when, next(self._order), entry))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing to do: it is passed over when it is due."""

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **named: Any) -> asyncio.Task[Any]:
        """Return a task of this loop."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, **named)
        self._tasks[task] = len(self._tasks) + 1
        return task

    def run_in_executor(
        self, executor: object, func: Callable[[*_Ts], T], *args: *_Ts
    ) -> asyncio.Future[T]:
        """Run *func* in the loop itself, when it is chosen: there are no threads here."""
        done: asyncio.Future[T] = self.create_future()

        def run() -> None:
            if done.cancelled():
                return
            try:
                done.set_result(func(*args))
            except Exception as error:
                done.set_exception(error)

        self.call_soon(run)
        return done

    def is_running(self) -> bool:
        """Whether something runs."""
        return self._is_running

    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    def get_debug(self) -> bool:
        """No."""
        return False

    def get_task_factory(self) -> None:
        """There is none."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what a callback raised: it ends the scenario."""
        if "handle" in context:
            self._raised = self._raised or context.get("exception")

    async def shutdown_asyncgens(self) -> None:
        """Close the generators that are open."""
        for generator in list(self._generators):
            await generator.aclose()

    async def shutdown_default_executor(self, *_: Any) -> None:
        """There is none."""

    def close(self) -> None:
        """Let nothing run any more."""
        self._is_closed = True
        self._ready, self._timers = [], []

    # Running

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run *main* to its end, cancel what it left behind, and close the loop.

        Raises:
            DeadlockError: it cannot end. SimViolationError: it would leave the loop.
        """
        was_collecting = gc.isenabled()
        gc.disable()  # when it collects is no choice of ours, and what it collects may be a task
        try:
            return self._run(main)
        finally:
            if was_collecting:
                gc.enable()

    def _run(self, main: Coroutine[Any, Any, T]) -> T:
        try:
            result: T = self.run_until_complete(self.create_task(main, name="scenario"))
            return result
        finally:
            left = [task for task in self._tasks if not task.done()]
            for task in left:
                task.cancel()
            if left:
                self._raised = None
                self.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self.run_until_complete(self.create_task(self.shutdown_asyncgens()))
            self.close()

    def run_until_complete(self, future: Any) -> Any:
        """Run until *future* is done, and return its result."""
        hooks = sys.get_asyncgen_hooks()
        self._is_running = True
        asyncio.events._set_running_loop(self)
        sys.set_asyncgen_hooks(self._generators.add, self._finalize)
        try:
            steps = 0
            while not future.done() and self._raised is None:
                steps += 1
                self._step()
                if steps > STEPS_MAX:
                    self._violated(f"the scenario took more than {STEPS_MAX} steps")
        finally:
            sys.set_asyncgen_hooks(*hooks)
            asyncio.events._set_running_loop(None)
            self._is_running = False
        if self._raised is not None:
            raise self._raised
        return future.result()

    def _finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._generators.discard(generator)
        if not self._is_closed:
            self.create_task(generator.aclose(), name="a generator is closed")

    def _step(self) -> None:
        """Run what is chosen of what is ready; else let time pass to the next timer."""
        self._ready = [entry for entry in self._ready if not entry.handle.cancelled()]
        if not self._ready:
            self._pass_time()
            return
        at = 0
        if len(self._ready) > 1:
            at = self._choose([self._label(entry.callback) for entry in self._ready])
        entry = self._ready.pop(at)
        self.trace.append(self._label(entry.callback))
        try:
            entry.call()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._raised = self._raised or error

    def _pass_time(self) -> None:
        while self._timers and self._timers[0][2].handle.cancelled():
            heapq.heappop(self._timers)
        if not self._timers:
            raise DeadlockError(self._stuck())
        self._now_s = max(self._now_s, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now_s:
            self._ready.append(heapq.heappop(self._timers)[2])

    def _stuck(self) -> str:
        lines = ["nothing is ready and no timer is set; who waits, and where:"]
        for task in self._tasks:
            if task.done():
                continue
            frames = task.get_stack(limit=1)
            at = f"{frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else "?"
            lines.append(f"  {self._named(task)}  {at}")
        return "\n".join(lines)

    def _label(self, callback: object) -> str:
        """Return a name of *callback* that is the same in every run: of its task, or its own.

        Asked when it is chosen: a task may be given its name after it was made.
        """
        of = getattr(callback, "__self__", None)
        if isinstance(of, asyncio.Task):
            return self._named(of)
        return str(getattr(callback, "__qualname__", type(callback).__name__))

    def _named(self, task: asyncio.Task[Any]) -> str:
        name = task.get_name()
        return f"task {self._tasks.get(task, 0)}" if _NUMBERED.fullmatch(name) else name

    def _violated(self, what: str) -> NoReturn:
        raise SimViolationError(f"{what}: no schedule could repeat it")

    async def _refused(self, *_: Any, **__: Any) -> Any:
        self._violated("the scenario opened a socket, a pipe or a process")

    def _no(self, *_: Any, **__: Any) -> NoReturn:
        self._violated("the scenario asked the loop for files, signals, or to run in another way")

    _denied: Any = _no
    create_connection = create_server = create_datagram_endpoint = start_tls = _refused
    create_unix_connection = create_unix_server = connect_accepted_socket = _refused
    connect_read_pipe = connect_write_pipe = subprocess_exec = subprocess_shell = _refused
    sock_connect = sock_accept = sock_recv = sock_recv_into = sock_recvfrom = _refused
    sock_recvfrom_into = sock_sendall = sock_sendto = sock_sendfile = sendfile = _refused
    getaddrinfo = getnameinfo = _refused
    add_reader = add_writer = remove_reader = remove_writer = _denied
    add_signal_handler = remove_signal_handler = run_forever = stop = _denied
    set_debug = set_default_executor = set_task_factory = _denied
    set_exception_handler = get_exception_handler = default_exception_handler = _denied


class SimClock:
    """The time of the loop, as a ``Clock`` for agents: it moves when everybody sleeps."""

    def now_us(self) -> int:
        """Return microseconds since 1970 UTC."""
        return BEGAN_US + round(asyncio.get_running_loop().time() * 1_000_000)

    def monotonic_s(self) -> float:
        """Return seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait *seconds* of the loop's time."""
        await asyncio.sleep(seconds)
