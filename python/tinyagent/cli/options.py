"""What many commands take, declared once.

No parameter has a ``--no-`` twin; ``-`` is taken only where it is declared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Group, Parameter

Color = Literal["auto", "always", "never"]

EVERYWHERE = Group("Everywhere", sort_key=9)
ONE = "a log: path, id prefix, last, @name, `-` for standard input"
Ref = Annotated[str, Parameter(name="REF", allow_leading_hyphen=True, help=f"{ONE}; or REF:N")]
RefN = Annotated[str, Parameter(name="REF:N", allow_leading_hyphen=True, help=f"record N of {ONE}")]
Factory = Annotated[
    str | None,
    Parameter(name="--app", help="MODULE:FACTORY, a callable that takes log= and gives an agent"),
]
Yes = Annotated[bool, Parameter(name="--yes", help="do not ask before running live")]
Keys = Annotated[
    str | None,
    Parameter(name="--keys", help="folder with keys of encrypted logs; else TINYAGENT_KEYS"),
]
NoPager = Annotated[bool, Parameter(help="no pager, on a terminal either")]


@Parameter(name="*", group=EVERYWHERE)
@dataclass(frozen=True, kw_only=True)
class Common:
    """Where logs are, and how an answer is told."""

    json: Annotated[bool, Parameter(help="one JSON document; errors too")] = False
    dir: Annotated[
        str | None, Parameter(help="where logs are; else TINYAGENT_LOG_DIR, else ./runs")
    ] = None
    color: Annotated[
        Color, Parameter(help="auto: on a terminal, as NO_COLOR, FORCE_COLOR and TERM say")
    ] = "auto"


COMMON = Common()
