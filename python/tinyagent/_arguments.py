"""A call's arguments, checked against the schema of its tool before the tool sees them.

Some models send numbers as strings or objects as JSON text. Where that is unambiguous it is
converted; the message keeps what the model wrote.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import msgspec

from tinyagent.agent_types import AgentTool, Tool, ToolCallContent

RECEIVED_CHARS_MAX = 2000


class ToolArgumentsError(ValueError):
    """The arguments do not fit. The text is for the model: every fault, and what was received."""


def validate_tool_arguments(tool: Tool, tool_call: ToolCallContent) -> dict[str, Any]:
    """Return the checked arguments of *tool_call*, a new dict.

    Raises:
        ToolArgumentsError: they do not fit the tool's ``parameters``.
    """
    given: Any = tool_call.arguments
    if not given and tool_call.partial_json:
        given = tool_call.partial_json
    return checked(tool, given)


def checked(tool: Tool, given: Any) -> dict[str, Any]:
    """Return *given* (a dict, JSON text or nothing) as arguments for *tool*.

    Raises:
        ToolArgumentsError: they do not fit.
    """
    arguments = parsed(tool.name, given)
    if isinstance(tool, AgentTool) and not tool.validate:
        return arguments
    schema = tool.parameters or {}
    if not schema:
        return arguments
    arguments = {
        name: converted(value, _property(schema, name))
        for name, value in arguments.items()
        if not _is_spare_null(value, name, schema)
    }
    faults = schema_faults(schema, arguments)
    if faults:
        raise ToolArgumentsError(_worded(tool.name, faults, given))
    return arguments


def parsed(name: str, given: Any) -> dict[str, Any]:
    """Return *given* as a dict of its own.

    Raises:
        ToolArgumentsError: it is no JSON object.
    """
    value = given
    if isinstance(given, str):
        if not given.strip():
            return {}
        try:
            value = msgspec.json.decode(given)
        except msgspec.DecodeError as error:
            raise ToolArgumentsError(_worded(name, [("$", str(error))], given)) from None
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        fault = f"expected an object, got {type(value).__name__}"
        raise ToolArgumentsError(_worded(name, [("$", fault)], given))
    return copy.deepcopy(dict(value))


def _worded(name: str, faults: list[tuple[str, str]], given: Any) -> str:
    received = given if isinstance(given, str) else msgspec.json.encode(given).decode()
    lines = [f"- {path}: {what}" for path, what in faults]
    return "\n".join(
        [
            f"Invalid arguments for tool {name}:",
            *lines,
            f"Received: {received[:RECEIVED_CHARS_MAX]}",
        ]
    )


def schema_faults(schema: Mapping[str, Any], arguments: dict[str, Any]) -> list[tuple[str, str]]:
    """Return every fault of *arguments* as path and message; none if the schema is broken."""
    from tinyagent._alchemy import check_arguments

    try:
        return check_arguments(msgspec.json.encode(schema), msgspec.json.encode(arguments))
    except ValueError:
        return []


def converted(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return *value* as the type that *schema* asks for, where the meaning is beyond doubt."""
    wanted = _types(schema)
    if not wanted or _fits(value, wanted):
        if isinstance(value, dict) and "properties" in schema:
            return {name: converted(item, _property(schema, name)) for name, item in value.items()}
        if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
            return [converted(item, schema["items"]) for item in value]
        return value
    if isinstance(value, str):
        try:
            parsed_value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            return value
        return parsed_value if _fits(parsed_value, wanted) else value
    if "string" in wanted and isinstance(value, int | float):
        return msgspec.json.encode(value).decode()
    return value


def _property(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    properties = schema.get("properties")
    found = properties.get(name) if isinstance(properties, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _is_spare_null(value: Any, name: str, schema: Mapping[str, Any]) -> bool:
    if value is not None or name in (schema.get("required") or ()):
        return False
    wanted = _types(_property(schema, name))
    return bool(wanted) and "null" not in wanted


def _types(schema: Mapping[str, Any]) -> tuple[str, ...]:
    kind = schema.get("type")
    if isinstance(kind, str):
        return (kind,)
    return tuple(kind) if isinstance(kind, list) else ()


def _fits(value: Any, wanted: tuple[str, ...]) -> bool:
    match value:
        case None:
            return "null" in wanted
        case bool():
            return "boolean" in wanted
        case int():
            return "integer" in wanted or "number" in wanted
        case float():
            return "number" in wanted or ("integer" in wanted and value.is_integer())
        case str():
            return "string" in wanted
        case list():
            return "array" in wanted
        case dict():
            return "object" in wanted
        case _:
            return False
