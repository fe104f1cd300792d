"""Anthropic's messages, and those who are compatible with it (Kimi, MiniMax, OpenRouter, ...)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from tinyagent.actors.providers import table
from tinyagent.actors.providers.content import (
    EPHEMERAL,
    Image,
    Mark,
    arguments,
    image_of,
    is_own,
    mark_of,
    parts,
    sendable,
    text_of,
)
from tinyagent.actors.providers.encoding import (
    Head,
    bearer,
    dump,
    extended,
    output_of,
    request_of,
    schema_of,
)
from tinyagent.actors.providers.history import History, Parts
from tinyagent.actors.providers.table import MessagesRow
from tinyagent.actors.transports import HttpRequest
from tinyagent.events.codec import digest
from tinyagent.events.fact import Content, ToolSpec
from tinyagent.events.messages import Assistant, Block, Message, Result, User
from tinyagent.events.settings import Settings

VERSION = "2023-06-01"

BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768}
"""Tokens to think with, by level."""

BUDGET_MIN = 1024
"""Anthropic refuses a smaller one, and one that is not below ``max_tokens``."""

FAILED = "The tool failed and said nothing."
"""Anthropic refuses an empty result that is an error."""

_THOUGHTS = ("thinking", "redacted_thinking")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ID_UNFIT = re.compile(r"[^A-Za-z0-9_-]")


class _Encoded(NamedTuple):
    """The blocks of a message, as JSON with commas between them; empty if there are none."""

    role: bytes
    blocks: bytes
    is_result: bool = False


class Messages:
    """Builds requests for ``/v1/messages``."""

    api = "anthropic-messages"

    def __init__(self) -> None:
        self._history: History[_Encoded] = History()
        self._head = Head("messages", _head)

    def body(self, settings: Settings, messages: Sequence[Message]) -> bytes:
        """Return the body that asks for the next message of *messages*."""
        return self.parts(settings, messages).whole()

    def parts(self, settings: Settings, messages: Sequence[Message]) -> Parts:
        """Return the same in parts."""
        automatic = bool(settings.options.get("prompt_caching"))
        dialect = _Dialect(_row(settings.model), settings.model)
        turns = self._history.turns(
            messages,
            dialect.message,
            _joined,
            style=(dialect.style, automatic),
            mark=partial(mark_of, automatic=automatic),
        )
        return Parts(self._head.of(settings, bool(self._history.marks)), "messages", turns)

    def request(
        self, settings: Settings, body: bytes, *, key: str | None, headers: Mapping[str, str]
    ) -> HttpRequest:
        """Return the request that carries *body*. ``/v1/messages`` follows ``model.base_url``."""
        model = settings.model
        row = _row(model)
        own = bearer(model, key, "" if row.bearer else "x-api-key")
        own.append(("anthropic-version", VERSION))
        if row.beta:
            own.append(("anthropic-beta", row.beta))
        url = str(model.get("base_url") or "").rstrip("/") + "/v1/messages"
        return request_of(self.api, url, settings, body, own=own, headers=headers)


def _row(model: Mapping[str, Any]) -> MessagesRow:
    return table.MESSAGES.of(model)


def _head(settings: Settings, marked: bool) -> dict[str, Any]:
    """Return all of the body but the messages."""
    model, options = settings.model, settings.options
    limit = int(options.get("max_tokens") or model.get("max_tokens") or table.MODEL_MAX_TOKENS)
    head: dict[str, Any] = {"model": model.get("id") or "", "stream": True, "max_tokens": limit}
    if thinking := _thinking(settings, limit):
        # With thinking, only the default temperature is accepted.
        head.update(thinking)
    elif options.get("temperature") is not None:
        head["temperature"] = options["temperature"]
    if settings.system.strip():
        head["system"] = settings.system
        if marked:
            text = {"type": "text", "text": settings.system, "cache_control": EPHEMERAL}
            head["system"] = [text]
    if settings.tools:
        head["tools"] = [_tool(tool) for tool in settings.tools]
        if choice := _choice(options):
            head["tool_choice"] = choice
    if options.get("stop"):
        head["stop_sequences"] = list(options["stop"])
    if output := output_of(settings):
        form = {"type": "json_schema", "schema": output.schema}
        head["output_config"] = {**head.get("output_config", {}), "format": form}
    return extended(head, options)


def _choice(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return which tools must be called, and whether one at a time; empty where nobody said."""
    wanted, at_once = options.get("tool_choice"), options.get("parallel_tool_calls")
    if wanted is None and at_once is not False:
        return {}
    kind = {"required": "any", None: "auto", "auto": "auto", "none": "none"}.get(wanted, "tool")
    choice: dict[str, Any] = {"type": kind}
    if kind == "tool":
        choice["name"] = wanted
    if at_once is False and kind != "none":
        choice["disable_parallel_tool_use"] = True
    return choice


