"""The JSON Schema of a type of answers. Pure."""

from __future__ import annotations

from typing import Any

import msgspec


def answer_schema(wanted: Any) -> dict[str, Any]:
    """Return the schema of *wanted*: anything msgspec decodes, or a class with one of its own.

    Raises:
        TypeError: *wanted* cannot be described.
    """
    own = getattr(wanted, "model_json_schema", None)
    if own is not None:
        return dict(own())
    try:
        schema = msgspec.json.schema(wanted)
    except TypeError as error:
        raise TypeError(f"output={wanted!r} is no type of an answer: {error}") from None
    return _without_reference(schema)


def _without_reference(schema: dict[str, Any]) -> dict[str, Any]:
    """Return *schema* with the type itself at its root: providers want no reference there."""
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    defs: dict[str, Any] = schema.get("$defs", {})
    if name not in defs:
        return schema
    root = dict(defs[name])
    is_within = f'"#/$defs/{name}"'.encode() in msgspec.json.encode(defs)
    others = defs if is_within else {key: each for key, each in defs.items() if key != name}
    return {**root, "$defs": others} if others else root
