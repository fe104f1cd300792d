"""What messages hold, as every protocol needs it: texts, images, arguments, who said it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from tinyagent.actors.providers.table import API_ALIASES
from tinyagent.events.codec import text
from tinyagent.events.fact import Content
from tinyagent.events.messages import Assistant, Block, Message, Result, User

IMAGE_FOLLOWS = "(image follows)"
"""Where an image was in a tool's result, for protocols that have no place for images there."""

EPHEMERAL: dict[str, Any] = {"type": "ephemeral"}
MARKED_BLOCKS_MAX = 3
"""Cache breakpoints in messages; a fourth is the system prompt's (Anthropic allows four)."""

Mark = tuple[tuple[int, Any], ...]
"""Which blocks of a message are cache breakpoints, and the ``cache_control`` of each."""


At = TypeVar("At")

_object_in = msgspec.json.Decoder(dict[str, Any]).decode


class Image(NamedTuple):
    """An image: base64 with its type, or else the address of one.

    By its type it may also be a document or a recording: whatever is not text comes this way.
    """

    url: str
    mime_type: str = ""
    base64: str = ""

    @property
    def kind(self) -> Literal["image", "audio", "document"]:
        """What the type says that it is."""
        if self.mime_type.startswith("audio/"):
            return "audio"
        return "document" if self.mime_type.startswith(("application/", "text/")) else "image"

    @property
    def filename(self) -> str:
        """A name for what has none: protocols ask for one, and look at its end."""
        return f"document.{self.mime_type.partition('/')[2].partition('+')[0] or 'bin'}"

    def as_url(self) -> str:
        """Return the image as one URL."""
        return f"data:{self.mime_type};base64,{self.base64}" if self.base64 else self.url

    def left_out(self) -> str:
        """Return what a protocol without a place for it tells the model instead."""
        return f"({self.mime_type or 'a file'} left out: it cannot be sent to this model)"


def parts(content: Content | None) -> list[Mapping[str, Any]]:
    """Return *content* as blocks, a string as one."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(content or ())


def text_of(part: Mapping[str, Any]) -> str | None:
    """Return the text of a text block; None if it is another block."""
    kind = part.get("type")
    if kind != "text" and (kind or "text" not in part):
        return None
    said = part.get("text")
    return said if isinstance(said, str) else "" if said is None else str(said)


def texts_of(content: Content | None, *, image: str = "") -> str:
    """Return the texts of *content*, one to a line, and *image* where an image is."""
    if isinstance(content, str):
        return content
    out: list[str] = []
    for part in parts(content):
        if (said := text_of(part)) is not None:
            out.append(said)
        elif image and image_of(part):
            out.append(image)
    return "\n".join(out)


def images_of(content: Content | None) -> list[Image]:
    """Return the images of *content*."""
    if isinstance(content, str):
        return []
    return [image for part in parts(content) if (image := image_of(part))]


def image_of(part: Mapping[str, Any]) -> Image | None:
    """Return the image of an image block; None if it is another block, or empty.

    A ``url`` without a scheme is base64.
    """
    url = part.get("url")
    if part.get("type", "image") != "image" or not isinstance(url, str) or not url:
        return None
    if url.startswith("data:"):
        head, comma, data = url[5:].partition(",")
        kind, *flags = head.split(";")
        if comma and "base64" in flags:
            return Image(url, kind or "image/png", data)
        return Image(url)
    kind = part.get("mime_type") or ""
    # base64 has no colon.
    return Image(url, kind) if ":" in url else Image("", kind or "image/png", url)


def arguments(call: Block) -> str:
    """Return the arguments of *call* as the model wrote them, ``{}`` if they are no object."""
    written = text(call.text)
    try:
        _object_in(written)
    except msgspec.DecodeError:
        return "{}"
    return written


def sendable(answer: Assistant) -> Sequence[Block]:
    """Return the blocks of *answer* that may be sent again: of a broken one, texts and calls."""
    if answer.outcome == "ok":
        return answer.blocks
    return [block for block in answer.blocks if block.op in ("text", "refuse", "call")]


def is_own(answer: Assistant, model: Mapping[str, Any]) -> bool:
    """Say whether *answer* came from *model*; only then does its reasoning go back.

    What a message does not say about its origin counts as the same: histories written by hand.
    """
    said = answer.model
    return said is model or all(
        not said.get(key) or _plain(said[key]) == _plain(model.get(key))
        for key in ("provider", "id", "api")
    )


def _plain(name: Any) -> Any:
    return API_ALIASES.get(name, name) if isinstance(name, str) else name


def chosen(found: Sequence[tuple[At, Mark]]) -> dict[At, Mark]:
    """Return the cache breakpoints to set, by place, of those that were *found*: the last three.

    *found* is in the order of the messages.
    """
    marks: dict[At, Mark] = {}
    left = MARKED_BLOCKS_MAX
    for at, mark in reversed(found):
        if not left:
            break
        marks[at] = mark[-left:]
        left -= len(marks[at])
    return marks


def mark_of(message: Message, *, automatic: bool) -> Mark:
    """Return the cache breakpoints that *message* could have.

    A text block with ``cache_control`` is one. *automatic*: so is the last block of every user
    message, if it is a text.
    """
    if not isinstance(message, User | Result) or not message.content:
        return ()
    blocks = parts(message.content)
    found = [
        (at, block["cache_control"])
        for at, block in enumerate(blocks)
        if block.get("cache_control") and text_of(block)
    ]
    last = len(blocks) - 1
    is_user = automatic and isinstance(message, User)
    if is_user and text_of(blocks[last]) and last not in (at for at, _ in found):
        found.append((last, EPHEMERAL))
    return tuple(found)
