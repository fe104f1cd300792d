"""What a page of the server may have done, where ``serve --allow-live`` allows it: fork, go on.

Two requests make it: the first is told what would run, and the second must repeat that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import msgspec

from tinyagent import edits
from tinyagent._run.runs import RunFailedError
from tinyagent.cli import live
from tinyagent.cli.refs import RefusedError
from tinyagent.continuing import fork, resume
from tinyagent.verbs import Recording, load, made_by

RUNS_MAX = 4
"""So many runs go on at once."""
BEGIN_S, END_S = 60.0, 5.0
"""So long a run may take to begin, and after the end of the server to be cancelled."""
GOES_ON = ("crashed", "forked", "paused")


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked for.

    Attributes:
        at: the record that a fork begins behind; None: the last. prompt: said there instead.
        go: what the first answer said would be done.
    """

    at: int | None = None
    prompt: str | None = None
    go: str = ""


class Acts:
    """Forks logs and, with a *factory*, runs what goes on. *tell* announces each."""

    def __init__(self, factory: Callable[..., Any] | None, tell: Callable[[str], object]) -> None:
        self._factory = factory
        self._tell = tell
        self._lock = Lock()
        self._runs: dict[Thread, Callable[[], object]] = {}

    @property
    def offered(self) -> list[str]:
        """What may be asked for."""
        return ["fork"] if self._factory is None else ["fork", "resume"]

    def done(self, what: str, path: Path, wish: Wish) -> dict[str, str]:
        """Return what would be done; if *wish* repeats that, do it, and return the log's name.

        Raises:
            RefusedError: it may not be. ValueError, LogError: it cannot be.
        """
        recording = load(path)
        if what == "resume" and recording.status not in GOES_ON:
            raise RefusedError(f"{path.name}: nothing to resume, it is {recording.status}")
        at = "" if wish.at is None or what == "resume" else f":{wish.at}"
        asks = f"{what} {path.name}{at}{self._told(recording)}"
        if wish.go != asks:
            return {"asks": asks}
        self._tell(asks)
        if what == "resume":
            return {"where": self._begun(self._resumed(path), path.name)}
        with self._lock:
            into = live.free_name(path, "fork")
            return {"where": self._begun(self._forked(path, into, wish), into.name)}

    def close(self) -> None:
        """Cancel what runs, and wait a moment for its end."""
        for cancel in list(self._runs.values()):
            cancel()
        for thread in list(self._runs):
            thread.join(END_S)

    def _told(self, recording: Recording) -> str:
        if self._factory is None:
            return "; nothing is run"
        return live.announced("", recording.settings)

    @asynccontextmanager
    async def _forked(self, path: Path, into: Path, wish: Wish) -> AsyncGenerator[Any]:
        edit = [] if wish.prompt is None else [edits.user_said(wish.prompt)]
        async with fork(path, at=wish.at, edit=edit, into=into) as log:
            yield None if self._factory is None else made_by(self._factory, log)

    def _resumed(self, path: Path) -> AbstractAsyncContextManager[Any]:
        assert self._factory is not None, "nothing is offered that nobody can make"
        return resume(path, self._factory)

    def _begun(self, opening: AbstractAsyncContextManager[Any], name: str) -> str:
        """Run what *opening* opens in a thread of its own; return *name* when it has begun.

        Raises:
            RefusedError: too much runs already. Exception: it cannot be opened.
        """
        if len(self._runs) >= RUNS_MAX:
            raise RefusedError(f"{RUNS_MAX} runs go on already: wait for one of them")
        begun: Future[None] = Future()

        async def work() -> None:
            async with opening as agent:
                if agent is not None:
                    loop = asyncio.get_running_loop()
                    self._runs[thread] = lambda: loop.call_soon_threadsafe(agent.abort)
                    begun.set_result(None)
                    await agent.run()
            if not begun.done():
                begun.set_result(None)  # made and closed: there is nothing to run

        def run(working: Coroutine[Any, Any, None]) -> None:
            try:
                asyncio.run(working)
            except Exception as error:
                if not begun.done():
                    begun.set_exception(error)
                elif not isinstance(error, RunFailedError):  # which is on record
                    self._tell(f"{name}: {type(error).__name__}: {error}")
            finally:
                self._runs.pop(thread, None)

        thread = Thread(target=run, args=(work(),), name=f"runs {name}", daemon=True)
        self._runs[thread] = lambda: None
        thread.start()
        begun.result(BEGIN_S)
        return name
