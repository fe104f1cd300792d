"""What an annotation says about a value, as two functions.

*fix* is what a constructor does: it turns dicts into structs, copies containers and never
complains about a type. *check* is what ``model_validate`` does: the same, and a value that does
not fit is a ``Fault``. Both are made once per field, on first use of its class.
"""

import dataclasses
import enum
import types
from collections.abc import Callable, Sequence
from typing import (
    Annotated,
    Literal,
    NamedTuple,
    Protocol,
    TypeGuard,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    runtime_checkable,
)

import msgspec

from tinyagent.agent_types._faults import Fault, one_of
from tinyagent.agent_types._json import JsonValue, copy_json

Convert = Callable[[object], object]


@runtime_checkable
class FromDict(Protocol):
    """A class of ours, which knows how to make an instance from a dict."""

    __name__: str
    __struct_fields__: tuple[str, ...]
    __told_by__: tuple[str, ...]

    def __from_dict__(self, given: dict[object, object], *, checked: bool) -> object:
        """Return an instance; *checked* decides whether wrong types are a ``Fault``."""
        ...

    def __words__(self, field: str) -> tuple[object, ...] | None:
        """Return the literals that *field* admits; None if it admits any string or is not there."""
        ...


class Shape(NamedTuple):
    """The two functions for one annotation.

    Attributes:
        name: what is expected, in words of an error message.
        check: returns the value to store, or raises ``Fault``.
        fix: returns the value to store; None where there is nothing to do.
        of: the class of ours or the plain class that this shape is about, if it is one.
    """

    name: str
    check: Convert
    fix: Convert | None = None
    of: object = None


def shape_of(wanted: object) -> Shape:
    """Return the shape of the annotation *wanted*; of one that says nothing, a shape for all."""
    wanted = _without_alias(wanted)
    origin, arguments = get_origin(wanted), get_args(wanted)
    if wanted == JsonValue:
        return Shape("a JSON value", _check_json)
    if origin is Union or origin is types.UnionType:
        return _union([shape_of(argument) for argument in arguments])
    if origin is Literal:
        return _literal(arguments)
    if origin is list:
        return _list(shape_of(arguments[0]))
    if origin is set:
        return _set(shape_of(arguments[0]))
    if origin is dict:
        return _dict(shape_of(arguments[1]))
    if origin is Annotated:
        return shape_of(arguments[0])
    if isinstance(wanted, type) and origin is None:
        return _class(wanted)
    return _ANYTHING


def _without_alias(wanted: object) -> object:
    """Return what a ``type X = ...`` statement or a ``NewType`` stands for."""
    while True:
        inner: object = getattr(wanted, "__value__", None) or getattr(wanted, "__supertype__", None)
        if inner is None or isinstance(wanted, TypeVar):
            return wanted
        wanted = inner


def _class(wanted: type) -> Shape:
    if isinstance(wanted, FromDict):
        return _structure(wanted)
    if wanted is type(None):
        return Shape("None", lambda value: _same(value, value is None, "None"), of=wanted)
    if issubclass(wanted, enum.Enum):
        return _enum(wanted)
    if wanted in (list, set, dict):
        return {list: _list(_ANYTHING), set: _set(_ANYTHING), dict: _dict(_ANYTHING)}[wanted]
    if dataclasses.is_dataclass(wanted):
        return _dataclass(wanted)
    if wanted is object:
        return _ANYTHING
    return _plain_class(wanted)


_ANYTHING = Shape("anything", lambda value: value)


def _same(value: object, fits: bool, name: str) -> object:
    if not fits:
        raise Fault(f"must be {name}, not {type(value).__name__}", value)
    return value


def _plain_class(wanted: type) -> Shape:
    def check(value: object) -> object:
        if isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)):
            return value
        try:
            # Not strict: hosts send "5" and 5.0 where an int is meant, and always could.
            return cast("object", msgspec.convert(value, wanted, strict=False))
        except (msgspec.ValidationError, TypeError):
            name = type(value).__name__
            raise Fault(f"must be {wanted.__name__}, not {name}", value) from None

    return Shape(wanted.__name__, check, of=wanted)


def _literal(words: tuple[object, ...]) -> Shape:
    def check(value: object) -> object:
        if any(value == word and type(value) is type(word) for word in words):
            return value
        raise Fault(f"must be {one_of(words)}, not {value!r}", value)

    return Shape(one_of(words), check)


def _enum(wanted: type[enum.Enum]) -> Shape:
    words = tuple(cast("object", member.value) for member in wanted)

    def check(value: object) -> object:
        try:
            return wanted(value)
        except ValueError:
            raise Fault(f"must be {one_of(words)}, not {value!r}", value) from None

    def fix(value: object) -> object:
        return wanted(value) if value in words else value

    return Shape(one_of(words), check, fix, wanted)


def _structure(wanted: FromDict) -> Shape:
    kind = cast("type", wanted)

    def check(value: object) -> object:
        if isinstance(value, dict):
            return wanted.__from_dict__(cast("dict[object, object]", value), checked=True)
        return _same(value, isinstance(value, kind), wanted.__name__)

    def fix(value: object) -> object:
        if isinstance(value, dict):
            return wanted.__from_dict__(cast("dict[object, object]", value), checked=False)
        return value

    return Shape(wanted.__name__, check, fix, wanted)


def _dataclass(wanted: type) -> Shape:
    def check(value: object) -> object:
        if isinstance(value, dict):
            try:
                return cast("object", wanted(**cast("dict[str, object]", value)))
            except TypeError as error:
                raise Fault(str(error), cast("object", value)) from None
        return _same(value, isinstance(value, wanted), wanted.__name__)

    return Shape(wanted.__name__, check, of=wanted)


