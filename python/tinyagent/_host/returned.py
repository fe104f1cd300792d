"""What a tool gave back, whatever its form, as a result that everybody understands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tinyagent._reading.bodies import content_of, json_of, one_text
from tinyagent.actors.tools import Returned
from tinyagent.agent_types import AgentToolResult, ImageContent, TextContent
from tinyagent.events import plain

_BLOCKS = (TextContent, ImageContent, Mapping)
Report = Callable[[str, str], object]
"""Takes the name and the text of something that a person may want to know."""


def returned(
    name: str, given: object, report: Report | None = None, bytes_max: int | None = None
) -> Returned:
    """Return what the tool *name* gave back as the log holds it.

    A string is one text; of all texts together *bytes_max* bytes are kept, and it is said.
    Of the details, what JSON cannot say is told by its ``repr``, and *report* is told.

    Raises:
        TypeError: it is nothing that a tool may give back.
    """
    if isinstance(given, str):
        given = AgentToolResult(content=[TextContent(text=given)])
    if not isinstance(given, AgentToolResult):
        kind = type(given).__name__
        raise TypeError(f"Tool {name} returned {kind}, expected AgentToolResult")
    said = None if given.details or bytes_max is not None else one_text(given.content)
    if said is not None:
        shown = AgentToolResult(list(given.content), {}, bool(given.terminate))
        return Returned(content=said, terminate=shown.terminate, live=shown)
    shown = sayable(name, given, report)
    if bytes_max is not None:
        shown = replace(shown, content=cut(shown.content, bytes_max))
    return Returned(
        content=content_of(shown.content),
        details=plain(shown.details) if shown.details else None,
        terminate=shown.terminate,
        live=shown,
    )


def sayable(name: str, given: AgentToolResult, report: Report | None) -> AgentToolResult:
    """Return *given* with blocks as its content and JSON as its details.

    Raises:
        TypeError: the content is neither text nor blocks.
    """
    details, odd = json_of(given.details) if given.details else ({}, {})
    if odd and report is not None:
        told = ", ".join(f"{key} ({kind})" for key, kind in odd.items())
        report("tool.details", f"details of tool {name} that are no JSON, told by repr: {told}")
    return AgentToolResult(_blocks(name, given.content), details, bool(given.terminate))


def _blocks(name: str, content: Any) -> list[TextContent | ImageContent]:
    blocks: list[Any] = [content] if isinstance(content, str) else list(content or ())
    for at, item in enumerate(blocks):
        if isinstance(item, str):
            blocks[at] = TextContent(text=item)
        elif not isinstance(item, _BLOCKS):
            kind = type(item).__name__
            raise TypeError(f"Tool {name} returned {kind} in its content, expected blocks")
    return blocks


def cut(
    content: list[TextContent | ImageContent], bytes_max: int
) -> list[TextContent | ImageContent]:
    """Return *content* with at most *bytes_max* bytes of text; what was cut off is told."""
    kept: list[TextContent | ImageContent] = []
    left = bytes_max
    total = 0
    for block in content:
        if not isinstance(block, TextContent):
            kept.append(block)
            continue
        raw = (block.text or "").encode(errors="surrogatepass")  # half a character is no fault
        total += len(raw)
        if len(raw) <= left:
            kept.append(block)
        elif left:
            kept.append(TextContent(text=raw[:left].decode(errors="ignore")))
        left = max(left - len(raw), 0)
    if total > bytes_max:
        kept.append(TextContent(text=f"[cut: the first {bytes_max} of {total} bytes]"))
    return kept
