"""Chat completions: OpenAI's first protocol, and that of everybody who is compatible with it.

What they take differs in small things, which are rows of ``table.CHAT``; MiniMax's dialect has
its own decoder and is an api of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import msgspec

from tinyagent.actors.providers import table
from tinyagent.actors.providers.content import (
    EPHEMERAL,
    IMAGE_FOLLOWS,
    Image,
    Mark,
    arguments,
    image_of,
    images_of,
    is_own,
    mark_of,
    parts,
    sendable,
    text_of,
    texts_of,
)
from tinyagent.actors.providers.encoding import (
    bearer,
    begun,
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

FIELDS = ("reasoning_content", "reasoning", "reasoning_text")
"""Fields of a message that reasoning comes in. The one it came in is the block's ``sign``."""

_PART = "content[].thinking"
_DETAILS = "reasoning_details"
_NINE = re.compile(r"[A-Za-z0-9]{9}")
_SHORT_MAX = 40
_AUDIO = {"audio/mpeg": "mp3", "audio/x-wav": "wav", "audio/wave": "wav"}
_TEMPERATURE_MIN, _TEMPERATURE_MAX = 2.2250738585072014e-308, 1.0
"""MiniMax refuses 0 and what is above 1."""


class _Encoded(msgspec.Struct, frozen=True):
    """A message as JSON; of a tool's result, also its images as parts."""

    json: bytes
    images: Sequence[bytes] = ()


_JSON, _IMAGES = attrgetter("json"), attrgetter("images")


class ChatCompletions:
    """Builds requests for ``/chat/completions``."""

    api = "openai-completions"

    def __init__(self) -> None:
        self._history: History[_Encoded] = History()
        self._frame: _Frame | None = None

    def row(self, model: Mapping[str, Any]) -> ChatRow:
        """Return how the provider of *model* differs."""
        return table.CHAT.of(model)

    def body(self, settings: Settings, messages: Sequence[Message]) -> bytes:
        """Return the body that asks for the next message of *messages*."""
        return self.parts(settings, messages).whole()

    def parts(self, settings: Settings, messages: Sequence[Message]) -> Parts:
        """Return the same in parts."""
        frame, history = self._frame, self._history
        if frame is None or frame.settings is not settings:
            frame = self._frame = _frame_of(settings, self)
        turns = history.turns(
            messages, frame.dialect.message, _joined, style=frame.style, mark=frame.mark
        )
        had_tools = frame.row.tools_always and any(len(turn) > 1 for turn in history.sent)
        head, system = frame.begun(had_tools, bool(history.marks))
        return Parts(head, "messages", system + turns)

    def request(
        self, settings: Settings, body: bytes, *, key: str | None, headers: Mapping[str, str]
    ) -> HttpRequest:
        """Return the request that carries *body*. ``model.base_url`` is the whole URL."""
        model, frame = settings.model, self._frame
        row = frame.row if frame is not None and frame.settings is settings else self.row(model)
        own = bearer(model, key, row.key_header)
        url = str(model.get("base_url") or "")
        return request_of(self.api, url, settings, body, own=own, headers=headers)


class MiniMaxCompletions(ChatCompletions):
    """The same for MiniMax, whose reasoning comes apart, or as tags in the text."""

    api = "minimax-completions"

    def row(self, model: Mapping[str, Any]) -> ChatRow:
        """Return MiniMax's row, whoever serves it."""
        return table.MINIMAX


class _Frame:
    """What the requests of one configuration have in common: all but the messages."""

    def __init__(self, row: ChatRow, settings: Settings) -> None:
        self.row = row
        self.settings = settings
        self._level = table.level_of(settings.model, settings.options)
        self.dialect = _Dialect(row, settings.model, reasons=self._level != "off")
        automatic = bool(settings.options.get("prompt_caching"))
        self.style = (self.dialect.style, automatic)
        self.mark = partial(mark_of, automatic=automatic) if row.marks else None
        self._begun: dict[tuple[bool, bool], tuple[bytes, list[bytes]]] = {}

    def begun(self, had_tools: bool, marked: bool) -> tuple[bytes, list[bytes]]:
        """Return the body as far as the messages, and the system prompt if there is one."""
        found = self._begun.get((had_tools, marked))
        if found is None:
            head = _head(self.row, self.settings, self._level, had_tools=had_tools)
            system = _system(self.row, self.settings.system, self._level, marked=marked)
            found = self._begun[had_tools, marked] = begun(head, "messages"), system
        return found


