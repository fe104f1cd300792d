"""The base of the compatible types: mutable structs that keep what they do not know.

``msgspec`` gives speed, but its structs refuse unknown keywords, and whatever lies in an
instance's ``__dict__`` is dropped by its ``==``, ``copy``, ``pickle`` and encoders. So the
metaclass takes the keywords, and every operation that must see the extras is written out here.
"""

import copy
import inspect
import sys
from collections.abc import Callable, Mapping, Set as AbstractSet
from typing import (
    TYPE_CHECKING,
    ClassVar,
    Literal,
    NamedTuple,
    Self,
    TypeVar,
    cast,
    dataclass_transform,
    get_args,
)

import msgspec

from tinyagent.agent_types._dump import dump_fields, dump_value, valid_text
from tinyagent.agent_types._faults import Fault, validation_error
from tinyagent.agent_types._later import (
    LATER,
    bare_copy,
    defer as defer,
    make as make,
    own,
    snapshot as snapshot,
    waiting,
)
from tinyagent.agent_types._shapes import Convert, shape_of

S = TypeVar("S", bound="Structure")


class Plan(NamedTuple):
    """What the constructors of one class do, found out on first use.

    Attributes:
        fixes: for the fields that a constructor converts or copies.
        checks: for every field, what ``model_validate`` does.
        complete: the class's own last word on what was given; None if it has none.
    """

    fixes: tuple[tuple[str, Convert], ...]
    checks: tuple[tuple[str, Convert], ...]
    complete: Callable[[dict[str, object]], None] | None


@dataclass_transform(kw_only_default=True, field_specifiers=(msgspec.field,))
class StructureMeta(msgspec.StructMeta):
    """Makes classes whose constructors take unknown keywords, convert dicts and copy containers."""

    __plan__: Plan | None

    def __new__(
        mcs: "type[_M]",
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, object],
        /,
        *,
        forbid_unknown_fields: bool = False,
    ) -> "_M":
        for key in cast("Mapping[str, object]", namespace.get("__annotations__", {})):
            default = namespace.get(key)
            # As users of other model libraries write it. The default is never shared.
            if (isinstance(default, list | dict | set) and default) or isinstance(
                type(default), StructureMeta
            ):
                namespace[key] = msgspec.field(default_factory=_copier(default))
        cls = super().__new__(
            mcs,
            name,
            bases,
            namespace,
            kw_only=True,
            dict=True,
            weakref=True,
            eq=False,
            forbid_unknown_fields=forbid_unknown_fields,
        )
        cls.__plan__ = None
        return cls

    if not TYPE_CHECKING:

        def __call__(cls, /, **given):
            plan = cls.__plan__
            if plan is None:
                plan = _plan(cls)
            try:
                for name, fix in plan.fixes:
                    value = given.get(name)
                    if value is not None:
                        given[name] = fix(value)
            except Fault as fault:
                raise validation_error(cls.__name__, fault.inside(name)) from None
            if plan.complete is not None:
                plan.complete(given)
            try:
                return make(cls, **given)
            except TypeError:
                return _with_extras(cls, given)


_M = TypeVar("_M", bound=StructureMeta)


def _copier(default: object) -> Callable[[], object]:
    return lambda: copy.deepcopy(default)


