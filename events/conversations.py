"""What was said in a log by each agent in it: the main one, and those below it. Pure."""

from __future__ import annotations

from tinyagent.events.children import child_of
from tinyagent.events.conversation import Conversation
from tinyagent.events.fact import Record


class Conversations:
    """A fold of each agent's own. ``evolve`` takes the records of all in order, each once."""

    def __init__(self) -> None:
        self._of: dict[str, Conversation] = {}

    def of(self, record: Record) -> Conversation:
        """Return the conversation of the agent that *record* is of."""
        name = child_of(record.actor)
        found = self._of.get(name)
        if found is None:
            found = self._of[name] = Conversation()
        return found

    def evolve(self, record: Record) -> Conversation:
        """Take in one record; return the conversation that it belongs to."""
        conversation = self.of(record)
        conversation.post(record)
        return conversation
