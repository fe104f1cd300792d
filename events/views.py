"""What is taken out of the conversation: views of it, what was said, and its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tinyagent.events.messages import Message
from tinyagent.events.settings import Settings

if TYPE_CHECKING:
    from tinyagent.events.settled import Earlier


class Transcript(msgspec.Struct, frozen=True):
    """What was said as of one record, for who may never read it."""

    messages: list[Message]
    length: int
    earlier: Earlier

    def read(self) -> list[Message]:
        """Return the messages."""
        return self.earlier.recall(self.messages)[: self.length]


class View(msgspec.Struct, frozen=True):
    """The conversation as of one record: cheap to take, and it never changes.

    ``edits``: what a hook changed in the body of the request that is made of it.
    ``number``: which request of the log to a model of this name it is asked with; 0 if with none.
    """

    settings: Settings
    messages: list[Message]
    length: int
    edits: tuple[Any, ...] = ()
    number: int = 0

    def read(self) -> list[Message]:
        """Return the messages."""
        return self.messages[: self.length]

    def to(self, model: dict[str, Any]) -> View:
        """Return what *model* is asked instead; a body in another protocol is left unedited."""
        settings = msgspec.structs.replace(self.settings, model=model)
        is_alike = model.get("api") == self.settings.model.get("api")
        edits = self.edits if is_alike else ()
        return msgspec.structs.replace(self, settings=settings, edits=edits)


class Call(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A tool call of the conversation, by reference to its answer. ``arguments``: as written."""

    id: str
    name: str
    arguments: str
    bad: bool = False
