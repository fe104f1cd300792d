"""Runs the host's callbacks; their answers are events, so a replay serves them from the log.

After a crash a hook may be asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from tinyagent.actors.context import Contexts, given
from tinyagent.actors.flag import Flag, Running
from tinyagent.actors.limits import is_cut
from tinyagent.actors.state import AFTER, BATCH, KEY, MESSAGE
from tinyagent.actors.tools import GRACE_S
from tinyagent.events import Event, Failure, Record, kinds as k
from tinyagent.runtime.loops import Live, Voice

INTERRUPTED = (
    "the process stopped while the host's execute_tool_calls ran; "
    "its tools may or may not have taken effect"
)

Asked = Callable[[k.HostAsked, int], Awaitable[Sequence[Event | Live]]]
"""Calls the hook that is asked: takes the question and its number, returns the answer's events."""


class Hooks:
    """The worker that answers ``host.asked``.

    Args:
        ask: knows the hooks. contexts: makes what the hook's code may ask for.
        reopened: questions that an earlier process asked and left open.
    """

    name = "hooks"
    requests = frozenset({k.HostAsked.kind})

    def __init__(
        self,
        ask: Asked,
        contexts: Contexts,
        reopened: frozenset[int] = frozenset(),
    ) -> None:
        self._ask = ask
        self._contexts = contexts
        self._reopened = reopened
        self._cancelled = Flag()

    def is_asked(self, event: Event) -> bool:
        """Say whether *event* is a question for the hooks.

        Others are between the streamer, or who hears the users, and the host.
        """
        return isinstance(event, k.HostAsked) and event.hook not in (KEY, MESSAGE)

    def fold(self, record: Record) -> None:
        """Cancel what is under way when the host asks for it."""
        if is_cut(record.event):
            self._cancelled.set()

    async def answer(self, record: Record, voice: Voice) -> None:
        """Tell what the hook answered, or that it failed."""
        event = record.event
        assert isinstance(event, k.HostAsked)
        is_repeated = record.seq in self._reopened
        if is_repeated and event.hook == BATCH:
            # The tools that it ran are not on record: to ask again could run them again.
            await voice.tell(
                k.HostFailed(event.hook, Failure("interrupted", INTERRUPTED), event.call_id)
            )
            return
        ctx = self._contexts.of(record, f"#{record.seq}", 2 if is_repeated else 1)
        with given(lambda: ctx):
            running = Running(self._ask(event, record.seq))
        task = running.task
        try:
            await running.over(self._cancelled)
            if not task.done():
                await asyncio.wait({task}, timeout=GRACE_S)
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=GRACE_S)
        finally:
            task.cancel()
        if not task.done():  # it swallowed its cancellation, and is left behind
            task.add_done_callback(_ignored)
            await voice.tell(k.HostFailed(event.hook, cancelled(event.hook), event.call_id))
            return
        try:
            answers = task.result()
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            await voice.tell(k.HostFailed(event.hook, cancelled(event.hook), event.call_id))
        except Exception as error:
            failure = Failure("host", str(error) or type(error).__name__)
            await voice.tell(k.HostFailed(event.hook, failure, event.call_id))
        else:
            for item in answers:
                await voice.tell(item)


def cancelled(hook: str) -> Failure:
    """Return why *hook* gave no answer. That of an after-hook is told in the place of a result."""
    told = f"{AFTER} was cancelled. The tool ran; its result was withheld."
    return Failure("cancelled", told if hook == AFTER else "cancelled")


def _ignored(late: asyncio.Future[Sequence[Event | Live]]) -> None:
    """Take what came too late, so that nobody complains that it was not."""
    if not late.cancelled():
        late.exception()
