"""A value that fits a JSON Schema: the plainest one. What it cannot know, patterns, it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEPTH_MAX = 20
FORMATS = {
    "date": "2024-11-22",
    "date-time": "2024-11-22T18:26:40Z",
    "time": "18:26:40Z",
    "duration": "PT1H",
    "uuid": "00000000-0000-8000-8000-000000000000",
    "email": "ann@example.org",
    "uri": "https://example.org/",
}


def sample(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments that fit *schema*: what is required, and no more."""
    made = _sample(schema, schema, 0)
    return made if isinstance(made, dict) else {}


def _sample(node: object, root: Mapping[str, Any], depth: int) -> Any:
    if not isinstance(node, Mapping) or depth > DEPTH_MAX:
        return None
    for word in ("const", "default"):
        if word in node:
            return node[word]
    if node.get("enum"):
        return node["enum"][0]
    if isinstance(node.get("$ref"), str):
        return _sample(_referred(node["$ref"], root), root, depth + 1)
    for word in ("anyOf", "oneOf", "allOf"):
        if node.get(word):
            return _sample(node[word][0], root, depth + 1)
    kind = node.get("type", "object" if "properties" in node else "string")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            places = node.get("properties", {})
            wanted = node.get("required", ())
            return {name: _sample(places.get(name, {}), root, depth + 1) for name in wanted}
        case "array":
            return _array(node, root, depth)
        case "integer" | "number":
            return _number(node)
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return _text(node)


def _array(node: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> list[Any]:
    first = list(node.get("prefixItems", ()))
    first += [node.get("items", {})] * (node.get("minItems", 0) - len(first))
    return [_sample(item, root, depth + 1) for item in first]


def _number(node: Mapping[str, Any]) -> int | float:
    step = node.get("multipleOf", 1)
    least = node.get("minimum", 0)
    if "exclusiveMinimum" in node:
        least = max(least, node["exclusiveMinimum"] + step)
    if "maximum" in node:
        least = min(least, node["maximum"])
    if "exclusiveMaximum" in node:
        least = min(least, node["exclusiveMaximum"] - step)
    rounded: int | float = -(-least // step) * step
    return rounded


def _text(node: Mapping[str, Any]) -> str:
    made = FORMATS.get(str(node.get("format")), "text")
    made = made.ljust(node.get("minLength", 0), "x")
    return made[: node.get("maxLength", len(made))]


def _referred(reference: str, root: Mapping[str, Any]) -> object:
    node: Any = root
    for step in reference.lstrip("#/").split("/"):
        node = node.get(step.replace("~1", "/").replace("~0", "~")) if node else None
    return node
