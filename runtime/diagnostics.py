"""What a person may want to know, where there is no log to put it on record.

It goes to the standard logger ``tinyagent``: nothing is printed unless the application asks for it,
and nothing is configured for the process. No line holds what was said: it says which record was
handled (``session run actor seq``), and the log has the rest.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

import msgspec

# Without a handler, logging would print warnings to standard error.
logging.getLogger("tinyagent").addHandler(logging.NullHandler())


class Handled(msgspec.Struct):
    """The record that is being handled, and by whom.

    Attributes:
        session: id of the log. run: number of the record that began the run; 0 outside of one.
        actor: who handles it. seq: its number.
    """

    session: str
    run: int
    actor: str
    seq: int


HANDLED: ContextVar[Handled | None] = ContextVar("tinyagent_handled", default=None)
"""Set by the loops of the actors; whatever a tool or a hook calls sees it too."""


def handled() -> dict[str, Any]:
    """Return the fields of the record that is being handled here; none outside of an actor."""
    found = HANDLED.get()
    return msgspec.structs.asdict(found) if found is not None else {}


def add_handled(logger: object, method: str, fields: MutableMapping[str, Any]) -> Any:
    """Add them to *fields*: a processor for the application's own structlog configuration."""
    for name, value in handled().items():
        fields.setdefault(name, value)
    return fields


def tell(name: str, message: str) -> None:
    """Warn of *message* on the logger *name* below ``tinyagent``."""
    logging.getLogger(f"tinyagent.{name}").warning("%s", message, extra=handled())
