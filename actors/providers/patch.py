"""What a hook changed in the body of a request, as operations: on record, and done again. Pure.

A path is keys and indexes: ``["set", path, value]``, ``["cut", path]``; in a list,
``["splice", path, at, n, items]`` puts *items* in the place of *n*. What is alike is not told: a
body repeats the conversation, and a log that repeats that is quadratic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tinyagent.events import canonical


def patch_of(then: Any, now: Any, path: tuple[str | int, ...] = ()) -> Iterator[list[Any]]:
    """Yield what makes *now* of *then*, both JSON values."""
    match then, now:
        case dict(), dict():
            yield from (["cut", [*path, key]] for key in then if key not in now)
            for key, value in now.items():
                if key in then:
                    yield from patch_of(then[key], value, (*path, key))
                else:
                    yield ["set", [*path, key], value]
        case list(), list():
            yield from _list_patch(then, now, path)
        case _ if canonical(then) != canonical(now):
            yield ["set", list(path), now]
        case _:
            pass


def _list_patch(
    then: list[Any], now: list[Any], path: tuple[str | int, ...]
) -> Iterator[list[Any]]:
    old, new = ([canonical(item) for item in items] for items in (then, now))
    head = _alike(old, new)
    tail = _alike(old[head:][::-1], new[head:][::-1])
    gone, come = then[head : len(then) - tail], now[head : len(now) - tail]
    if len(gone) == len(come):
        for at, (one, other) in enumerate(zip(gone, come, strict=True), head):
            yield from patch_of(one, other, (*path, at))
    else:
        yield ["splice", list(path), head, len(gone), come]


def _alike(old: Sequence[bytes], new: Sequence[bytes]) -> int:
    """Return how many items *old* and *new* begin with alike."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(old), len(new)))


def patched(body: bytes, ops: Sequence[Any]) -> bytes:
    """Return *body* after *ops*; one about a place that is not there changes nothing."""
    if not ops:
        return body
    value: Any = msgspec.json.decode(body)
    for op in ops:
        match op:
            case ["set", [*path, key], new] if _holds(at := _at(value, path), key, is_new=True):
                at[key] = new
            case ["cut", [*path, key]] if _holds(at := _at(value, path), key):
                del at[key]
            case ["splice", path, int(first), int(n), list(items)]:
                if isinstance(at := _at(value, path), list):
                    at[first : first + n] = items
            case _:
                pass
    return msgspec.json.encode(value)


def _at(value: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        if not _holds(value, key):
            return None
        value = value[key]
    return value


def _holds(value: Any, key: Any, *, is_new: bool = False) -> bool:
    if isinstance(value, dict):
        return is_new or key in value
    return isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value)
