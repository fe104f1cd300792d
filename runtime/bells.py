"""How threads of the extension wake an event loop: by its bell, which it watches like a socket.

Ringing needs no interpreter. All that rang before the loop looks is taken with one look.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from tinyagent._alchemy import LoopBell


class _Here(threading.local):
    """The bells of the loops of one thread."""

    def __init__(self) -> None:
        self.bells: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopBell] = WeakKeyDictionary()


_here = _Here()
if sys.platform != "win32":
    # A child process that goes on in its parent's loop must not take what is rung for the parent.
    os.register_at_fork(after_in_child=lambda: _here.bells.clear())


def bell_here() -> LoopBell:
    """Return the bell of the running event loop. It lasts as long as the loop."""
    loop = asyncio.get_running_loop()
    bell = _here.bells.get(loop)
    if bell is None:
        bell = _here.bells[loop] = _hung(loop)
    return bell


def _hung(loop: asyncio.AbstractEventLoop) -> LoopBell:
    from tinyagent.runtime.extension import LoopBell

    try:
        bell = LoopBell()
        loop.add_reader(bell.fileno(), bell.take)
    except (NotImplementedError, OSError):  # as the loop of Windows
        return LoopBell(loop)
    return bell


def call_in(
    loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: object
) -> None:
    """Let *loop* call *function* soon, from any thread. One that has ended calls nothing."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *args)
