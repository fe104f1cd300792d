"""Where a run ends although it is not done: turns, tokens, money, seconds, tool calls. Pure.

Looked at before each model call and before each tool; seconds at any time, for they come as a
record: a run with such a limit sets a timer when it begins. What a run has used goes on counting
when it is gone on with after a limit ended it; a new prompt counts from zero.

Money is counted in whole picodollars, so that the sum is the same wherever it is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace as _set

from tinyagent.actors.compaction import APART
from tinyagent.actors.state import State
from tinyagent.events import Event, kinds as k
from tinyagent.events.common import in_common

MTOK = 1_000_000
"""Prices are for a million tokens, as providers print them."""
USD = 1_000_000_000_000
SECONDS, TOOL_CALLS = "run_s_max", "tool_calls_max"
UNUSED: dict[str, Any] = dict.fromkeys(
    ("turns", "tokens", "tool_calls", "cost_pusd", "ran_s", "rejected"), 0
)
"""What a run has used when it begins."""
Decided = tuple[Event, ...]
_NONE = frozenset[str]()


def configured(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of the state *changes* say of limits, and of the model."""
    new: dict[str, Any] = {}
    if "limits" in changes:
        told = changes["limits"].items()
        given = {limit: most for limit, most in told if most is not None}  # null limits nothing
        if "cost_usd_max" not in given:
            given.pop("prices", None)  # for who reads the log; nothing is decided by them
        new["limits"] = in_common(given)
    if "model" in changes:
        given = changes["model"]
        named = {name: given[name] for name in ("provider", "id", "api") if name in given}
        new["model"] = in_common(named)
    return new


def crossed(state: State, *, for_tools: bool = False) -> k.BudgetExceeded | None:
    """Return which limit forbids to go on, if one does: to a model call, or to the tools.

    The tools of the last turn still run. Tool calls are looked at in ``counted``.
    """
    limits = state.limits
    if not limits:
        return None
    if not for_tools and "turns_max" in limits and state.turns >= limits["turns_max"]:
        return k.BudgetExceeded("turns_max", state.turns, limits["turns_max"])
    if "tokens_max" in limits and state.tokens >= limits["tokens_max"]:
        return k.BudgetExceeded("tokens_max", state.tokens, limits["tokens_max"])
    if "cost_usd_max" in limits and state.cost_pusd / USD >= limits["cost_usd_max"]:
        return k.BudgetExceeded("cost_usd_max", state.cost_pusd / USD, limits["cost_usd_max"])
    return None


def charged(state: State, usage: Mapping[str, Any] | None, **changes: Any) -> State:
    """Return *state* after an answer with *usage*; one that tells nothing counts for nothing.

    *changes*: what else of *state* is another one then.
    """
    if usage:
        changes["tokens"] = state.tokens + usage.get("input", 0) + usage.get("output", 0)
        if "prices" in state.limits:
            spent = cost_pusd(usage, state.instead or state.model, state.limits["prices"])
            changes["cost_pusd"] = state.cost_pusd + (spent or 0)
    return _set(state, **changes) if changes else state


def cost_pusd(
    usage: Mapping[str, Any], model: Mapping[str, Any], prices: Mapping[str, Any]
) -> int | None:
    """Return what an answer cost, in picodollars; None if the table has no price of *model*."""
    price = price_of(model, prices)
    if price is None:
        return None
    read, written = usage.get("cache_read", 0), usage.get("cache_write", 0)
    fresh = usage.get("input", 0)
    if model.get("api") not in APART:
        fresh = max(fresh - read - written, 0)
    per_token = {name: round(usd * USD / MTOK) for name, usd in price.items() if usd is not None}
    full = per_token["input_usd"]
    return int(
        fresh * full
        + read * per_token.get("cache_read_usd", full)
        + written * per_token.get("cache_write_usd", full)
        + usage.get("output", 0) * per_token["output_usd"]
    )


def price_of(model: Mapping[str, Any], prices: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the price of *model*: under ``provider:id``, else under its id alone."""
    name = str(model.get("id") or "")
    found: Mapping[str, Any] | None = prices.get(f"{model.get('provider')}:{name}")
    return prices.get(name) if found is None else found


def counted(state: State, event: k.ModelFinished) -> tuple[State, frozenset[str]]:
    """Return *state* after an answer, and its calls that no limit leaves room for.

    If there are any, ``over`` is the limit: the run ends when the others have ended.
    """
    before, calls = state.tool_calls, event.calls
    new = {"tool_calls": before + len(calls)} if calls else {}
    state = charged(state, event.usage, **new)
    if not state.limits:
        return state, _NONE
    over = crossed(state, for_tools=True)
    if over is not None:
        refused = calls
    elif TOOL_CALLS in state.limits:
        refused = calls[max(state.limits[TOOL_CALLS] - before, 0) :]
    else:
        return state, _NONE
    if refused and not state.cancelled:
        state = _set(state, over=over.limit if over is not None else TOOL_CALLS)
    return state, frozenset([ref.id for ref in refused])


def left(state: State) -> dict[str, Any]:
    """Return what is left of the limits of *state*, as limits of an agent below.

    Its turns are its own. Seconds are not told: they end what is below as a cancel does.
    """
    used = {"tokens_max": state.tokens, TOOL_CALLS: state.tool_calls}
    out: dict[str, Any] = {
        limit: max(state.limits[limit] - seen, 0)
        for limit, seen in used.items()
        if limit in state.limits
    }
    if "cost_usd_max" in state.limits:
        spent_usd = state.cost_pusd / USD
        out["cost_usd_max"] = max(state.limits["cost_usd_max"] - spent_usd, 0)
    return out


def used(state: State) -> dict[str, int]:
    """Return what the run of *state* has used, for the agent above."""
    counted = {name: getattr(state, name) for name in _COUNTED}
    return {name: value for name, value in counted.items() if value}


def lent(state: State, used: Mapping[str, int]) -> State:
    """Return *state* after an agent below has *used* so much: it counts here too."""
    sums = {name: getattr(state, name) + used.get(name, 0) for name in _COUNTED}
    return _set(state, **sums)


_COUNTED = ("tokens", "cost_pusd", "tool_calls")


def not_run(state: State) -> str:
    """Return what the model is told about a call that there was no room for."""
    return f"Tool not run: the run has reached its limit ({state.over})"


def told(state: State) -> k.BudgetExceeded:
    """Return why not all calls of the last answer were run."""
    over = crossed(state, for_tools=True)
    if over is None or state.over == TOOL_CALLS:
        return k.BudgetExceeded(TOOL_CALLS, state.tool_calls, state.limits.get(TOOL_CALLS, 0))
    return over


def begun(state: State) -> Decided:
    """Return what a run begins with, or is taken up with: the timer of its seconds, if limited."""
    allowed = state.limits.get(SECONDS)
    if allowed is None:
        return ()
    return (k.TimerSet(max(allowed - state.ran_s, 0)),)


def fired(state: State, event: k.TimerFired) -> tuple[State, Decided]:
    """The seconds are over: what is under way ends as if it was cancelled."""
    if state.is_at_rest or state.cancelled:
        return state, ()
    ran_s = state.ran_s + event.seen_s
    over = k.BudgetExceeded(SECONDS, ran_s, state.limits.get(SECONDS, ran_s))
    return _set(state, cancelled=True, over=SECONDS, ran_s=ran_s), (over,)


def is_cut(event: Event) -> bool:
    """Whether *event* ends what is under way: somebody asked for it, or the seconds are over."""
    match event:
        case k.CancelRequested():
            return True
        case k.BudgetExceeded(limit=limit):
            return limit == SECONDS
        case _:
            return False
