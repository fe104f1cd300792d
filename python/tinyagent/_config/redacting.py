"""Which secrets a session knows: those of the environment, and those that it is given."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from tinyagent.actors.providers.endpoints import KEY_VARIABLES
from tinyagent.actors.providers.table import KNOWN
from tinyagent.events import Redact, Redactor
from tinyagent.events.redaction import VALUE_CHARS_MIN


def redactor_for(*given: Redact | None) -> Redactor:
    """Return what masks as all of *given* say; without any, the providers' keys are masked.

    Raises:
        ValueError: a secret is too short, or more than one rule is given.
    """
    redacts = [redact for redact in given if redact is not None]
    rules = [redact.rule for redact in redacts if redact.rule is not None]
    if len(rules) > 1:
        raise ValueError("the log and the agent both have a rule; give one of them, not both")
    redactor = Redactor(
        patterns=any(redact.patterns for redact in redacts),
        rule=rules[0] if rules else None,
        scope="log" if any(redact.scope == "log" for redact in redacts) else "event",
    )
    if all(redact.provider_keys for redact in redacts):
        for provider, value in _provider_keys():
            register(redactor, provider, value)
    for redact in redacts:
        for name in redact.env:
            if os.environ.get(name):
                redactor.register(name, os.environ[name])
        values = redact.values
        named = values.items() if isinstance(values, Mapping) else (("value", v) for v in values)
        for label, value in named:
            redactor.register(label, value)
    return redactor


def register(redactor: Redactor, label: str, value: str | None) -> None:
    """Mask the key *value* of a provider. What is too short to be a key is left."""
    if value and len(value) >= VALUE_CHARS_MIN:
        redactor.register(label, value)


def _provider_keys() -> Iterator[tuple[str, str]]:
    variables = _variables()
    # In its table, if it has one: to walk the environment takes 20 us of each agent's first run,
    # and to ask it for each that is not there takes as long.
    table = getattr(os.environ, "_data", None)
    if table is None:
        there = variables.keys() & os.environ
    else:
        keys = _keys()
        there = {keys[key] for key in keys.keys() & table}
    for name in filter(there.__contains__, variables):
        yield variables[name], os.environ[name]


@cache
def _variables() -> dict[str, str]:
    """Return each variable that may hold a key, and whose key it is: the first that names it."""
    found: dict[str, str] = {}
    for provider, names in (
        {name: known.keys for name, known in KNOWN.items()} | KEY_VARIABLES
    ).items():
        for name in names:
            found.setdefault(name, provider)
    return found


@cache
def _keys() -> dict[Any, str]:
    """Return these variables by what the environment's table calls them."""
    return {os.environ.encodekey(name): name for name in _variables()}
