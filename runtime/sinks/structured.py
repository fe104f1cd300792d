"""One structlog line for each record. What was said is left out: the log has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tinyagent.events import Fact, Record
from tinyagent.events.free_text import FREE

if TYPE_CHECKING:
    import structlog

SHOWN = frozenset(
    {"n", "attempt", "call_id", "name", "hook", "reason", "outcome", "effect", "why", "limit"}
    | {"by", "usage", "delay_s", "said", "epoch"}
)
"""Fields that hold no text of a conversation, but in kinds where they do: see ``FREE``."""


class StructlogSink:
    """Writes to a structlog logger, the application's own if one is given.

    Args:
        kinds: those to write; None for all.
        content: whether payloads are written whole, conversation included.
    """

    def __init__(
        self,
        logger: structlog.typing.FilteringBoundLogger | None = None,
        *,
        kinds: frozenset[str] | None = None,
        content: bool = False,
    ) -> None:
        if logger is None:
            import structlog

            logger = structlog.get_logger("tinyagent")
        self.kinds = kinds
        self._logger = logger
        self._content = content
        self._seq = 0

    def checkpoint(self) -> int:
        """Return the last record written by this object."""
        return self._seq

    def write(self, record: Record) -> None:
        """Write one line: a warning for what failed, else an information."""
        event = record.event
        fields: dict[str, Any] = {"seq": record.seq, "cause": record.cause, "actor": record.actor}
        if isinstance(event, Fact):
            payload = msgspec.to_builtins(event)
            shown = payload if self._content else SHOWN.difference(FREE.get(event.kind, ()))
            fields |= {name: value for name, value in payload.items() if name in shown}
            failure = payload.get("failure")
            if failure is not None:
                fields["failure"] = failure if self._content else failure["kind"]
        failed = event.kind.rsplit(".", 1)[-1] in ("failed", "in_doubt", "exceeded", "lost")
        say = self._logger.warning if failed else self._logger.info
        say(event.kind, **fields)
        self._seq = record.seq

    async def close(self) -> None:
        """Nothing waits to be written."""
