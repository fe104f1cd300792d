"""A program that speaks in lines on its standard streams, and ends with us.

It is in a process group of its own: an interrupt at the keyboard reaches us alone, and whatever
the program has started ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, Process as Running, SubprocessStreamProtocol
from collections.abc import AsyncIterator, Mapping, Sequence

END_S = 1.0
"""Time that the program has to end after its input was closed, and again after a signal."""
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows knows the one way only
TOLD_BYTES_MAX = 2000
"""So much of what it said last on its standard error is kept, for messages."""


class LineTooLongError(Exception):
    """The program said more in one line than is taken."""


class Program:
    """One run of a program.

    Args:
        env: its whole environment. line_bytes_max: the longest line that is read.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | None,
        line_bytes_max: int,
    ) -> None:
        self._command = list(command)
        self._env = dict(env)
        self._cwd = cwd
        self._line_bytes_max = line_bytes_max
        self._running: Running | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        self._listening: asyncio.Task[None] | None = None
        self._said = b""

    async def start(self) -> None:
        """Start it.

        Raises:
            OSError: it cannot be started. ValueError: nor ever could be.
        """
        loop = asyncio.get_running_loop()
        self._transport, protocol = await loop.subprocess_exec(
            lambda: SubprocessStreamProtocol(limit=self._line_bytes_max, loop=loop),
            *self._command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=self._env,
            cwd=self._cwd,
            start_new_session=True,
        )
        self._running = Running(self._transport, protocol, loop)
        self._listening = asyncio.create_task(self._listen(), name=f"errors of {self._command[0]}")

    @property
    def told(self) -> str:
        """How it ended, and the last that it said on its standard error."""
        code = None if self._running is None else self._running.returncode
        said = self._said.decode(errors="replace").strip()
        how = "" if code is None else f"signal {-code}" if code < 0 else f"exit status {code}"
        return "; ".join(part for part in (how, said and f"it said: {said}") if part)

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield what it says, until it says no more.

        Raises:
            LineTooLongError: a line is longer than is taken; nothing can be read any more.
        """
        assert self._running is not None
        assert self._running.stdout is not None
        while True:
            try:
                line = await self._running.stdout.readline()
            except ValueError:
                told = f"it sent a message of more than {self._line_bytes_max} bytes"
                raise LineTooLongError(told) from None
            if not line.endswith(b"\n"):
                return
            yield line

    async def say(self, line: bytes) -> None:
        """Send it a line; wait while it does not read.

        Raises:
            ConnectionError: it reads no more.
        """
        assert self._running is not None
        assert self._running.stdin is not None
        self._running.stdin.write(line)
        await self._running.stdin.drain()

    async def stop(self) -> None:
        """End it: by closing its input, else by signals. Takes at most three times ``END_S``."""
        running, transport = self._running, self._transport
        if running is None or transport is None or self._listening is None:
            return
        assert running.stdin is not None
        running.stdin.close()
        for number in (None, signal.SIGTERM, KILL):
            if number is not None:
                self._signal(number)
            with contextlib.suppress(TimeoutError):
                # Waits for the ends of its streams too, which what it started may hold open.
                await asyncio.wait_for(running.wait(), END_S)
                break
        self._signal(KILL)
        transport.close()
        self._listening.cancel()
        await asyncio.wait({self._listening})

    def kill(self) -> None:
        """Kill it at once, if it runs. Needs no loop."""
        if self._running is not None and self._running.returncode is None:
            self._signal(KILL)

    def _signal(self, number: int) -> None:
        """Send a signal to it and to what it has started, as far as there is anybody left."""
        assert self._running is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(self._running.pid, number)
            else:
                self._running.kill()

    async def _listen(self) -> None:
        assert self._running is not None
        assert self._running.stderr is not None
        while chunk := await self._running.stderr.read(4096):
            self._said = (self._said + chunk)[-TOLD_BYTES_MAX:]