# Again here: type checkers ask the bases first, and ``msgspec.Struct`` says "positional".
@dataclass_transform(kw_only_default=True, field_specifiers=(msgspec.field,))
class Structure(msgspec.Struct, metaclass=StructureMeta):
    """Base of every compatible type. Fields are keywords; unknown keywords are kept as extras.

    Constructors turn dicts into structs where a struct belongs, copy lists and JSON objects, and
    check nothing else; ``model_validate`` checks. Assignment never does.
    """

    __told_by__: ClassVar[tuple[str, ...]] = ()
    """Keys by which a dict without ``type`` is known to be of this class."""
    __undumped__: ClassVar[frozenset[str]] = frozenset()
    """Fields that no dump shows."""
    __undumped_in_json__: ClassVar[frozenset[str]] = frozenset()
    """Fields that are no JSON."""

    @classmethod
    def __complete__(cls, given: dict[str, object]) -> None:
        """Change *given*, the fields about to be set, in place. For classes to override.

        Raises:
            ValidationError: by way of ``reject``.
        """

    @classmethod
    def __words__(cls, field: str) -> tuple[object, ...] | None:
        annotation = _annotations(cls).get(field)
        return get_args(annotation) or None

    @classmethod
    def __from_dict__(cls, given: Mapping[object, object], *, checked: bool) -> Self:
        for key in given:
            if not isinstance(key, str):
                raise Fault("has a key that is not a string", key)
        fields = dict(cast("Mapping[str, object]", given))
        if not checked:
            return cls(**fields)
        plan = cls.__plan__ or _plan(cls)
        for name, check in plan.checks:
            if name in fields:
                try:
                    fields[name] = check(fields[name])
                except Fault as fault:
                    raise fault.inside(name) from None
        if plan.complete is not None:
            plan.complete(fields)
        return _with_extras(cls, fields)

    @classmethod
    def model_validate(cls, obj: object) -> Self:
        """Return *obj* itself if it is an instance, else an instance made from a dict.

        Raises:
            ValidationError: neither, or a field of a wrong type or an unknown literal.
        """
        if isinstance(obj, cls):
            return obj
        try:
            if not isinstance(obj, dict):
                kind = type(obj).__name__
                raise Fault(f"must be a dict or {cls.__name__}, not {kind}", obj)
            return cls.__from_dict__(cast("dict[object, object]", obj), checked=True)
        except Fault as fault:
            raise validation_error(cls.__name__, fault) from None

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray) -> Self:
        """Return an instance made from JSON text.

        Raises:
            ValidationError: no JSON, or not of this class.
        """
        import json  # a part of what importing the package costs, and rarely needed

        try:
            value = cast("object", json.loads(json_data))
        except (ValueError, RecursionError) as error:
            raise validation_error(
                cls.__name__, Fault(f"invalid JSON: {error}", json_data)
            ) from None
        return cls.model_validate(value)

    def model_dump(
        self,
        *,
        mode: Literal["python", "json"] = "python",
        exclude_none: bool = False,
        include: AbstractSet[str] | None = None,
        exclude: AbstractSet[str] | None = None,
    ) -> dict[str, object]:
        """Return the fields as a new dict, in order, extras last, nested structs dumped too.

        Args:
            mode: ``json`` gives enums as strings, sets as sorted lists, tools without functions.
            exclude_none: leave out fields that are None, at every depth. None inside JSON objects
                and None slots of lists stay.
            include: the only fields to show, of this level.
            exclude: fields to leave out, of this level.
        """
        given = dump_fields(self, _extras(self), is_json=mode == "json", exclude_none=exclude_none)
        return {
            name: value
            for name, value in given.items()
            if (include is None or name in include) and (exclude is None or name not in exclude)
        }

    def model_dump_json(self, *, exclude_none: bool = False, indent: int | None = None) -> str:
        """Return the dump in JSON mode as text. A lone surrogate becomes U+FFFD."""
        import json  # as above

        text = json.dumps(
            self.model_dump(mode="json", exclude_none=exclude_none),
            ensure_ascii=False,
            indent=indent,
            separators=(",", ":") if indent is None else None,
        )
        return valid_text(text)

    def model_copy(self, *, update: Mapping[str, object] | None = None, deep: bool = False) -> Self:
        """Return a copy of the same class, extras kept. *update* is set unchecked.

        *deep* copies blocks and JSON too; signals and functions stay the same objects.
        """
        result = copy.deepcopy(self) if deep else copy.copy(self)
        for name, value in (update or {}).items():
            setattr(result, name, value)
        return result

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        mine, theirs = _state(self), _state(other)
        return mine == theirs

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in _state(self).items())
        return f"{type(self).__name__}({shown})"

    def __copy__(self) -> Self:
        extras = _extras(self)
        result = bare_copy(self)
        own(result).update(extras)
        return result

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        result = copy.copy(self)
        memo[id(self)] = result
        for name, value in _state(self).items():
            if name not in self.__undumped_in_json__:
                setattr(result, name, copy.deepcopy(value, memo))
        return result

    def __replace__(self, /, **changes: object) -> Self:
        return self.model_copy(update=changes)

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (type(self), _state(self))

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            # To look into the dict makes one, which is kept; many are asked for a protocol.
            later = None if name.startswith("__") else self.__dict__.get(LATER)
            if later is None or name not in later:
                kind = type(self).__name__
                raise AttributeError(f"{kind!r} object has no attribute {name!r}")
            value = later.pop(name)()
            if not later:
                del self.__dict__[LATER]
            setattr(self, name, value)
            return value


