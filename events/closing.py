"""What is said of a run that did not end with an answer. Pure.

People are shown it as the run's last message; models are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tinyagent.events import kinds as k
from tinyagent.events.context import NONE
from tinyagent.events.messages import Assistant, Message, Result

ABORTED = "Request was aborted"


class Closing(msgspec.Struct, frozen=True):
    """Why a run ended.

    Attributes:
        is_cut: somebody asked it to stop. model: whose answer is missing.
        after: the message that it stands behind, as ``place_of`` says; None if there is none.
    """

    failure: k.Failure
    is_cut: bool
    model: dict[str, Any]
    after: tuple[int, str] | None
    at_ms: int


class Closings:
    """The part of the fold that knows how runs ended.

    Attributes:
        made: what is said of runs, by the number of their end. gone: numbers that were dropped.
        answer: the last one of this run. is_in_run: whether one is under way, as far as is known.
    """

    def __init__(self) -> None:
        self.made: dict[int, Closing] = {}
        self.gone = NONE
        self.answer: Assistant | None = None
        self.is_in_run = False
        self._before: Message | None = None
        self._failure: k.Failure | None = None

    @property
    def is_blank(self) -> bool:
        """Whether no run ended so."""
        return not (self.made or self.gone)

    def told(self) -> dict[str, Any]:
        """Return what is known between two runs, as fields of ``Settled``."""
        return {"closings": dict(self.made), "gone": sorted(self.gone)}

    def take_up(self, made: dict[int, Closing], gone: Iterable[int]) -> None:
        """Know what ``told`` told."""
        self.made, self.gone = made, frozenset(gone)

    def begin(self, messages: Sequence[Message], *, goes_on: bool) -> None:
        """A run begins behind *messages*, or one more thing is said that begins it.

        *goes_on*: it is one that was paused amid the calls of its last answer.
        """
        if not self.is_in_run:
            self.is_in_run, self._failure = True, None
            self._before = messages[-1] if messages else None
            self.answer = self.answer if goes_on else None

    def evolve(self, record: k.Record, messages: Sequence[Message], model: dict[str, Any]) -> None:
        """Take in what went wrong in a run, or its end."""
        match record.event:
            case k.RunEnded(outcome=outcome):
                self.is_in_run = False
                if outcome == "answered":
                    return
                tail = messages[-1] if messages else None
                why = self._told(outcome, tail)
                if why is not None:
                    after = None if tail is None else place_of(tail)
                    at_ms = record.at_ns // 1_000_000
                    is_cut = outcome == "cancelled"
                    self.made[record.seq] = Closing(why, is_cut, model, after, at_ms)
            case k.HostFailed(failure=failure):
                self._failure = failure
            case k.BudgetExceeded() as event:
                self._failure = k.Failure("limit", limit_text(event))
            case k.OutputRejected(faults=faults):
                self._failure = k.Failure(
                    "invalid", f"the answer was rejected: {'; '.join(faults)}"
                )
            case k.ContextEdited(ops=ops):
                for op in ops:
                    match op:
                        case ["clear"]:
                            self.gone |= self.made.keys()
                        case ["drop", int(seq)]:
                            self.gone |= {seq}
                        case _:
                            pass
            case _:
                pass

    def _told(self, outcome: str, tail: Message | None) -> k.Failure | None:
        """Return what is to be said of a run that ended so behind the message *tail*."""
        if outcome == "cancelled" and tail is not self.answer and tail is not self._before:
            return k.Failure("cancelled", ABORTED)
        is_said = self.answer is not None and (
            self.answer.outcome != "ok" or self.answer.reason == "filtered"
        )
        if outcome in ("failed", "over_budget") and not is_said:
            return self._failure or k.Failure("cancelled", ABORTED)
        return None


def limit_text(event: k.BudgetExceeded) -> str:
    """Return what people are told of a run that reached a limit."""
    match event.limit:
        case "run_s_max":
            seen = f"{event.max:g} s"
        case "cost_usd_max":
            seen = f"${event.max:g}"
        case limit:
            seen = f"{event.max:g} {limit.removesuffix('_max').replace('_', ' ')}"
    return f"Stopped after {seen} ({event.limit})"


def place_of(message: Message) -> tuple[int, str]:
    """Return what tells *message* from all others of its log."""
    return message.seq, message.call_id if isinstance(message, Result) else ""
