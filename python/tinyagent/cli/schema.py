"""``tinyagent schema [KIND]``: the JSON schema of an event's payload, or of a --json answer."""

from __future__ import annotations

from typing import Annotated

import msgspec
from cyclopts import Parameter

from tinyagent.cli.answers import ANSWERS, Schema
from tinyagent.cli.options import COMMON, Common
from tinyagent.cli.refs import RefError
from tinyagent.cli.render import Line, answer, as_json, bold, emit, line
from tinyagent.events import KINDS


def run(
    kind: Annotated[
        str | None, Parameter(name="KIND", help="an event, or a command; left out: their names")
    ] = None,
    /,
    *,
    common: Common = COMMON,
) -> int:
    """Print a schema, or which there are, and return 0."""
    if kind is None:
        names = Schema(answers=sorted(ANSWERS), events=sorted(KINDS))
        if common.json:
            answer(names)
        else:
            emit(_names(names), color=common.color)
        return 0
    named = {**KINDS, **ANSWERS}.get(kind)
    if named is None:
        raise RefError(f"no kind {kind!r}; tinyagent schema lists those that there are")
    print(as_json(msgspec.json.schema(named)))
    return 0


def _names(names: Schema) -> list[Line]:
    return [
        line(bold("answers")),
        *(line(f"  {name}") for name in names.answers),
        line(bold("events")),
        *(line(f"  {name}") for name in names.events),
    ]
