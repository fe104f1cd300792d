"""What several formats need: times, lines, blocks of messages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tinyagent.events.fact import ToolSpec
from tinyagent.runtime.errors import ForeignFormatError

RAW = "_raw"
"""The one argument of a call whose arguments, as the model wrote them, are no object."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
_MS_MAX = 253_402_300_800_000  # the year 10,000


def us_of(stamp: Any) -> int:
    """Return microseconds since 1970 of an ISO 8601 time, or of milliseconds; 0 of what is none."""
    if isinstance(stamp, bool):
        return 0
    if isinstance(stamp, int | float):
        told_us = int(stamp * 1000) if abs(stamp) < _MS_MAX else 0
        return max(told_us, 0)
    if not isinstance(stamp, str):
        return 0
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        return 0
    return max(((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // _US, 0)


def iso_of(at_us: int) -> str:
    """Return a time as ISO 8601 in milliseconds."""
    at = _EPOCH + timedelta(milliseconds=at_us // 1000)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def lines_of(body: bytes, name: str) -> Iterator[Any]:
    """Yield the JSON value of each line; of one that is none, its text.

    A torn last line is the normal end of a session that is being written.

    Raises:
        ForeignFormatError: not even the first line is JSON.
    """
    for number, line in enumerate(body.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            if number == 1:
                raise ForeignFormatError(f"{name}: line 1 is no JSON: {error}") from error
            yield line.decode("utf-8", "replace")


def first_of(body: bytes) -> dict[str, Any]:
    """Return the object in the first line of *body*; nothing if it is none."""
    line = body[: 1 << 20].lstrip().partition(b"\n")[0]
    try:
        value = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def json_of(value: Any) -> bytes:
    """Return *value* as one line of JSON, its keys in the order in which they are."""
    return msgspec.json.encode(value) + b"\n"


def image(mime: str, data: str) -> dict[str, Any]:
    """Return an image as our messages hold it."""
    return {"type": "image", "url": f"data:{mime};base64,{data}", "mime_type": mime}


def object_of(text: str) -> dict[str, Any] | None:
    """Return the JSON object that *text* is; None if it is none. Empty text is an empty one."""
    try:
        value = msgspec.json.decode(text or "{}")
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, dict) else None


def function_of(tool: ToolSpec) -> dict[str, Any]:
    """Return *tool* as the chat completions of OpenAI define one."""
    told: dict[str, Any] = {"name": tool.name, "description": tool.description}
    return {"type": "function", "function": {**told, "parameters": tool.schema}}


def written(arguments: Any) -> str:
    """Return *arguments* as a model wrote them; what is wrapped in ``RAW`` as it is."""
    raw = arguments.get(RAW) if isinstance(arguments, dict) and len(arguments) == 1 else None
    return raw if isinstance(raw, str) else msgspec.json.encode(arguments).decode()