def _thinking(settings: Settings, limit: int) -> dict[str, Any]:
    """Return the fields that ask for thinking; none if it is off, or *limit* has no room."""
    model, options = settings.model, settings.options
    level = table.level_of(model, options)
    if level == "off":
        return {}
    if table.ADAPTIVE.search(str(model.get("id") or "")):
        effort = {"minimal": "low", "on": None}.get(level, level)
        return {"thinking": {"type": "adaptive"}} | (
            {"output_config": {"effort": effort}} if effort else {}
        )
    wanted = options.get("thinking_budget_tokens") or BUDGETS.get(level)
    budget = limit - 100 if wanted is None else min(int(wanted), limit - 1024)
    if budget < BUDGET_MIN:
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": schema_of(tool),
    }


def _joined(encoded: Sequence[_Encoded]) -> list[bytes]:
    """Return the messages in order, all results of a turn in one of them."""
    out: list[bytes] = []
    batch: list[bytes] = []
    for each in encoded:
        if each.is_result:
            batch.append(each.blocks)
            continue
        if batch:
            out.append(_message(b"user", b",".join(batch)))
            batch = []
        if each.blocks:
            out.append(_message(each.role, each.blocks))
    if batch:
        out.append(_message(b"user", b",".join(batch)))
    return out


def _message(role: bytes, blocks: bytes) -> bytes:
    return b"".join((b'{"role":"', role, b'","content":[', blocks, b"]}"))


class _Dialect:
    """Encodes single messages for one model."""

    def __init__(self, row: MessagesRow, model: Mapping[str, Any]) -> None:
        self._row = row
        self._model = model
        self.style = (row, model.get("provider"), model.get("id"), model.get("api"))

    def message(self, message: Message, mark: Mark) -> _Encoded:
        """Return *message* encoded; no blocks if nothing of it can be sent."""
        match message:
            case User(content=content):
                return _Encoded(b"user", dump(_blocks(content, mark))[1:-1])
            case Assistant():
                return _Encoded(b"assistant", dump(self._assistant(message))[1:-1])
            case Result():
                return _Encoded(b"user", dump(self._result(message, mark)), is_result=True)
            case _:
                return _Encoded(b"user", b"")

    def _assistant(self, answer: Assistant) -> list[Any]:
        own = is_own(answer, self._model)
        out: list[Any] = []
        heard = False
        for block in sendable(answer):
            # What a block carries besides what we know of it.
            kept: dict[str, Any] = block.keep if own and isinstance(block.keep, dict) else {}
            match block.op:
                # Text of nothing but blanks is refused.
                case "text" | "refuse" if block.text.strip():
                    out.append({**kept, "type": "text", "text": block.text})
                    heard = True
                case "call":
                    out.append({**kept, **self._call(block)})
                    heard = True
                case "think" if own and (block.sign or (block.text and not self._row.checked)):
                    thought = {"type": "thinking", "thinking": block.text}
                    out.append({**kept, **thought, "signature": block.sign})
                case "keep" if kept:
                    out.append(kept)
                    heard = heard or kept.get("type") not in _THOUGHTS
                case _:
                    pass
        # Thoughts alone are no message.
        return out if heard else []

    def _call(self, block: Block) -> dict[str, Any]:
        return {
            "type": "tool_use",
            "id": self._id(block.id),
            "name": block.name,
            "input": msgspec.Raw(arguments(block).encode()),
        }

    def _result(self, result: Result, mark: Mark) -> dict[str, Any]:
        texts = [text_of(part) for part in parts(result.content)]
        content: Any = texts[0] if len(texts) == 1 and not mark else None
        if content is None:
            content = _blocks(result.content, mark)
        if not content and not result.ok:
            content = FAILED
        return {
            "type": "tool_result",
            "tool_use_id": self._id(result.call_id),
            "content": content,
            "is_error": not result.ok,
        }

    def _id(self, call_id: str) -> str:
        """Return *call_id* as Anthropic takes it; others get back what they gave."""
        if not self._row.checked or _ID.fullmatch(call_id):
            return call_id
        return f"{_ID_UNFIT.sub('_', call_id)[:47]}_{digest(call_id.encode())}"


def _blocks(content: Content, mark: Mark) -> list[dict[str, Any]]:
    """Return *content* as Anthropic's blocks, without texts of nothing but blanks."""
    out: list[dict[str, Any]] = []
    marked = dict(mark)
    for at, part in enumerate(parts(content)):
        if text := text_of(part):
            if not text.strip():
                continue
            out.append({"type": "text", "text": text})
        elif image := image_of(part):
            out.append(_image(image))
        else:
            continue
        if at in marked:
            out[-1]["cache_control"] = marked[at]
    return out


def _image(image: Image) -> dict[str, Any]:
    if image.kind == "audio":
        return {"type": "text", "text": image.left_out()}
    return {"type": image.kind, "source": _source(image)}


def _source(image: Image) -> dict[str, Any]:
    if not image.base64:
        return {"type": "url", "url": image.url}
    return {"type": "base64", "media_type": image.mime_type, "data": image.base64}