_FRAMES: dict[tuple[type, int], _Frame] = {}
_FRAMES_MAX = 64


def _frame_of(settings: Settings, asked: ChatCompletions) -> _Frame:
    """Return the frame of *settings*: sessions that have them in common have one frame."""
    key = type(asked), id(settings)  # of no others: they are kept as long as their frame is
    frame = _FRAMES.get(key)
    if frame is None:
        if len(_FRAMES) >= _FRAMES_MAX:
            _FRAMES.clear()
        frame = _FRAMES[key] = _Frame(asked.row(settings.model), settings)
    return frame


def _head(row: ChatRow, settings: Settings, level: str, *, had_tools: bool) -> dict[str, Any]:
    """Return all of the body but the messages."""
    model, options = settings.model, settings.options
    head: dict[str, Any] = {"model": model.get("id") or "", "stream": True}
    head["stream_options"] = {"include_usage": True}
    if "store" not in row.without:
        head["store"] = False
    if (limit := table.limit_of(model, options)) is not None:
        head[row.limit] = limit
    if (temperature := options.get("temperature")) is not None:
        if row.think == "split":
            temperature = min(max(temperature, _TEMPERATURE_MIN), _TEMPERATURE_MAX)
        head["temperature"] = temperature
    if level != "off":
        head.update(_thinking(row, level))
    if row.cache_key and options.get("session_id"):
        head[row.cache_key] = cache_key(options["session_id"])
    if settings.tools:
        head["tools"] = [_tool(tool, row) for tool in settings.tools]
        if options.get("parallel_tool_calls") is not None:
            head["parallel_tool_calls"] = bool(options["parallel_tool_calls"])
        if (choice := options.get("tool_choice")) is not None:
            head["tool_choice"] = _choice(choice)
    elif row.tools_always and had_tools:
        head["tools"] = []
    if options.get("stop"):
        head["stop"] = list(options["stop"])
    if output := output_of(settings):
        form = {"name": output.name, "schema": output.schema, "strict": output.strict}
        head["response_format"] = {"type": "json_schema", "json_schema": form}
    return extended(head, options)


def _choice(choice: str) -> Any:
    if choice in table.CHOICES:
        return choice
    return {"type": "function", "function": {"name": choice}}


def _thinking(row: ChatRow, level: str) -> dict[str, Any]:
    match row.think:
        case "effort":
            return {} if level == "on" else {"reasoning_effort": level}
        case "thinking":
            return {"thinking": {"type": "enabled"}}
        case "reasoning":
            return {"reasoning": {"enabled": True}}
        case "split":
            return {"reasoning_split": True}
        case "none":
            return {}


def _tool(tool: ToolSpec, row: ChatRow) -> dict[str, Any]:
    function: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        "parameters": schema_of(tool),
    }
    if "strict" not in row.without:
        function["strict"] = False
    return {"type": "function", "function": function}


def _system(row: ChatRow, system: str, level: str, *, marked: bool) -> list[bytes]:
    if not system.strip():
        return []
    content: Any = system
    if marked:
        content = [{"type": "text", "text": system, "cache_control": EPHEMERAL}]
    role = "system" if level == "off" else row.system
    return [dump({"role": role, "content": content})]


def _joined(encoded: Sequence[_Encoded]) -> list[bytes]:
    """Return the messages in order, the images of the results in a message after them."""
    out = list(filter(None, map(_JSON, encoded)))
    if any(map(_IMAGES, encoded)):
        images = [image for each in encoded for image in each.images]
        out.append(b'{"role":"user","content":[' + b",".join(images) + b"]}")
    return out


def _image(image: Image) -> dict[str, Any]:
    match image.kind:
        case "document":
            file = {"filename": image.filename, "file_data": image.as_url()}
            return {"type": "file", "file": file}
        case "audio" if image.base64:
            form = _AUDIO.get(image.mime_type, image.mime_type.partition("/")[2])
            return {"type": "input_audio", "input_audio": {"data": image.base64, "format": form}}
        case _:
            return {"type": "image_url", "image_url": {"url": image.as_url()}}


