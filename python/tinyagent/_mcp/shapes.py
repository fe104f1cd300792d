"""What is said between an agent and an MCP server, and how it is reached. Plain values."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tinyagent.agent_types import ImageContent, TextContent
from tinyagent.events import kinds as k
from tinyagent.events.fact import EFFECTS, Effect

NAME_CHARS_MAX = 64
"""No provider takes a longer name of a tool."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server is: a command or a URL, and how it is reached."""

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    env: Mapping[str, str] = {}
    cwd: str | None = None
    headers: Mapping[str, str] = {}
    connect_timeout_s: float
    message_bytes_max: int


def place_of(
    where: str | Sequence[str],
    name: str | None,
    env: Mapping[str, str] | None,
    cwd: str | Path | None,
    headers: Mapping[str, str] | None,
    **limits: Any,
) -> Place:
    """Return the place that *where* is.

    Raises:
        ValueError: it is none.
    """
    if isinstance(where, str) and re.match(r"https?://", where):
        host = urlsplit(where).netloc.rpartition("@")[2]
        return Place(name=name or host, url=where, headers=headers or {}, **limits)
    command = tuple(shlex.split(where) if isinstance(where, str) else where)
    if not command:
        raise ValueError(f"mcp_server({where!r}): expected a command or an http(s) URL")
    folder = None if cwd is None else str(cwd)
    name = name or Path(command[0]).name
    return Place(name=name, command=command, env=env or {}, cwd=folder, **limits)


class Listed(msgspec.Struct, frozen=True):
    """A tool as the server tells of it; ``reads`` and ``repeats`` are its hints."""

    name: str
    description: str
    schema: dict[str, Any]
    reads: bool
    repeats: bool


class Said(msgspec.Struct, frozen=True):
    """What a call gave back."""

    blocks: list[TextContent | ImageContent]
    structured: Any
    is_error: bool


def listed_of(tool: Any) -> Listed:
    """Return a tool of the protocol in our words."""
    hints = tool.annotations
    return Listed(
        tool.name,
        tool.description or tool.title or "",
        tool.input_schema,
        bool(hints and hints.read_only_hint),
        bool(hints and hints.idempotent_hint),
    )


def block_of(block: Any) -> TextContent | ImageContent:
    """Return what a model is shown of a block of a result."""
    match block.type:
        case "text":
            return TextContent(text=block.text)
        case "image":
            return ImageContent(url=f"data:{block.mime_type};base64,{block.data}")
        case "resource" if hasattr(block.resource, "text"):
            return TextContent(text=block.resource.text)
        case "resource":
            return TextContent(text=f"[{block.resource.uri}: not text, not shown]")
        case "resource_link":
            return TextContent(
                text=f"[{block.name}: {block.uri}] {block.description or ''}".strip()
            )
        case kind:
            return TextContent(text=f"[{kind}: not shown]")


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent has the tools of a server; see ``mcp_server``."""

    prefix: str
    only: Collection[str] | None
    effects: Mapping[str, Effect]
    trust_hints: bool
    approval: Any
    timeout_s: float
    output_bytes_max: int

    def __post_init__(self) -> None:
        """Refuse effects that are none."""
        for tool, effect in self.effects.items():
            if effect not in EFFECTS:
                raise ValueError(f"effects[{tool!r}]={effect!r} is none of {', '.join(EFFECTS)}")

    def name_of(self, tool: str) -> str:
        """Return the name that models know *tool* by: not all characters may be in it."""
        return re.sub(r"[^A-Za-z0-9_-]", "_", self.prefix + tool)[:NAME_CHARS_MAX]

    def effect_of(self, tool: Listed) -> Effect:
        """Return what a run of *tool* may do."""
        hinted: Effect = "read" if tool.reads else "idempotent" if tool.repeats else "write"
        otherwise: Effect = hinted if self.trust_hints else "write"
        return self.effects.get(tool.name, otherwise)

    def recalled_effect_of(self, spec: k.ToolSpec) -> Effect:
        """Return the same of a tool on record: a hint that was trusted is its effect there."""
        for name, effect in self.effects.items():
            if self.name_of(name) == spec.name:
                return effect
        return spec.effect if self.trust_hints else "write"
