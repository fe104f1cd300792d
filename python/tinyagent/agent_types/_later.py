"""Fields that are computed when they are first read.

A snapshot of a growing text costs nothing while nobody looks at it. What computes a field waits
in the instance's ``__dict__``; the field itself is unset meanwhile, so that reading it falls
through to ``Structure.__getattr__``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec

S = TypeVar("S", bound=msgspec.Struct)
Compute = Callable[[], object]

LATER = "\0later"
"""Where an instance keeps what computes its unset fields. No keyword can be called this."""

make = cast("Callable[..., object]", msgspec.StructMeta.__call__)
"""The constructor of msgspec itself: knows nothing of extras and conversions."""

_copied: Any = msgspec.Struct.__copy__  # type: ignore[attr-defined] # it is there, but not in the stubs
"""msgspec's own, which knows nothing of extras."""


def bare_copy(of: S) -> S:
    """Return a copy of the fields of *of*, all of which are set, without extras."""
    copied: S = _copied(of)
    return copied


def own(of: object) -> dict[str, object]:
    """Return the ``__dict__`` of *of*."""
    state: dict[str, object] = vars(of)
    return state


def waiting(of: object) -> dict[str, Compute]:
    """Return what computes fields of *of*, those included that were assigned meanwhile."""
    return cast("dict[str, Compute]", own(of).get(LATER, {}))


def defer(of: msgspec.Struct, field: str, compute: Compute) -> None:
    """Leave *field* unset until it is read, which calls *compute* once."""
    vars(of).setdefault(LATER, {})[field] = compute
    try:
        delattr(of, field)
    except AttributeError:
        return  # it was not set


def deferred(of: msgspec.Struct, field: str) -> Compute | None:
    """Return what will compute *field*; None if it has a value."""
    compute: Compute | None = vars(of).get(LATER, {}).get(field)
    return compute if compute is not None and not _is_set(of, field) else None


def snapshot(of: S, field: str, compute: Compute) -> S:
    """Return a copy of *of*, of which every field is set, that leaves *field* to *compute*.

    What a stream makes for every delta, so by msgspec's own copy: a tenth of what ``fork`` takes.
    """
    result: S = _copied(of)
    delattr(result, field)
    state = vars(result)
    if extras := vars(of):
        state.update(extras)
    state[LATER] = {field: compute}
    return result


def fork(of: S) -> S:
    """Return a copy of *of*, extras included, that leaves unread what is unread."""
    fields = [name for name in of.__struct_fields__ if _is_set(of, name)]
    result = cast("S", make(type(of), **{name: getattr(of, name) for name in fields}))
    own(result).update(own(of))
    own(result).pop(LATER, None)
    for name, compute in waiting(of).items():
        if name not in fields:
            defer(result, name, compute)
    return result


def _is_set(of: msgspec.Struct, field: str) -> bool:
    try:
        object.__getattribute__(of, field)
    except AttributeError:
        return False
    return True