def reject(cls: type[Structure], field: str, problem: str, value: object) -> ValueError:
    """Return the ``ValidationError`` to raise for the value given for *field* of *cls*."""
    return validation_error(cls.__name__, Fault(problem, value, (field,)))


def dump_json_value(value: object) -> object:
    """Return *value*, a struct or a container of structs, as JSON values."""
    return dump_value(value, is_json=True, exclude_none=True)


def _extras(of: Structure) -> dict[str, object]:
    extras = own(of)
    for name in tuple(waiting(of)):
        getattr(of, name)
    # Still there if a field was assigned before it was ever read.
    extras.pop(LATER, None)
    return extras


def _state(of: Structure) -> dict[str, object]:
    """Return fields and extras, without copying any of them."""
    extras = _extras(of)
    return {name: getattr(of, name) for name in of.__struct_fields__} | extras


def _restored(cls: type[S], state: dict[str, object]) -> S:
    """Return an instance with exactly this state: what ``copy`` and ``pickle`` call."""
    known = {name: state[name] for name in cls.__struct_fields__ if name in state}
    result = cast("S", make(cls, **known))
    own(result).update({name: state[name] for name in state if name not in known})
    return result


def _with_extras(cls: type[S], given: dict[str, object]) -> S:
    fields = cls.__struct_fields__
    extras = [name for name in given if name not in fields]
    for name in extras:
        if cls.__struct_config__.forbid_unknown_fields:
            raise reject(cls, name, "there is no such field", given[name])
        # Such a value would hide a method of the instance.
        if hasattr(cls, name) or name == LATER:
            raise reject(cls, name, "an extra field may not have this name", given[name])
    optional = cls.__struct_defaults__
    required = fields[: len(fields) - len(optional)]
    for name, default in zip(fields[len(required) :], optional, strict=True):
        if default is msgspec.NODEFAULT:
            required += (name,)
    for name in required:
        if name not in given:
            raise reject(cls, name, "is required", given)
    return _restored(cls, given)


def _annotations(cls: type) -> dict[str, object]:
    """Return the annotations of *cls* and its bases; a name that cannot be found is ``object``."""
    found: dict[str, object] = {}
    for base in reversed(cls.__mro__):
        names = vars(sys.modules.get(base.__module__, object))
        for name, annotation in inspect.get_annotations(base).items():
            if isinstance(annotation, str):
                try:
                    annotation = eval(annotation, dict(names), dict(vars(base)))
                except Exception:
                    annotation = object
            found[name] = annotation
    return found


def _plan(cls: type[Structure]) -> Plan:
    annotations = _annotations(cls)
    shapes = {name: shape_of(annotations.get(name, object)) for name in cls.__struct_fields__}
    completes = any(
        "__complete__" in vars(base) for base in cls.__mro__[:-1] if base is not Structure
    )
    plan = Plan(
        fixes=tuple((name, shape.fix) for name, shape in shapes.items() if shape.fix is not None),
        checks=tuple((name, shape.check) for name, shape in shapes.items()),
        complete=cls.__complete__ if completes else None,
    )
    cls.__plan__ = plan
    return plan
