"""How a run ends: the curtain falls when it is over, or an error of an actor brings it down."""

from __future__ import annotations

from collections.abc import Sequence

from tinyagent.events import Record, kinds as k
from tinyagent.runtime.mailbox import Mailbox


class Curtain:
    """Ends the loops when the run has ended. The last reader to be posted it."""

    kinds = frozenset({k.RunEnded.kind})

    def __init__(self, boxes: Sequence[Mailbox]) -> None:
        self._boxes = boxes

    def post(self, record: Record) -> None:
        """Close the mailboxes of the cast."""
        for box in self._boxes:
            box.close()


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error in *group*, however deep it lies."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