class _Dialect:
    """Encodes single messages for one model."""

    def __init__(self, row: ChatRow, model: Mapping[str, Any], *, reasons: bool) -> None:
        self._row = row
        self._model = model
        self._reasons = reasons
        self._id = _IDS[row.ids]
        self.style = (row, model.get("provider"), model.get("id"), model.get("api"), reasons)

    def message(self, message: Message, mark: Mark) -> _Encoded:
        """Return *message* encoded; empty if nothing of it can be sent."""
        if isinstance(message, Result):
            return self._result(message, mark)
        if isinstance(message, Assistant):
            answer = self._assistant(message)
            return _Encoded(dump(answer) if answer else b"")
        if isinstance(message, User):
            said = self._user(message.content, mark)
            return _Encoded(dump({"role": "user", "content": said}))
        return _Encoded(b"")

    def _user(self, content: Content, mark: Mark) -> list[dict[str, Any]] | str:
        out: list[dict[str, Any]] = []
        marked = dict(mark)
        for at, part in enumerate(parts(content)):
            if (text := text_of(part)) is not None:
                out.append({"type": "text", "text": text})
                if at in marked:
                    out[-1]["cache_control"] = marked[at]
            elif image := image_of(part):
                out.append(_image(image))
        return self._texts(out)

    def _texts(self, texts: list[dict[str, Any]]) -> list[dict[str, Any]] | str:
        if self._row.texts == "string" and all(part["type"] == "text" for part in texts):
            return "\n".join(part["text"] for part in texts)
        return texts

    def _assistant(self, answer: Assistant) -> dict[str, Any]:
        own = is_own(answer, self._model)
        content: list[dict[str, Any]] = []
        calls: list[dict[str, Any]] = []
        fields: dict[str, Any] = {}
        for block in sendable(answer):
            match block.op:
                case "call":
                    calls.append(self._call(block, own=own))
                case "text" | "refuse" if block.text:
                    content.append({"type": "text", "text": block.text})
                case "think" | "keep" if own:
                    self._think(block, content, fields)
                case _:
                    pass
        if not content and not calls:
            return {}
        out: dict[str, Any] = {"role": "assistant"}
        if content:
            out["content"] = self._texts(content)
        if calls:
            for field in self._row.assistant:
                if field == "content" or self._reasons:
                    out.setdefault(field, "")
        if _DETAILS in fields:
            # The details are the same reasoning, and whole (OpenRouter, Vercel's gateway).
            fields = {name: value for name, value in fields.items() if name not in FIELDS}
        out.update(fields)
        if calls:
            out["tool_calls"] = calls
        return out

    def _think(self, block: Block, content: list[dict[str, Any]], fields: dict[str, Any]) -> None:
        """Put reasoning where it came from: a field, a part of the content, tags in the text."""
        if isinstance(block.keep, dict) and self._row.thoughts != "tags":
            fields.update(block.keep)
        if not block.text:
            return
        if self._row.thoughts == "tags":
            content.append({"type": "text", "text": f"<think>{block.text}</think>"})
        elif block.sign in FIELDS:
            fields[block.sign] = fields.get(block.sign, "") + block.text
        elif block.sign == _PART:
            thinking = [{"type": "text", "text": block.text}]
            content.append({"type": "thinking", "thinking": thinking})
        elif self._row.thoughts == "part":
            content.append({"type": "text", "text": block.text})

    def _call(self, block: Block, *, own: bool) -> dict[str, Any]:
        call: dict[str, Any] = {
            "id": self._id(block.id),
            "type": "function",
            "function": {"name": block.name, "arguments": arguments(block)},
        }
        if own and isinstance(block.keep, dict):
            call.update(block.keep)
        return call

    def _result(self, result: Result, mark: Mark) -> _Encoded:
        out: dict[str, Any] = {"role": "tool", "tool_call_id": self._id(result.call_id)}
        out["content"] = texts_of(result.content, image=IMAGE_FOLLOWS)
        if mark:
            out["content"] = [
                {"type": "text", "text": out["content"], "cache_control": mark[-1][1]}
            ]
        if self._row.result_name:
            out["name"] = result.name
        images = [dump(_image(image)) for image in images_of(result.content)]
        return _Encoded(dump(out), images)


def _nine(call_id: str) -> str:
    return call_id if _NINE.fullmatch(call_id) else digest(call_id.encode())[:9]


def _short(call_id: str) -> str:
    if len(call_id) <= _SHORT_MAX:
        return call_id
    return f"{call_id[: _SHORT_MAX - 17]}_{digest(call_id.encode())}"


_IDS: dict[str, Callable[[str], str]] = {"any": str, "nine": _nine, "short": _short}
"""How a provider takes the id of a call: the same in call and result."""