def _list(item: Shape) -> Shape:
    text_block = _text_block_in(item)

    def each(value: object, convert: Convert | None) -> list[object]:
        if isinstance(value, str) and text_block is not None:
            return [text_block({"type": "text", "text": value})]
        result: list[object] = list(cast("Sequence[object]", value))
        if convert is not None:
            for place, element in enumerate(result):
                try:
                    result[place] = convert(element)
                except Fault as fault:
                    raise fault.inside(place) from None
        return result

    def check(value: object) -> object:
        if not isinstance(value, list | tuple) and not (isinstance(value, str) and text_block):
            raise Fault(f"must be a list, not {type(value).__name__}", value)
        return each(cast("object", value), item.check)

    def fix(value: object) -> object:
        if type(value) is list or (isinstance(value, tuple | str | list)):
            return each(cast("object", value), item.fix)
        return value

    return Shape("a list", check, fix)


def _text_block_in(item: Shape) -> Convert | None:
    """Return what makes a text block, if *item* admits one: a string stands for a list of it."""
    member = _member_for({"type": "text"}, _structures_of(item))
    if member is None or "text" not in member.__struct_fields__:
        return None
    return _structure(member).fix


def _set(item: Shape) -> Shape:
    def check(value: object) -> object:
        if not isinstance(value, set | frozenset | list | tuple):
            raise Fault(f"must be a set, not {type(value).__name__}", value)
        return {item.check(element) for element in cast("Sequence[object]", value)}

    def fix(value: object) -> object:
        if isinstance(value, set | frozenset | list | tuple):
            return set(cast("Sequence[object]", value))
        return value

    return Shape("a set", check, fix)


def _dict(item: Shape) -> Shape:
    def check(value: object) -> object:
        if not isinstance(value, dict):
            raise Fault(f"must be a dict, not {type(value).__name__}", value)
        result: dict[str, object] = {}
        for key, element in cast("dict[object, object]", value).items():
            if not isinstance(key, str):
                raise Fault("has a key that is not a string", key)
            try:
                result[key] = copy_json(item.check(element))
            except Fault as fault:
                raise fault.inside(key) from None
        return result

    return Shape("a dict", check, copy_json)


def _check_json(value: object) -> object:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list):
        return _list(_JSON).check(cast("list[object]", value))
    if isinstance(value, dict):
        return _dict(_JSON).check(cast("dict[object, object]", value))
    raise Fault(f"must be a JSON value, not {type(value).__name__}", value)


_JSON = Shape("a JSON value", _check_json)


def _structures_of(shape: Shape) -> list[FromDict]:
    if isinstance(shape.of, list):
        return cast("list[FromDict]", shape.of)
    return [shape.of] if _is_ours(shape.of) else []


def _is_ours(value: object) -> TypeGuard[FromDict]:
    return isinstance(value, type) and isinstance(value, FromDict)


def _member_for(given: dict[object, object], members: list[FromDict]) -> FromDict | None:
    """Return which of *members* the dict *given* stands for; None if its tag fits none.

    Its ``role`` or ``type`` decides; a member that takes any string there takes the rest. Without
    a tag its keys decide, and where these say nothing, the first member.
    """
    tag = next(
        (tag for tag in ("role", "type") if any(tag in m.__struct_fields__ for m in members)), ""
    )
    if tag in given:
        for member in members:
            words = member.__words__(tag)
            if words is None or given[tag] in words:
                return member
        return None
    for member in members:
        if any(name in given for name in member.__told_by__):
            return member
    return members[0] if members else None


def _tags_of(members: list[FromDict]) -> tuple[str, tuple[object, ...]]:
    tag = next(
        (tag for tag in ("role", "type") if any(tag in m.__struct_fields__ for m in members)), ""
    )
    return tag, tuple(word for member in members for word in member.__words__(tag) or ())


def _union(shapes: list[Shape]) -> Shape:
    optional = any(shape.of is type(None) for shape in shapes)
    rest = [shape for shape in shapes if shape.of is not type(None)]
    if len(rest) == 1:
        return _optional(rest[0]) if optional else rest[0]
    members = [member for shape in rest for member in _structures_of(shape)]
    others = [shape for shape in rest if not _structures_of(shape)]
    names = " or ".join(shape.name for shape in rest)

    def made(value: dict[object, object], *, checked: bool) -> object:
        member = _member_for(value, members)
        if member is None:
            tag, words = _tags_of(members)
            raise Fault(f"must be {one_of(words)}, not {value[tag]!r}", value[tag], (tag,))
        return member.__from_dict__(value, checked=checked)

    def check(value: object) -> object:
        if value is None and optional:
            return value
        if isinstance(value, dict) and members:
            return made(cast("dict[object, object]", value), checked=True)
        if isinstance(value, tuple(cast("list[type]", members))):
            return value
        if any(shape.of is type(value) for shape in others):
            return value
        for shape in others:
            try:
                return shape.check(value)
            except Fault:
                continue
        raise Fault(f"must be {names}, not {type(value).__name__}", value)

    def fix(value: object) -> object:
        if isinstance(value, dict) and members:
            return made(cast("dict[object, object]", value), checked=False)
        for shape in others:
            if shape.fix is not None:
                value = shape.fix(value)
        return value

    needed = bool(members) or any(shape.fix is not None for shape in others)
    return Shape(names, check, fix if needed else None, members or None)


def _optional(inner: Shape) -> Shape:
    def check(value: object) -> object:
        return value if value is None else inner.check(value)

    return Shape(inner.name, check, inner.fix, inner.of)
