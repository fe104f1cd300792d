"""A call's arguments, checked against the schema of its tool before the tool sees them.

Some models send numbers as strings, or objects as JSON text. Where that is beyond doubt it is
converted first; the message keeps what the model wrote. The converting reads the schema only as
far as it must (``schema``); whether the outcome fits is for the validator in Rust to say.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any, Never

import msgspec

from tinyagent._diagnostics import diagnose
from tinyagent._host.schema import Schema, converted
from tinyagent.agent_types import AgentTool, Tool, ToolCallContent
from tinyagent.agent_types._dump import valid_text

RECEIVED_CHARS_MAX = 2000
"""So much of what was received is shown to the model again."""

Fault = tuple[str, str]
"""Where, as a JSON pointer (RFC 6901), and what is wrong there."""


class ToolArgumentsError(ValueError):
    """The arguments do not fit. The text is for the model: every fault, and what was received."""


class BrokenSchemaError(ValueError):
    """The schema of a tool is none, so nothing can be checked with it."""


def validate_tool_arguments(tool: Tool, tool_call: ToolCallContent) -> dict[str, Any]:
    """Return the arguments of *tool_call* as *tool* is to get them: checked, a new dict.

    Arguments that are only there as text (``partial_json``) are read from it.

    Raises:
        ToolArgumentsError: they do not fit the tool's ``parameters``.
    """
    return checked(tool, tool_call.arguments or tool_call.partial_json)


def checked(
    tool: Tool, given: object, *, report: Callable[[str, str], object] | None = None
) -> dict[str, Any]:
    """Return *given* (a dict, JSON text or nothing) as arguments for *tool*.

    A tool whose schema is broken, or that says ``validate=False``, takes any object.

    Args:
        tool: whose ``parameters`` they are to fit.
        given: never changed.
        report: told that the schema is broken; without it the log of the application is, once.

    Raises:
        ToolArgumentsError: they do not fit.
    """
    text = None
    if isinstance(given, str) and (arguments := _decoded(given)) is not None:
        text = given.encode()
    else:
        arguments = parsed(tool.name, given)
    typed = getattr(tool, "__tinyagent_faults__", None)
    if typed is not None:
        # Its own types: nothing is converted. What the schema finds is told once.
        faults, own = faults_beside_types(tool.parameters, arguments, text), typed(arguments)
        if faults or own:
            places = {pointer for pointer, _ in faults}
            faults += [fault for fault in own if not _is_below(fault[0], places)]
            _refuse(tool.name, faults, given)
        return arguments
    if not tool.parameters or (isinstance(tool, AgentTool) and not tool.validate):
        return arguments
    try:
        faults = schema_faults(tool.parameters, arguments, text)
        if faults:
            arguments = converted(arguments, Schema(tool.parameters))
            faults = schema_faults(tool.parameters, arguments)
        if faults:
            arguments = without_spare_nulls(arguments, tool.parameters, faults)
            faults = schema_faults(tool.parameters, arguments)
    except BrokenSchemaError as error:
        told = f"the arguments of tool {tool.name} are not checked: {error}"
        (report or diagnose)("tool.schema", told)
        return arguments
    if faults:
        _refuse(tool.name, faults, given)
    return arguments


def _decoded(text: str) -> dict[str, Any] | None:
    """Return the object that *text* is; None if ``parsed`` has to say what is wrong with it.

    What msgspec takes, ``json`` takes, to the same values; it takes less, and says less.
    """
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def parsed(name: str, given: object) -> dict[str, Any]:
    """Return *given* as a dict of its own.

    Raises:
        ToolArgumentsError: it is no JSON object.
    """
    value = given
    if isinstance(given, str):
        if not given.strip():
            return {}
        try:
            value = json.loads(given, parse_constant=_no_constant)
            # Half a character: the model could not be told with what the tool was run.
            json.dumps(value, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            told = f"not JSON: {error.msg} at character {error.pos + 1} of {len(given)}"
            _refuse(name, [("", told)], given)
        except (ValueError, RecursionError) as error:
            _refuse(name, [("", f"not JSON: {error}")], given)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        _refuse(name, [("", f"expected an object, got {type(value).__name__}")], given)
    return copy.deepcopy(dict(value))


def schema_faults(
    schema: Mapping[str, Any], arguments: Mapping[str, Any], text: bytes | None = None
) -> list[Fault]:
    """Return everything in *arguments* that does not fit *schema*, in order.

    *text* is the arguments as JSON, if they are there as such.

    Raises:
        BrokenSchemaError: *schema* is none, or refers to something outside itself; or the
            extension cannot be loaded.
    """
    try:
        schema_json = _schema_json(schema)
    except (TypeError, ValueError) as error:
        raise BrokenSchemaError(f"the schema is no JSON: {error}") from None
    try:
        arguments_json = _json(arguments) if text is None else text
    except (TypeError, ValueError) as error:
        return [("", f"not JSON: {error}")]
    try:
        from tinyagent._alchemy import check_arguments
    except ImportError as error:
        raise BrokenSchemaError(f"what checks them cannot be loaded: {error}") from None
    try:
        return check_arguments(schema_json, arguments_json)
    except ValueError as error:
        raise BrokenSchemaError(str(error)) from None


def faults_beside_types(
    schema: Mapping[str, Any], arguments: Mapping[str, Any], text: bytes | None = None
) -> list[Fault]:
    """Return what ``schema_faults`` finds; nothing where nothing can be checked: types are left."""
    try:
        return schema_faults(schema, arguments, text)
    except BrokenSchemaError:
        return []


def without_spare_nulls(
    arguments: Mapping[str, Any], schema: Mapping[str, Any], faults: list[Fault]
) -> dict[str, Any]:
    """Return *arguments* without each null that *faults* name and the schema does not require.

    Some models send null where they mean nothing.
    """
    result = copy.deepcopy(dict(arguments))
    for pointer, _ in faults:
        *way, name = _steps(pointer) or [""]
        holder: Any = result
        shape = Schema(schema)
        for step in way:
            shape = shape.inside(step, holder)
            holder = holder[int(step)] if isinstance(holder, list) else holder[step]
        if isinstance(holder, dict) and holder.get(name, "") is None and not shape.requires(name):
            del holder[name]
    return result


def _is_below(pointer: str, places: set[str]) -> bool:
    """Whether something is said already of *pointer*, of what holds it, or of what is in it."""
    return any(
        pointer == place or pointer.startswith(f"{place}/") or place.startswith(f"{pointer}/")
        for place in places
        if place
    )


def _refuse(name: str, faults: list[Fault], given: object) -> Never:
    try:
        received = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    except (TypeError, ValueError):
        received = repr(given)
    lines = [f"- {_place(pointer)}: {what}" for pointer, what in faults]
    raise ToolArgumentsError(
        "\n".join(
            [
                f"Invalid arguments for tool {name}:",
                *lines,
                f"Received: {received[:RECEIVED_CHARS_MAX]}",
            ]
        )
    )


def _place(pointer: str) -> str:
    """Return a JSON pointer as models write it: ``$.edits[1].old``."""
    steps = (f"[{step}]" if step.isdigit() else f".{step}" for step in _steps(pointer))
    return "$" + "".join(steps)


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _json(value: object) -> bytes:
    return valid_text(json.dumps(value, ensure_ascii=False, allow_nan=False)).encode()


_SCHEMAS: dict[int, tuple[Mapping[str, Any], bytes]] = {}
_SCHEMAS_MAX = 256


def _schema_json(schema: Mapping[str, Any]) -> bytes:
    """Return *schema* as JSON; encoded again only if it is not what it was the last time."""
    known = _SCHEMAS.get(id(schema))
    if known is not None and known[0] == schema:
        return known[1]
    encoded = _json(schema)
    if len(_SCHEMAS) >= _SCHEMAS_MAX:
        _SCHEMAS.clear()
    _SCHEMAS[id(schema)] = (copy.deepcopy(dict(schema)), encoded)
    return encoded


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is no JSON value")
