"""A conversation between two runs as plain data, and back: what a snapshot holds of it. Pure."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from tinyagent.events.closing import Closing
from tinyagent.events.messages import Assistant, Custom, Message, Result, User
from tinyagent.events.settings import Settings

if TYPE_CHECKING:
    from tinyagent.events.conversation import Conversation

_LETTERS: dict[type[Message], str] = {User: "u", Assistant: "a", Result: "r", Custom: "c"}


_COMMON = ("_viewed", "_asked_seq", "asked_n")
"""What every conversation has between two runs, beside its settings and its messages."""
_RARE = 1 + len(_COMMON)
_PASSING = ("asked", "owner", "_batch", "_inserted", "_instead", "_terminating")
"""What is about the run that is over, or said by whoever makes a conversation."""
_BY_ITSELF = ("settings", "messages", "_model", "_numbers", "closings", "layer")
_NOT_RARE: dict[str, Any] = dict.fromkeys((*_COMMON, *_PASSING, *_BY_ITSELF))
Lasting: TypeAlias = tuple[Any, ...]
"""The settings, the values of ``_COMMON``, by its name what few conversations have beside, if
anything, and each message. An application may hold thousands, and what is in a tuple needs no names
and has no room that is not used.
"""


def lasting(conversation: Conversation) -> Lasting | None:
    """Return what another one needs to ``go_on`` from *conversation*; None in a run."""
    if not conversation.is_settled:
        return None
    told = vars(conversation)
    rare = dict(filter(operator.itemgetter(1), (told | _NOT_RARE).items()))
    for name in ("closings", "layer"):
        if not told[name].is_blank:
            rare[name] = told[name]
    if told["_numbers"] != {told["_model"]: told["asked_n"]}:
        rare["_numbers"] = told["_numbers"]
    common = map(told.__getitem__, _COMMON)
    return conversation.settings, *common, rare or None, *conversation.messages


def go_on(conversation: Conversation, kept: Lasting) -> None:
    """Let *conversation*, which has taken in nothing yet, stand where the one stood before it."""
    common, (rare, *messages) = kept[1:_RARE], kept[_RARE:]
    conversation.configured(kept[0])
    conversation.messages = messages
    told = dict(zip(_COMMON, common, strict=True))
    told["_numbers"] = {vars(conversation)["_model"]: told["asked_n"]}
    for name, value in {**told, **(rare or {})}.items():
        setattr(conversation, name, value)


class Sorted(msgspec.Struct, frozen=True, kw_only=True):
    """Messages by type. ``order``: how they follow each other, a letter each."""

    order: str
    users: list[User]
    answers: list[Assistant]
    results: list[Result]
    customs: list[Custom]

    def joined(self) -> list[Message]:
        """Return them in their order."""
        each: dict[str, Iterator[Message]] = {
            "u": iter(self.users),
            "a": iter(self.answers),
            "r": iter(self.results),
            "c": iter(self.customs),
        }
        return [next(each[letter]) for letter in self.order]


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What a ``Conversation`` knows between two runs, for JSON.

    Attributes:
        calls: id, name, arguments as written, and whether those are bad.
        closings, gone: of ``Closings``. edits, compacted, corrections: of ``Layer``.
        the others: as of ``Conversation``.
    """

    settings: Settings
    messages: Sorted
    queued: Sorted
    calls: list[tuple[str, str, str, bool]]
    given: dict[str, dict[str, Any]]
    refusals: dict[str, str]
    ops: list[Any]
    request_edits: list[Any]
    numbers: dict[str, int]
    asked_seq: int
    asked_n: int
    is_open: bool
    closings: dict[int, Closing]
    gone: list[int]
    edits: dict[int, list[list[Any]]]
    compacted: dict[int, list[int]]
    corrections: list[int]


def by_type(messages: Sequence[Message]) -> Sorted:
    """Return *messages* by type."""
    order = [_LETTERS[type(message)] for message in messages]
    found: dict[str, list[Any]] = {letter: [] for letter in _LETTERS.values()}
    for letter, message in zip(order, messages, strict=True):
        found[letter].append(message)
    return Sorted(
        order="".join(order),
        users=found["u"],
        answers=found["a"],
        results=found["r"],
        customs=found["c"],
    )
