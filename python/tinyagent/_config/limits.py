"""What a run may use, as the host says it: limits, and the prices that money is counted with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tinyagent._config.checks import is_number
from tinyagent.agent_types import Limits, Model


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What a model costs: US dollars for a million tokens of each kind.

    Cached tokens cost as much as others where no price of their own is given.

    >>> prices = {"scripted": Price(input_usd=0.15, output_usd=0.60)}
    >>> agent = Agent(model=scripted("Yes."), prices=prices, limits=Limits(cost_usd_max=0.01))
    """

    input_usd: float
    output_usd: float
    cache_read_usd: float | None = None
    cache_write_usd: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no price.

        Raises:
            ValueError: a price is negative, or no number.
        """
        for name, usd in msgspec.structs.asdict(self).items():
            is_left_out = usd is None and name.startswith("cache_")
            if not is_left_out and not is_number(usd, 0):
                raise ValueError(f"Price: {name} must be 0 or more, not {usd!r}")


Prices = Mapping[str, Price]
"""Prices by model: ``provider:id`` or the id alone."""


def logged_limits(
    limits: Limits | None, prices: Prices | None, models: Sequence[Model | None] = ()
) -> dict[str, Any]:
    """Return *limits* as the log holds them, with *prices*: who reads the log counts with them.

    Raises:
        ValueError: money is limited and one of *models* has no price.
    """
    given = msgspec.structs.asdict(limits) if limits is not None else {}
    out = {name: value for name, value in given.items() if value is not None}
    table = {
        name: {kind: usd for kind, usd in msgspec.structs.asdict(price).items() if usd is not None}
        for name, price in (prices or {}).items()
    }
    if table:
        out["prices"] = table
    if "cost_usd_max" not in out:
        return out
    for model in models:
        if model is None or not model.id:
            continue
        named = f"{model.provider}:{model.id}"
        if named not in table and model.id not in table:
            there = ", ".join(sorted(table)) or "none"
            raise ValueError(
                f"cost_usd_max needs the price of {named}, and prices has none (known: {there}); "
                f"give prices={{{named!r}: Price(input_usd=..., output_usd=...)}}"
            )
    if not table:
        raise ValueError("cost_usd_max needs prices: what a model costs is not in this library")
    return out
