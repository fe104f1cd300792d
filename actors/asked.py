"""The exact request of a model call, and what changed since the one before. Pure.

A request has parts: each top-level field of its body, and each item of a field that is a list,
as the messages and tools of every provider are.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

import msgspec

from tinyagent.runtime.divergence import Difference, differences


class Part(msgspec.Struct, frozen=True):
    """A part of a request: ``messages[4]``, and its JSON value."""

    path: str
    value: Any


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """A body held against the body before it.

    Attributes:
        unchanged: paths of the parts that are the same to the byte, in the order of this body.
        added: parts that are new. removed: parts that are gone, by their path in the body before.
        changed: leaves that differ in parts that have a counterpart; ``recorded`` is before.
        unchanged_prefix: so many bytes at the start are those of the body before.
    """

    unchanged: tuple[str, ...]
    added: tuple[Part, ...]
    removed: tuple[Part, ...]
    changed: tuple[Difference, ...]
    unchanged_prefix: int


class RequestAt(Compared, frozen=True, kw_only=True):
    """The request of ``model.requested`` ``seq``, against the one before in its log.

    Attributes:
        n: which model call of the log. before: number of the request before; 0 if there is none.
        model: provider, id and api that were asked.
        body: what was sent, to the byte; of a stream function of the host, what it was given.
        digest: of the body. recorded: the digest that was recorded; empty if none was.
        usage: what the provider counted; None if it did not tell, or there is no answer yet.
    """

    seq: int
    n: int
    before: int
    model: dict[str, Any]
    body: bytes
    digest: str
    recorded: str
    usage: dict[str, Any] | None

    @property
    def is_verified(self) -> bool | None:
        """Whether the body is, by its digest, the recorded one; None if no digest was recorded."""
        return self.digest == self.recorded if self.recorded else None


class _Item(NamedTuple):
    path: str
    raw: bytes

    @property
    def value(self) -> Any:
        return msgspec.json.decode(self.raw)


def compared(body: bytes, before: bytes) -> Compared:
    """Hold *body* against the body *before*; empty if there was none."""
    now, then = _fields(body), _fields(before)
    found = _Found([], [], [], [])
    for name, items in now.items():
        _compare(then.get(name, []), items, found)
    for name, items in then.items():
        if name not in now:
            found.removed.extend(items)
    return Compared(
        unchanged=tuple(found.unchanged),
        added=tuple(Part(item.path, item.value) for item in found.added),
        removed=tuple(Part(item.path, item.value) for item in found.removed),
        changed=tuple(found.changed),
        unchanged_prefix=common(body, before),
    )


class _Found(NamedTuple):
    unchanged: list[str]
    added: list[_Item]
    removed: list[_Item]
    changed: list[Difference]


def _fields(body: bytes) -> dict[str, list[_Item]]:
    if not body:
        return {}
    out: dict[str, list[_Item]] = {}
    for name, raw in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items():
        whole = bytes(raw)
        if whole.startswith(b"["):
            items = enumerate(msgspec.json.decode(whole, type=list[msgspec.Raw]))
            out[name] = [_Item(f"{name}[{index}]", bytes(item)) for index, item in items]
        else:
            out[name] = [_Item(name, whole)]
    return out


def _compare(then: list[_Item], now: list[_Item], found: _Found) -> None:
    first = next(
        (at for at, (a, b) in enumerate(zip(then, now, strict=False)) if a.raw != b.raw),
        min(len(then), len(now)),
    )
    found.unchanged.extend(item.path for item in now[:first])
    then, now = then[first:], now[first:]
    raws = [item.raw for item in then], [item.raw for item in now]
    for what, a, a_end, b, b_end in SequenceMatcher(None, *raws, autojunk=False).get_opcodes():
        if what == "equal":
            found.unchanged.extend(item.path for item in now[b:b_end])
        else:
            _replace(then[a:a_end], now[b:b_end], found)


def _replace(then: list[_Item], now: list[_Item], found: _Found) -> None:
    """Pair in order what is of one sort: only then are the leaves that differ worth telling."""
    left = list(then)
    for item in now:
        at = next((at for at, other in enumerate(left) if _sort(other) == _sort(item)), None)
        if at is None:
            found.added.append(item)
            continue
        found.removed.extend(left[:at])
        found.changed.extend(_changes(left[at], item))
        left = left[at + 1 :]
    found.removed.extend(left)


def _changes(then: _Item, now: _Item) -> list[Difference]:
    """Return the leaves that differ, or the bytes where one value is written in two ways."""
    leaves = list(differences(then.value, now.value, now.path))
    return leaves or [Difference(now.path, then.raw.decode(), now.raw.decode())]


def _sort(item: _Item) -> tuple[Any, ...]:
    """Return what tells messages from each other that are no versions of one."""
    value = item.value
    if not isinstance(value, dict):
        return (item.path.partition("[")[0],)
    return tuple(
        str(value.get(name)) for name in ("role", "type", "name", "tool_call_id", "call_id")
    )


def common(a: Sequence[object], b: Sequence[object]) -> int:
    """Return how many bytes, or items, *a* and *b* begin with alike."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
