"""OpenAI's second protocol, responses: a list of items instead of messages.

Nothing is stored at the provider (``store: false``), so reasoning goes back as the encrypted
items that it came in, without their ids: an id of something that is not stored is "not found".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tinyagent.actors.providers import table
from tinyagent.actors.providers.content import (
    Image,
    Mark,
    arguments,
    image_of,
    images_of,
    is_own,
    parts,
    sendable,
    text_of,
    texts_of,
)
from tinyagent.actors.providers.encoding import (
    Head,
    bearer,
    cache_key,
    dump,
    extended,
    output_of,
    request_of,
    schema_of,
)
from tinyagent.actors.providers.history import History, Parts
from tinyagent.actors.providers.table import ChatRow
from tinyagent.actors.transports import HttpRequest
from tinyagent.events.codec import digest
from tinyagent.events.fact import Content, ToolSpec
from tinyagent.events.messages import Assistant, Block, Message, Result, User
from tinyagent.events.settings import Settings

ENCRYPTED = "reasoning.encrypted_content"

_ID_MAX = 64


class Responses:
    """Builds requests for ``/responses``."""

    api = "openai-responses"

    def __init__(self) -> None:
        self._history: History[bytes] = History()
        self._head = Head("input", _head)

    def body(self, settings: Settings, messages: Sequence[Message]) -> bytes:
        """Return the body that asks for the next message of *messages*."""
        return self.parts(settings, messages).whole()

    def parts(self, settings: Settings, messages: Sequence[Message]) -> Parts:
        """Return the same in parts."""
        model = settings.model
        style = (model.get("provider"), model.get("id"), model.get("api"))

        def encode(message: Message, mark: Mark) -> bytes:
            return b",".join(dump(item) for item in _items(message, model))

        turns = self._history.turns(messages, encode, _joined, style=style)
        if settings.system.strip() and "instructions" in _row(model).without:
            turns.insert(0, dump({"role": "system", "content": settings.system}))
        return Parts(self._head.of(settings), "input", turns)

    def request(
        self, settings: Settings, body: bytes, *, key: str | None, headers: Mapping[str, str]
    ) -> HttpRequest:
        """Return the request that carries *body*. ``model.base_url`` is the whole URL."""
        model = settings.model
        own = bearer(model, key, _row(model).key_header)
        url = str(model.get("base_url") or "")
        return request_of(self.api, url, settings, body, own=own, headers=headers)


def _joined(encoded: Sequence[bytes]) -> list[bytes]:
    return list(filter(None, encoded))


def _row(model: Mapping[str, Any]) -> ChatRow:
    """Return how the provider of *model* differs; it is as in its chat completions."""
    return table.CHAT.of(model)


def _head(settings: Settings) -> dict[str, Any]:
    """Return all of the body but the input."""
    model, options = settings.model, settings.options
    row = _row(model)
    level = table.level_of(model, options)
    head: dict[str, Any] = {"model": model.get("id") or "", "stream": True, "store": False}
    if level != "off" or table.REASONS.search(str(model.get("id") or "")):
        head["include"] = [ENCRYPTED]
    if level != "off":
        head["reasoning"] = {} if level == "on" else {"effort": level}
        head["reasoning"]["summary"] = "auto"
    if settings.system.strip() and "instructions" not in row.without:
        head["instructions"] = settings.system
    if (limit := table.limit_of(model, options)) is not None:
        head["max_output_tokens"] = limit
    if options.get("temperature") is not None:
        head["temperature"] = options["temperature"]
    if row.cache_key and options.get("session_id"):
        head[row.cache_key] = cache_key(options["session_id"])
    if settings.tools:
        head["tools"] = [_tool(tool) for tool in settings.tools]
        if options.get("parallel_tool_calls") is not None:
            head["parallel_tool_calls"] = bool(options["parallel_tool_calls"])
        if (choice := options.get("tool_choice")) is not None:
            head["tool_choice"] = (
                choice if choice in table.CHOICES else {"type": "function", "name": choice}
            )
    if options.get("stop"):
        raise ValueError("openai-responses has no stop sequences: leave out `stop`")
    if output := output_of(settings):
        form = {"name": output.name, "schema": output.schema, "strict": output.strict}
        head["text"] = {"format": {"type": "json_schema", **form}}
    return extended(head, options)


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": schema_of(tool),
        # The default is strict, which refuses schemas with optional properties.
        "strict": False,
    }


def _items(message: Message, model: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    match message:
        case User(content=content):
            yield {"type": "message", "role": "user", "content": _input(content)}
        case Assistant():
            yield from _output(message, own=is_own(message, model))
        case Result():
            out: Any = texts_of(message.content)
            if images_of(message.content):
                out = _input(message.content)
            yield {
                "type": "function_call_output",
                "call_id": _id(message.call_id),
                "output": out,
            }
        case _:
            pass


def _input(content: Content) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for part in parts(content):
        if (text := text_of(part)) is not None:
            out.append({"type": "input_text", "text": text})
        elif image := image_of(part):
            out.append(_image(image))
    return out


def _image(image: Image) -> dict[str, Any]:
    match image.kind:
        case "document" if image.base64:
            file = {"filename": image.filename, "file_data": image.as_url()}
            return {"type": "input_file", **file}
        case "document":
            return {"type": "input_file", "file_url": image.url}
        case "audio":
            return {"type": "input_text", "text": image.left_out()}
        case "image":
            return {"type": "input_image", "image_url": image.as_url(), "detail": "auto"}


def _output(answer: Assistant, *, own: bool) -> Iterator[dict[str, Any]]:
    """Yield the items of *answer*, in their order."""
    # A reasoning item that nothing follows is refused.
    thoughts: list[dict[str, Any]] = []
    for block in sendable(answer):
        item: dict[str, Any] | None = None
        # What an item carries besides what we know of it: the phase of a turn, a call's caller.
        more = _bare(block.keep) if own and isinstance(block.keep, dict) else {}
        match block.op:
            case "text" | "refuse" if block.text:
                said = {"type": "output_text", "text": block.text}
                item = {**more, "type": "message", "role": "assistant", "content": [said]}
            case "call":
                item = {
                    **more,
                    "type": "function_call",
                    "call_id": _id(block.id),
                    "name": block.name,
                    "arguments": arguments(block),
                }
            case "think" | "keep" if own:
                kept = _kept(block)
                if kept is not None and kept.get("type") == "reasoning":
                    thoughts.append(kept)
                else:
                    item = kept
            case _:
                pass
        if item is not None:
            yield from thoughts
            thoughts = []
            yield item


def _kept(block: Block) -> dict[str, Any] | None:
    """Return the item that *block* came in, as far as it can go back.

    Of reasoning, that is what is encrypted, or else the open text (DeepSeek, gpt-oss): a summary
    alone is refused. xAI and Azure take no other fields.
    """
    item = block.keep if isinstance(block.keep, dict) else {}
    if not item and block.op == "think" and block.sign:
        item = {"type": "reasoning", "encrypted_content": block.sign}
    if item.get("type", "reasoning") != "reasoning":
        return _bare(item)
    out: dict[str, Any] = {"type": "reasoning", "summary": item.get("summary") or []}
    for field in ("encrypted_content", "content"):
        if item.get(field):
            return {**out, field: item[field]}
    return None


def _bare(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return *item* without what only a stored item has."""
    return {name: value for name, value in item.items() if name not in ("id", "status")}


def _id(call_id: str) -> str:
    """Return *call_id* as OpenAI takes it, with at most 64 characters."""
    if len(call_id) <= _ID_MAX:
        return call_id
    return f"{call_id[: _ID_MAX - 17]}_{digest(call_id.encode())}"
