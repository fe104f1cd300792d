"""What an agent keeps between two runs, when all the rest of its session can be made again.

A session that works is forty objects; an application may hold thousands that do not. So at the end
of a run the agent lets go of the session, unless that holds more than is here, and makes it again
for the next run. Until the memory is needed the session itself is still there, and is used again.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyagent._bodies import Bodies
    from tinyagent._engine import Engine, Hosted
    from tinyagent._opened import OpenLog
    from tinyagent._state import StateKeeper
    from tinyagent.actors.snapshots import Rested

MESSAGES_MAX = 64
"""Of a longer conversation the encoded form is kept too: to make it again would be felt."""


class Rest:
    """The session of one agent, at rest."""

    __slots__ = ("_engine", "bodies", "is_watched", "log", "outcome", "redactor", "session")

    def __init__(
        self,
        engine: Engine,
        session: Rested,
        *,
        bodies: Bodies,
        log: OpenLog,
        redactor: Any,
        outcome: str,
        is_watched: bool,
    ) -> None:
        self._engine = weakref.ref(engine)
        self.session = session
        self.bodies = bodies
        self.log = log
        self.redactor = redactor
        self.outcome = outcome
        self.is_watched = is_watched

    def awake(self, agent: Hosted, keeper: StateKeeper) -> Engine:
        """Return the session that rests, or one like it."""
        from tinyagent._engine import Engine  # which imports this

        return self._engine() or Engine(agent, keeper, self)

    def cancel(self, reason: str) -> None:
        """Stop the run that began as the one before it let go."""
        engine = self._engine()
        if engine is not None:
            engine.cancel(reason)
