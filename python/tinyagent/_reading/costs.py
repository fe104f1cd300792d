"""The model calls of a log that have an end: what was asked, and what it cost. Pure folds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tinyagent.actors.limits import USD, cost_pusd
from tinyagent.events import Record, kinds as k
from tinyagent.events.conversations import Conversations

SECOND_NS = 1_000_000_000


class ModelCall(msgspec.Struct, frozen=True, kw_only=True):
    """A model call. ``model``: that answered. ``prices``: that the log knew then."""

    asked: Record
    answered: Record
    model: dict[str, Any]
    prices: dict[str, Any]

    @property
    def model_id(self) -> str:
        """The model's name."""
        return str(self.model.get("id") or "?")

    @property
    def took_s(self) -> float:
        """Seconds from the request to the end of the answer."""
        return (self.answered.at_ns - self.asked.at_ns) / SECOND_NS

    @property
    def has_failed(self) -> bool:
        """Whether it came to no answer."""
        return isinstance(self.answered.event, k.ModelFailed)

    @property
    def usage(self) -> dict[str, Any]:
        """Tokens, as the provider told them; empty if it did not."""
        event = self.answered.event
        assert isinstance(event, k.ModelFinished | k.ModelFailed)
        return event.usage or {}

    @property
    def cost_usd(self) -> float | None:
        """US dollars; None if the log has no price of the model, or the provider told nothing."""
        spent = cost_pusd(self.usage, self.model, self.prices) if self.usage else None
        return spent / USD if spent is not None else None


def model_calls(records: Iterable[Record]) -> Iterator[ModelCall]:
    """Yield the model calls that have an end, in the order of their ends."""
    conversations = Conversations()
    asked: dict[int, tuple[Record, dict[str, Any]]] = {}
    for record in records:
        event = record.event
        is_setting = isinstance(event, k.SessionStarted | k.ConfigChanged)  # no other is needed
        conversation = conversations.evolve(record) if is_setting else conversations.of(record)
        if isinstance(event, k.ModelRequested):
            asked[record.seq] = record, conversation.settings.model
        elif isinstance(event, k.ModelRetrying) and event.model and record.cause in asked:
            asked[record.cause] = asked[record.cause][0], event.model
        elif isinstance(event, k.ModelFinished | k.ModelFailed) and record.cause in asked:
            first, model = asked[record.cause]
            prices = conversation.settings.limits.get("prices") or {}
            yield ModelCall(asked=first, answered=record, model=model, prices=prices)


def cost_usd(records: Iterable[Record]) -> float | None:
    """Return what all answers cost; None if that of one is not known, or there is none."""
    return summed(call.cost_usd for call in model_calls(records))


def summed(costs: Iterable[float | None]) -> float | None:
    """Return the sum of *costs*; None if one of them is not known, or there is none."""
    given = list(costs)
    known = [cost for cost in given if cost is not None]
    return sum(known) if known and len(known) == len(given) else None
