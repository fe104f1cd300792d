"""What a JSON Schema says about the types of values, and values made to fit them. Pure.

Reads ``type``, ``properties``, ``additionalProperties``, ``items``, ``prefixItems``, ``anyOf``,
``oneOf``, ``allOf`` and references within the schema: enough to see what a model meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

FORMS_MAX = 200
"""A place of more forms is not looked at further: what was meant there is not beyond doubt."""

_KINDS: dict[type, tuple[str, ...]] = {
    type(None): ("null",),
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number",),
    str: ("string",),
    list: ("array",),
    dict: ("object",),
}


class Schema:
    """One place of a schema: what is allowed there, in all the forms that it may take."""

    def __init__(self, node: object, root: object = None) -> None:
        self._root = node if root is None else root
        self._forms = list(self._forms_of(node, set()))

    @property
    def types(self) -> frozenset[str]:
        """The types that are named for this place; none means that any will do."""
        named: set[str] = set()
        for form in self._forms:
            kind = form.get("type")
            if isinstance(kind, str):
                named.add(kind)
            elif isinstance(kind, list):
                named.update(word for word in kind if isinstance(word, str))
        return frozenset(named)

    def admits(self, value: object) -> bool:
        """Whether the type of *value* is one of those named."""
        types = self.types
        if isinstance(value, float) and value.is_integer() and "integer" in types:
            return True
        return not types or not types.isdisjoint(_KINDS.get(type(value), ()))

    def requires(self, name: str) -> bool:
        """Whether an object here must have a property *name*."""
        return any(name in (_list(form.get("required")) or ()) for form in self._forms)

    def inside(self, step: str | int, holder: object) -> Schema:
        """Return the place of what is under *step* in *holder*, an object or array that is here."""
        found: list[object] = []
        for form in self._forms:
            if isinstance(holder, Mapping):
                properties = form.get("properties")
                if isinstance(properties, Mapping) and step in properties:
                    found.append(properties[step])
                elif "additionalProperties" in form:
                    found.append(form["additionalProperties"])
            else:
                prefix = _list(form.get("prefixItems"))
                at = int(step)
                found.append(prefix[at] if at < len(prefix) else form.get("items"))
        return Schema({"anyOf": found}, self._root)

    def _forms_of(self, node: object, seen: set[int]) -> Iterator[Mapping[str, Any]]:
        """Yield *node* and what it stands for, each once: references may lead in circles."""
        if not isinstance(node, Mapping) or id(node) in seen or len(seen) > FORMS_MAX:
            return
        seen.add(id(node))
        yield node
        if isinstance(node.get("$ref"), str):
            yield from self._forms_of(self._referred(node["$ref"]), seen)
        for keyword in ("anyOf", "oneOf", "allOf"):
            for form in _list(node.get(keyword)):
                yield from self._forms_of(form, seen)

    def _referred(self, reference: str) -> object:
        """Return what a reference within the schema leads to; None for any other."""
        if not reference.startswith("#"):
            return None
        node: Any = self._root
        for step in reference[1:].split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and step.isdigit() and int(step) < len(node):
                node = node[int(step)]
            elif isinstance(node, Mapping):
                node = node.get(step)
            else:
                return None
        return node


def converted(value: Any, place: Schema) -> Any:
    """Return *value* as a type that *place* names, where what is meant is beyond doubt.

    A string becomes a number, boolean, object or array if it is exactly the JSON of one; a number
    or boolean becomes a string. Everything else, and all that fits, stays. Nothing is changed in
    place.
    """
    if not place.admits(value):
        value = _as_type(value, place)
    if isinstance(value, dict):
        return {name: converted(item, place.inside(name, value)) for name, item in value.items()}
    if isinstance(value, list):
        return [converted(item, place.inside(at, value)) for at, item in enumerate(value)]
    return value


def _as_type(value: Any, place: Schema) -> Any:
    if isinstance(value, bool | int | float):
        return json.dumps(value) if "string" in place.types else value
    if not isinstance(value, str) or value != value.strip():
        return value
    try:
        meant: Any = json.loads(value, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return value
    # A string that holds a string or "null" was meant as one; 1e400 is no number of ours.
    if meant is None or isinstance(meant, str) or meant in (float("inf"), float("-inf")):
        return value
    return meant if place.admits(meant) else value


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
