"""A conversation between two runs as plain data, and back: what a snapshot holds of it. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from tinyagent.events.closing import Closing
from tinyagent.events.messages import Assistant, Custom, Message, Result, User
from tinyagent.events.settings import Settings
from tinyagent.events.views import Call

if TYPE_CHECKING:
    from tinyagent.events.conversation import Conversation

_LETTERS: dict[type[Message], str] = {User: "u", Assistant: "a", Result: "r", Custom: "c"}


_COMMON = ("_viewed", "_asked_seq", "asked_n")
"""What every conversation has between two runs, beside its settings and its messages."""
_RARE = 1 + len(_COMMON)
_PASSING = ("_asked", "owner", "_batch", "_inserted", "_instead", "_terminating")
"""What is about the run that is over, or said by whoever makes a conversation."""
_BY_ITSELF = ("settings", "_messages", "_earlier", "_model", "_numbers", "closings", "layer")
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
    told = {**dict(zip(_COMMON, common, strict=True)), "_messages": messages}
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


class Earlier(msgspec.Struct):
    """The first messages of a conversation, as long as nobody has asked for them.

    Attributes:
        count: how many. sorted: the JSON of them as ``Sorted``.
    """

    count: int = 0
    sorted: msgspec.Raw = msgspec.Raw()

    def recall(self, messages: list[Message]) -> list[Message]:
        """Put them before those in *messages*, once; return that list."""
        if self.count:
            messages[:0] = msgspec.json.decode(self.sorted, type=Sorted).joined()
            self.count, self.sorted = 0, msgspec.Raw()
        return messages


NOTHING = Earlier()


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What a ``Conversation`` knows between two runs, for JSON.

    Attributes:
        messages: the last one, which the next run begins behind. earlier: those before it.
        closings, gone: of ``Closings``. edits, compacted, corrections: of ``Layer``.
        the others: as of ``Conversation``.
    """

    settings: Settings
    earlier: Earlier
    messages: Sorted
    queued: Sorted
    calls: list[Call]
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

    @property
    def length(self) -> int:
        """How many messages there are."""
        return self.earlier.count + len(self.messages.order)


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


_AS_IT_IS = ("given", "_refusals", "_ops", "_numbers", "_asked_seq", "asked_n", "_is_open")
"""What is told under its own name."""


def settled(conversation: Conversation) -> Callable[[], Settled]:
    """Return what makes plain data of *conversation* as it is now."""
    known = vars(conversation)
    messages, queued = list(conversation.messages), list(conversation.queued.values())
    calls = list(conversation.calls.values())
    rest: dict[str, Any] = {name.lstrip("_"): copy(known[name]) for name in _AS_IT_IS}
    rest |= {"settings": conversation.settings, "request_edits": list(known["_edits"])}
    rest |= conversation.closings.told() | conversation.layer.told()

    def tell() -> Settled:
        earlier = messages[:-1]
        return Settled(
            earlier=Earlier(len(earlier), msgspec.Raw(msgspec.json.encode(by_type(earlier)))),
            messages=by_type(messages[-1:]),
            queued=by_type(queued),
            calls=calls,
            **rest,
        )

    return tell


def settle(conversation: Conversation, told: Settled) -> None:
    """Let *conversation*, which has taken in nothing yet, be what was *told*."""
    conversation.configured(told.settings)
    conversation.calls = {call.id: call for call in told.calls}
    conversation.queued = {message.seq: message for message in told.queued.joined()}
    conversation.closings.take_up(told.closings, told.gone)
    conversation.layer.take_up(told)
    rest = {name: getattr(told, name.lstrip("_")) for name in _AS_IT_IS}
    messages, edits = told.messages.joined(), tuple(told.request_edits)
    rest |= {"_earlier": told.earlier, "_messages": messages, "_edits": edits}
    for name, value in rest.items():
        setattr(conversation, name, value)
