"""What an agent keeps between two runs, when all the rest of its session can be made again.

A session that works is forty objects; an application may hold thousands that do not. So at the end
of a run the agent lets go of the session, unless that holds more than is here, and makes it again
for the next run. Until the memory is needed the session itself is still there, and is used again.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from tinyagent._reading.bodies import Bodies
from tinyagent.events import Conversation
from tinyagent.events.settled import go_on
from tinyagent.runtime.stores import let_rest

if TYPE_CHECKING:
    from tinyagent._reading.opened import OpenLog
    from tinyagent._reading.state import StateKeeper
    from tinyagent._run.engine import Engine
    from tinyagent._run.holder import Hosted
    from tinyagent.actors.snapshots import Rested

AT_HAND = 8
"""So many sessions, of the agents that ran last, are kept whole: the next run may come at once."""
_at_hand: weakref.WeakValueDictionary[int, Rest] = weakref.WeakValueDictionary()
"""They are, by identity. Whoever takes one out of it has it, in whatever thread. An agent that is
gone is held by nobody here: its log is to be let go of with it."""
MESSAGES_MAX = 64
"""Of a longer conversation the encoded form is kept too: to make it again would be felt."""


class Rest:
    """The session of one agent, at rest.

    Attributes:
        has_state: the agent's state too, which is what the log says, but for its *error*.
    """

    __slots__ = (
        "__weakref__",
        "_bodies",
        "_engine",
        "error",
        "has_state",
        "is_watched",
        "log",
        "outcome",
        "redactor",
        "session",
    )

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
        self._engine: Engine | None = engine
        self.session = session
        # The host may hold what makes messages of the last run: then it is to make the others too.
        self._bodies: Bodies | weakref.ref[Bodies] | None
        self._bodies = weakref.ref(bodies) if bodies.is_idle else bodies
        self.log = log
        self.redactor = redactor
        self.outcome = outcome
        self.is_watched = is_watched
        self.has_state = False
        self.error: str | None = None

    def __del__(self) -> None:
        """The agent is gone: take its session apart, or only the collector could free it."""
        engine = self._engine
        if engine is not None and _at_hand and _at_hand.pop(id(self), None) is not None:
            engine.take_apart()

    @property
    def bodies(self) -> Bodies | None:
        """Who makes the public messages, if the host has any, or may have."""
        known = self._bodies
        return known() if isinstance(known, weakref.ref) else known

    def give_keeper(self) -> StateKeeper | None:
        """Return who kept the state, if the session was not forgotten yet."""
        engine = self._engine
        if engine is None or not engine.owns_state:
            return None
        engine.owns_state = False
        return engine.keeper

    def take_state(self, engine: Engine) -> None:
        """Keep for the agent its state, which it forgets."""
        self.has_state, self.error = True, engine.keeper.state.error
        engine.owns_state = True

    def awake(self, agent: Hosted, keeper: StateKeeper) -> Engine:
        """Return the session that rests, or one like it."""
        is_whole = _at_hand.pop(id(self), None) is not None
        engine = self._engine
        if engine is not None and is_whole:
            return engine
        from tinyagent._run.engine import Engine  # which imports this

        return Engine(agent, keeper, self)

    def cancel(self, reason: str) -> None:
        """Stop the run that began as the one before it let go."""
        engine = self._engine
        if engine is not None:
            engine.cancel(reason)

    def stay_at_hand(self) -> None:
        """Keep the session whole for a while; that which rests longest is taken apart."""
        _at_hand[id(self)] = self
        if len(_at_hand) <= AT_HAND:
            return
        for oldest in tuple(_at_hand)[:-AT_HAND]:
            if (found := _at_hand.pop(oldest, None)) is not None:
                found.take_apart()

    def take_apart(self) -> None:
        """Free the session; from now on it can only be made again."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.take_apart()
            let_rest(self.log.store)
        if self.bodies is None:
            self._bodies = None  # a reference to nothing is as large as one to something


def told_by(rest: Rest | None) -> tuple[Conversation, Bodies]:
    """Return the conversation that rests, or a new one, and who makes its public messages."""
    conversation = Conversation()
    if rest is not None:
        go_on(conversation, rest.session.conversation)
    bodies = (rest and rest.bodies) or Bodies(conversation)
    bodies.conversation = conversation
    return conversation, bodies
