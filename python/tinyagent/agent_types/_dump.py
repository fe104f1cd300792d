"""Structs to dicts and to JSON values."""

import dataclasses
import enum
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import msgspec

_ATOMS = frozenset({str, int, bool, type(None)})


def dump_fields(
    of: Any, extras: Mapping[str, object], *, is_json: bool, exclude_none: bool
) -> dict[str, object]:
    """Return the fields of *of* in their order, then *extras*."""
    hidden = of.__undumped__ | of.__undumped_in_json__ if is_json else of.__undumped__
    result: dict[str, object] = {}
    for name in of.__struct_fields__:
        value: object = getattr(of, name)
        if (value is None and exclude_none) or name in hidden:
            continue
        result[name] = dump_value(value, is_json=is_json, exclude_none=exclude_none)
    for name, value in extras.items():
        if value is not None or not exclude_none:
            result[name] = dump_value(value, is_json=is_json, exclude_none=exclude_none)
    return result


def dump_value(value: object, *, is_json: bool, exclude_none: bool) -> object:
    """Return *value* with every struct in it dumped and every container copied.

    Raises:
        TypeError: JSON is wanted and cannot express a value.
    """
    if type(value) in _ATOMS:
        return value

    def inner(item: object) -> object:
        return dump_value(item, is_json=is_json, exclude_none=exclude_none)

    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return {_key(key) if is_json else key: inner(item) for key, item in items}
    if isinstance(value, list):
        return [inner(item) for item in cast("list[object]", value)]
    if isinstance(value, msgspec.Struct):
        # By its own method: a subclass may know fields that this module does not.
        dump = getattr(value, "model_dump", None)
        if dump is not None:
            mode = "json" if is_json else "python"
            return cast("object", dump(mode=mode, exclude_none=exclude_none))
    if isinstance(value, tuple):
        items_of = [inner(item) for item in cast("tuple[object, ...]", value)]
        return items_of if is_json else tuple(items_of)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _dump_dataclass(value, is_json=is_json, exclude_none=exclude_none)
    return _json_atom(value, inner) if is_json else value


_TOOL_FIELDS = ("name", "description", "parameters", "label")


def _dump_dataclass(value: Any, *, is_json: bool, exclude_none: bool) -> object:
    """Return a dataclass as a dict in JSON; a tool without its functions. In Python, as it is."""
    if not is_json:
        return value
    names = [field.name for field in dataclasses.fields(value)]
    if hasattr(value, "execute"):
        names = [name for name in names if name in _TOOL_FIELDS]
    return {
        name: dump_value(getattr(value, name), is_json=True, exclude_none=exclude_none)
        for name in names
        if getattr(value, name) is not None or not exclude_none
    }


def _json_atom(value: object, inner: Callable[[object], object]) -> object:
    """Return a value that JSON has no word for as one that it has."""
    if isinstance(value, enum.Enum):
        return inner(value.value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, set | frozenset):
        return sorted((inner(item) for item in cast("Iterable[object]", value)), key=repr)
    if isinstance(value, Mapping):
        return {_key(key): inner(item) for key, item in value.items()}
    # Dates, bytes, numbers of other kinds, structs of the host.
    return cast("object", msgspec.to_builtins(value, str_keys=True))


def valid_text(text: str) -> str:
    """Return *text* with every lone surrogate, which no encoding has, as U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _key(key: object) -> str:
    if isinstance(key, enum.Enum):
        return str(key.value)
    return key if isinstance(key, str) else str(key)
