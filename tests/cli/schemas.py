"""Holds a JSON document against a JSON schema: as much of it as the schemas of answers use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NAMES: dict[str, type | tuple[type, ...]] = {
    "null": type(None),
    "boolean": bool,
    "string": str,
    "array": list,
    "object": dict,
    "number": (int, float),
    "integer": int,
}
KNOWN = {
    *("$ref", "$defs", "anyOf", "type", "enum", "const", "items", "prefixItems", "properties"),
    *("required", "additionalProperties", "title", "description", "default"),
    *("minItems", "maxItems"),
}


def faults(document: Any, schema: dict[str, Any]) -> list[str]:
    """Return what of *document* is not as *schema* says, with the path of each."""
    return list(_faults(document, schema, schema.get("$defs", {}), ""))


def _faults(value: Any, schema: dict[str, Any], defs: dict[str, Any], at: str) -> Iterator[str]:
    unknown = set(schema) - KNOWN
    assert not unknown, f"the checker knows nothing of {unknown}"
    if "$ref" in schema:
        yield from _faults(value, defs[schema["$ref"].removeprefix("#/$defs/")], defs, at)
        return
    if "anyOf" in schema:
        tried = [list(_faults(value, choice, defs, at)) for choice in schema["anyOf"]]
        if all(tried):
            yield f"{at}: {value!r} is none of {len(tried)}: {min(tried, key=len)}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is not in {schema['enum']}"
    if "type" in schema and not _is_a(value, schema["type"]):
        yield f"{at}: {value!r} is no {schema['type']}"
        return
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        for index, item in enumerate(value):
            kind = first[index] if index < len(first) else schema.get("items", {})
            yield from _faults(item, kind, defs, f"{at}[{index}]")
    if isinstance(value, dict):
        yield from _object(value, schema, defs, at)


def _object(
    value: dict[str, Any], schema: dict[str, Any], defs: dict[str, Any], at: str
) -> Iterator[str]:
    properties = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in value:
            yield f"{at}.{name} is missing"
    for name, item in value.items():
        if name in properties:
            yield from _faults(item, properties[name], defs, f"{at}.{name}")
        elif isinstance(more := schema.get("additionalProperties"), dict):
            yield from _faults(item, more, defs, f"{at}.{name}")
        elif properties:
            yield f"{at}.{name} is not in the schema"


def _is_a(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, NAMES[name])
