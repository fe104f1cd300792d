"""The requests of a log in rising order, each by what is new in it: linear in the log. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from tinyagent.actors.asked import common
from tinyagent.actors.providers.history import Parts
from tinyagent.actors.providers.hosted import is_hosted
from tinyagent.actors.replaying import Requests
from tinyagent.events import Record, View, kinds as k
from tinyagent.events.children import child_of
from tinyagent.events.conversations import Conversations

DIGEST_DIGITS = 16
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


class Field(NamedTuple):
    """A top-level field of a body. *kept* of its items are those of the agent's body before."""

    name: str
    is_list: bool
    kept: int
    new: list[bytes]


class Told(NamedTuple):
    """A request; what has the name of a field of ``RequestAt`` is that.

    ``size`` is that of the body, in bytes. ``fields`` are held against the body told before, of
    the same agent.
    """

    model: dict[str, Any]
    digest: str
    size: int
    unchanged_prefix: int
    fields: list[Field]


class Series:
    """The requests of *records*, told one after the other. The list may grow meanwhile.

    Those of each agent in the log are a series of their own.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self._next = 0
        self._conversations = Conversations()
        self._agents: dict[str, _Agent] = {}

    def tell(self, record: Record) -> Told:
        """Return the request of the ``model.requested`` *record*, behind the last that was told.

        Raises:
            ValueError: nothing could be sent.
        """
        while self._next < len(self._records):
            passed = self._records[self._next]
            self._next += 1
            conversation = self._conversations.evolve(passed)
            if passed.seq == record.seq:
                break
            if isinstance(passed.event, k.ModelRequested):
                self._agent(passed).before = conversation.asked
        return self._agent(record).tell(self._conversations.of(record).asked)

    def _agent(self, record: Record) -> _Agent:
        return self._agents.setdefault(child_of(record.actor), _Agent())


class _Agent:
    """The requests of one agent. ``before``: one that was passed by, and not told."""

    def __init__(self) -> None:
        self.before: View | None = None
        self._requests = Requests()
        self._body = _Body()
        self._fault: ValueError | None = ValueError("there is no request before")
        self._is_first = True

    def tell(self, asked: View) -> Told:
        """Return what *asked* makes of a request."""
        if self.before is not None:
            self._build(self.before)
            self.before = None
        was_sent, body = self._fault is None, self._body
        self._build(asked)
        if self._fault is not None:
            raise self._fault
        is_first, self._is_first = self._is_first, False
        return Told(
            model=asked.settings.model,
            digest=self._requests.digest(asked) if is_hosted(asked) else body.digest(),
            size=body.size,
            unchanged_prefix=body.prefix if was_sent else 0,
            fields=body.fields(is_whole=is_first),
        )

    def _build(self, asked: View) -> None:
        self._fault = None
        try:
            self._body.take(self._requests.parts(asked))
        except ValueError as error:
            self._fault = error


class _Body:
    """The body that was taken last, held against the one before it.

    Up to each turn the digest, the size and the number of items are known, so that a body which
    begins as the one before did goes on from there.
    """

    def __init__(self) -> None:
        self._now = self._then = Parts(b"", "", [], b"")
        self._same = 0
        self._hashes: list[Any] = []
        self._sizes: list[int] = []
        self._counts: list[int] = []
        self.prefix = 0

    def take(self, parts: Parts) -> None:
        """Take in the next body."""
        then, self._then, self._now = self._now, self._now, parts
        self._same = same = common(then.turns, parts.turns)
        begins_alike = then.head == parts.head
        if begins_alike:
            shared = len(then.head) + self._size(same)
            self.prefix = shared + common(_rest(then, same), _rest(parts, same))
        else:
            self.prefix = common(then.whole(), parts.whole())
        del self._sizes[same:], self._counts[same:]
        del self._hashes[same + 1 if begins_alike else 0 :]
        for turn in parts.turns[same:]:
            at = len(self._sizes)
            self._sizes.append(self._size(at) + bool(at) + len(turn))
            self._counts.append(self._count(at) + len(_items(turn)))

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self._now.head) + self._size(len(self._now.turns)) + len(self._now.tail)

    def digest(self) -> str:
        """Return its digest."""
        hashes, now = self._hashes, self._now
        if not hashes:
            hashes.append(sha256(now.head))
        for at in range(len(hashes) - 1, len(now.turns)):
            goes_on = hashes[at].copy()
            goes_on.update(b"," * bool(at) + now.turns[at])
            hashes.append(goes_on)
        whole = hashes[-1].copy()
        whole.update(now.tail)
        return str(whole.hexdigest())[:DIGEST_DIGITS]

    def fields(self, *, is_whole: bool) -> list[Field]:
        """Return its fields in their order. *is_whole*: nothing of them was told before."""
        now, same = self._now, 0 if is_whole else self._same
        then = {} if is_whole else _fields(self._then)
        out: list[Field] = []
        for name, raw in _fields(now).items():
            is_list = raw.startswith(b"[")
            if name == now.name:
                old = [] if is_whole else _items(b",".join(self._then.turns[same:]))
                new, kept = _items(b",".join(now.turns[same:])), self._count(same)
            else:
                old, new, kept = _items_of(then.get(name)), _items_of(raw), 0
            alike = common(old, new)
            out.append(Field(name, is_list, kept + alike, new[alike:]))
        return out

    def _size(self, turns: int) -> int:
        return self._sizes[turns - 1] if turns else 0

    def _count(self, turns: int) -> int:
        return self._counts[turns - 1] if turns else 0


def _rest(parts: Parts, turns: int) -> bytes:
    """Return what stands behind the first *turns* of a body."""
    rest = parts.turns[turns:]
    return b"," * bool(turns and rest) + b",".join(rest) + parts.tail


def _fields(parts: Parts) -> dict[str, bytes]:
    """Return the fields of a body, but its turns, as they are written."""
    if not parts.head:
        return {}
    fields = _FIELDS.decode(parts.head + parts.tail)
    return {name: bytes(raw) for name, raw in fields.items()}


def _items_of(raw: bytes | None) -> list[bytes]:
    if raw is None:
        return []
    return _items(raw[1:-1]) if raw.startswith(b"[") else [raw]


def _items(joined: bytes) -> list[bytes]:
    found = _ITEMS.decode(b"[" + joined + b"]")
    return [bytes(item) for item in found]
