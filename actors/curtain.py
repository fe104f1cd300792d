"""How a run ends: the curtain falls when it is over, or an error of an actor brings it down."""

from __future__ import annotations

import traceback

from tinyagent.events import Record, kinds as k
from tinyagent.runtime.errors import LogError
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.loops import Stage


class Curtain:
    """Closes the stage when the run has ended. The last reader to be posted it."""

    kinds = frozenset({k.RunEnded.kind})

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def post(self, record: Record) -> None:
        """Let the cast end."""
        self._stage.close()


def brought_down(
    group: BaseExceptionGroup[BaseException], journal: Journal, name: str
) -> BaseException:
    """Put on record that an actor of *name* raised, if the log still takes it; return the error."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    at = f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    if not isinstance(error, LogError):
        journal.append(k.ActorFailed(name, type(error).__name__, str(error), at))
    return error
