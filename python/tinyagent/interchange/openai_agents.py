"""Items of the OpenAI Agents SDK, as ``to_input_list`` gives them. The conversation only.

A JSON array of items of the Responses API, which ``codex`` reads too.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tinyagent.interchange import Source
from tinyagent.interchange.codex import Telling
from tinyagent.interchange.scribe import Scribe
from tinyagent.runtime.errors import ForeignFormatError
from tinyagent.runtime.load import LoadedLog

_TYPES = ("message", "function_call", "function_call_output", "reasoning")


def is_mine(body: bytes) -> bool:
    """Whether *body* is an array of such items."""
    return body.lstrip()[:1] == b"[" and any(map(_is_item, _items(body) or ()))


def read(source: Source) -> list[LoadedLog]:
    """Return the log of the items.

    Raises:
        ForeignFormatError: it is no array of them.
    """
    items = _items(source.body)
    if items is None or not any(map(_is_item, items)):
        raise ForeignFormatError(f"{source.name}: no array of items of the OpenAI Agents SDK")
    told = Telling(Scribe("openai-agents", source.body), "openai")
    for item in items:
        is_short = isinstance(item, dict) and "role" in item and "type" not in item
        told.line({"type": "message", **item} if is_short else item)
    return [told.end()]


def _is_item(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    return item.get("type") in _TYPES or ("type" not in item and "role" in item)


def _items(body: bytes) -> list[Any] | None:
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, list) else None
