"""A tool's JSON Schema from the signature of a function, and its arguments as the function's.

The types are msgspec's to describe and to decode; here they are put in order for models: every
reference inlined, so that the root is a plain object; a type beside every ``enum``; no titles; no
property that nobody named. A type that contains itself has no such form, and is refused.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypedDict, get_origin, get_type_hints

import msgspec

from tinyagent.actors.context import Ctx
from tinyagent.actors.docstrings import described
from tinyagent.runtime.errors import ToolDefinitionError

Fault = tuple[str, str]
"""Where, as a JSON pointer (RFC 6901), and what is wrong there."""
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_GUESSES = {"when": "datetime.date", "date": "datetime.date", "day": "datetime.date"}
_PATH = re.compile(r" - at `\$(.*)`$")


class Parameter(msgspec.Struct, frozen=True):
    """One argument: its name, its annotation, and whether a call must give it."""

    name: str
    type: Any
    is_required: bool


class Signature(msgspec.Struct, frozen=True):
    """What a function tells of itself as a tool.

    Attributes:
        context: name of the parameter that takes the ``Ctx``; empty if none does.
        whole: a struct of one field, ``arguments``: all of them, of which any may be missing.
        schema: of the arguments. description: the docstring, without what is about arguments.
    """

    context: str
    parameters: tuple[Parameter, ...]
    whole: Any
    schema: dict[str, Any]
    description: str

    def decoded(self, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
        """Return *arguments* as the function takes them, and what does not fit. Nothing is mended.

        Names that the signature has not, and arguments that are missing, are the schema's to find.
        """
        try:
            whole = msgspec.convert({"arguments": arguments}, self.whole, strict=True)
            return whole.arguments, []
        except msgspec.ValidationError:
            return self._decoded_each(arguments)

    def _decoded_each(self, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
        """Return the same, argument by argument: to say of each what is wrong with it."""
        values: dict[str, Any] = {}
        faults: list[Fault] = []
        for parameter in self.parameters:
            if parameter.name not in arguments:
                continue
            given = arguments[parameter.name]
            try:
                values[parameter.name] = msgspec.convert(given, parameter.type, strict=True)
            except msgspec.ValidationError as error:
                faults.append(_fault(parameter.name, given, str(error)))
        return values, faults


def signature_of(function: Callable[..., Any], name: str) -> Signature:
    """Return what *function* tells of itself as the tool *name*.

    Raises:
        ToolDefinitionError: it cannot become a tool; the text says where, and what to write.
    """
    definition = _Definition(function, name)
    text, told = described(inspect.getdoc(function) or "")
    hints = definition.hints()
    found = list(inspect.signature(function).parameters.values())
    context = ""
    if found and _is_context(hints.get(found[0].name)):
        context = found.pop(0).name
    parameters: list[Parameter] = []
    properties: dict[str, Any] = {}
    for each in found:
        parameter = definition.parameter(each, hints, told)
        parameters.append(parameter)
        properties[each.name] = definition.schema(parameter, each.default, told.get(each.name))
    for unknown in told.keys() - properties.keys() - {context}:
        definition.refuse(
            f"the docstring describes `{unknown}`, which is no parameter",
            f"one of {', '.join(properties) or 'none'} in the Args block",
        )
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    required = [each.name for each in parameters if each.is_required]
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    # As a log gives it back: without tuples among the defaults.
    schema = msgspec.json.decode(msgspec.json.encode(schema))
    make: Any = TypedDict
    arguments = make("Arguments", {each.name: each.type for each in parameters}, total=False)
    # msgspec looks a TypedDict's types up in each call, but those of a struct once.
    whole = msgspec.defstruct("Whole", [("arguments", arguments)])
    return Signature(context, tuple(parameters), whole, schema, text)


class _Definition:
    """One function on its way to a tool: what is said when it cannot become one."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function = function
        self._name = name

    def refuse(self, why: str, instead: str) -> NoReturn:
        """Raise ``ToolDefinitionError``."""
        code = getattr(inspect.unwrap(self._function), "__code__", None)
        path, line = ("", 0) if code is None else (code.co_filename, code.co_firstlineno)
        raise ToolDefinitionError(self._name, path, line, why, instead) from None

    def hints(self) -> dict[str, Any]:
        """Return the annotations, resolved."""
        try:
            return get_type_hints(self._function, include_extras=True)
        except NameError as error:
            self.refuse(
                f"an annotation names {error.name!r}, which is not there",
                "import it where the module is run, or define it outside of functions",
            )

    def parameter(
        self, each: inspect.Parameter, hints: dict[str, Any], told: dict[str, str]
    ) -> Parameter:
        """Return one parameter as an argument."""
        where = f"parameter `{each.name}`"
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            star = "*" if each.kind is each.VAR_POSITIONAL else "**"
            self.refuse(f"parameter `{star}{each.name}`: takes any number", "a list, or a dict")
        if each.kind is each.POSITIONAL_ONLY:
            self.refuse(f"{where}: has no name for a call to use", "the signature without the /")
        annotation = hints.get(each.name)
        if annotation is None and each.name not in hints:
            guess = type(each.default).__name__ if _has_default(each.default) else ""
            guess = guess if guess not in ("", "NoneType") else _GUESSES.get(each.name, "str")
            if each.name == "ctx":
                guess = "tinyagent.Ctx"
            self.refuse(f"{where}: no annotation, so no schema", f"{each.name}: {guess}")
        if _is_context(annotation):
            self.refuse(f"{where}: a Ctx that is not the first", f"{each.name} before the others")
        return Parameter(each.name, annotation, not _has_default(each.default))

    def schema(self, parameter: Parameter, default: object, told: str | None) -> dict[str, Any]:
        """Return the schema of one argument."""
        try:
            (schema,), named = msgspec.json.schema_components(
                [parameter.type], ref_template="{name}"
            )
        except (TypeError, NameError) as error:
            self.refuse(
                f"parameter `{parameter.name}`: {str(error).splitlines()[-1]}",
                "str, int, float, bool, list, dict, Literal, an Enum, a dataclass or a Struct",
            )
        plain: dict[str, Any] = self._inlined(schema, named, (), parameter.name)
        if told and "description" not in plain:
            plain = {"description": told, **plain}
        if not parameter.is_required:
            plain["default"] = msgspec.to_builtins(default)
        return plain

    def _inlined(
        self, node: Any, named: dict[str, Any], inside: tuple[str, ...], parameter: str
    ) -> Any:
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if reference is not None:
            if reference in inside:
                self.refuse(
                    f"parameter `{parameter}`: {reference} contains itself",
                    "a list of parts that name each other by id",
                )
            rest = {word: value for word, value in node.items() if word != "$ref"}
            node, inside = {**named[reference], **rest}, (*inside, reference)
        found = {word: node[word] for word in node if word not in ("title", "discriminator")}
        for word, value in found.items():
            if word in ("properties", "patternProperties"):
                found[word] = {
                    name: self._inlined(each, named, inside, parameter)
                    for name, each in value.items()
                }
            elif word in ("anyOf", "prefixItems"):
                found[word] = [self._inlined(each, named, inside, parameter) for each in value]
            elif word in ("items", "additionalProperties"):
                found[word] = self._inlined(value, named, inside, parameter)
        if "enum" in found:
            found = {"type": _type_of(found["enum"]), **found}
        if "properties" in found:
            found.setdefault("additionalProperties", False)
        return found


def _is_context(annotation: object) -> bool:
    return annotation is Ctx or get_origin(annotation) is Ctx


def _has_default(default: object) -> bool:
    return default is not inspect.Parameter.empty


def _type_of(values: list[Any]) -> str | list[str]:
    """Return the JSON type of *values*, or their types."""
    types = list(dict.fromkeys(_TYPES[type(value)] for value in values))
    return types[0] if len(types) == 1 else types


def _fault(name: str, given: Any, told: str) -> Fault:
    """Return what msgspec says of one argument as a place, and what was expected and found."""
    found = _PATH.search(told)
    pointer = f"/{name}"
    if found is not None:
        told = told[: found.start()]
        for step in re.findall(r"\[(\d+)\]|\.([^.\[]+)", found[1]):
            step = step[0] or step[1]
            pointer += f"/{step}"
            given = _inside(given, step)
    told = told[0].lower() + told[1:].replace("`", "")
    if ", got" not in told:
        told += f", got {msgspec.json.encode(given).decode()}"
    return pointer, told


def _inside(given: Any, step: str) -> Any:
    if isinstance(given, list) and step.isdigit():
        return given[int(step)]
    return given.get(step) if isinstance(given, dict) else given
