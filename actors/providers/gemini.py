"""Gemini's own protocol, generateContent: contents of parts, and signatures on any of them.

A signature goes back on the part that it came on, byte for byte, and only to the same model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from tinyagent.actors.providers import table
from tinyagent.actors.providers.content import (
    IMAGE_FOLLOWS,
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
    dump,
    extended,
    output_of,
    request_of,
    schema_of,
)
from tinyagent.actors.providers.history import History, Parts
from tinyagent.actors.transports import HttpRequest
from tinyagent.events.fact import Content, ToolSpec
from tinyagent.events.messages import Assistant, Block, Message, Result, User
from tinyagent.events.settings import Settings

BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576}
"""Tokens to think with, by level; 24,576 is the most that every model takes."""

FOREIGN = "skip_thought_signature_validator"
"""What Google's page on thought signatures asks for on calls of another model; without any,
models from Gemini 3 on refuse the request."""

_OURS = re.compile(r"call_\d+(?:[_~]\d+)?")
"""Ids that were made up because the model gave none."""


class _Encoded(NamedTuple):
    """The parts of a message, as JSON with commas between them; of a result, also its images."""

    role: bytes
    parts: bytes
    images: bytes = b""
    is_result: bool = False


class GenerateContent:
    """Builds requests for ``:streamGenerateContent``."""

    api = "google-generative-ai"

    def __init__(self) -> None:
        self._history: History[_Encoded] = History()
        self._head = Head("contents", _head)

    def body(self, settings: Settings, messages: Sequence[Message]) -> bytes:
        """Return the body that asks for the next message of *messages*."""
        return self.parts(settings, messages).whole()

    def parts(self, settings: Settings, messages: Sequence[Message]) -> Parts:
        """Return the same in parts."""
        dialect = _Dialect(settings.model)
        turns = self._history.turns(messages, dialect.message, _joined, style=dialect.style)
        return Parts(self._head.of(settings), "contents", turns)

    def request(
        self, settings: Settings, body: bytes, *, key: str | None, headers: Mapping[str, str]
    ) -> HttpRequest:
        """Return the request that carries *body*.

        ``model.base_url`` is the root with its version; Vertex takes a token instead of a key.
        """
        model = settings.model
        root = str(model.get("base_url") or "").rstrip("/")
        name = str(model.get("id") or "").removeprefix("models/")
        url = f"{root}/models/{name}:streamGenerateContent?alt=sse"
        own = bearer(model, key, "" if _is_vertex(model) else "x-goog-api-key")
        return request_of(self.api, url, settings, body, own=own, headers=headers)


def _is_vertex(model: Mapping[str, Any]) -> bool:
    named = model.get("provider") in ("vertex", "google-vertex")
    return named or table.host_of(model).endswith("aiplatform.googleapis.com")


def _head(settings: Settings) -> dict[str, Any]:
    """Return all of the body but the contents."""
    model, options = settings.model, settings.options
    head: dict[str, Any] = {}
    if settings.system.strip():
        head["systemInstruction"] = {"parts": [{"text": settings.system}]}
    if settings.tools:
        head["tools"] = [{"functionDeclarations": [_tool(tool) for tool in settings.tools]}]
    config: dict[str, Any] = {}
    if (limit := table.limit_of(model, options)) is not None:
        config["maxOutputTokens"] = limit
    if options.get("temperature") is not None:
        config["temperature"] = options["temperature"]
    if thinking := _thinking(model, options):
        config["thinkingConfig"] = thinking
    if options.get("stop"):
        config["stopSequences"] = list(options["stop"])
    if output := output_of(settings):
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = output.schema
    if config:
        head["generationConfig"] = config
    if settings.tools and (choice := options.get("tool_choice")) is not None:
        mode = {"required": "ANY", "auto": "AUTO", "none": "NONE"}.get(choice, "ANY")
        calling: dict[str, Any] = {"mode": mode}
        if choice not in table.CHOICES:
            calling["allowedFunctionNames"] = [choice]
        head["toolConfig"] = {"functionCallingConfig": calling}
    return extended(head, options)


def _thinking(model: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    level = table.level_of(model, options)
    if level == "off":
        return {}
    name = str(model.get("id") or "")
    thinking: dict[str, Any] = {"includeThoughts": True}
    budget = options.get("thinking_budget_tokens")
    if budget is None and table.GEMINI_LEVELS.search(name):
        if level != "on":
            thinking["thinkingLevel"] = _level(name, level)
    elif budget is not None or level in BUDGETS:
        thinking["thinkingBudget"] = BUDGETS[level] if budget is None else int(budget)
    return thinking


def _level(name: str, level: str) -> str:
    """Return *level* as a word that the model takes: the larger ones know only two."""
    if "pro" in name:
        return "low" if level in ("minimal", "low") else "high"
    return "high" if level == "xhigh" else level


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        # `parameters` takes only a part of JSON Schema.
        "parametersJsonSchema": schema_of(tool),
    }


def _joined(encoded: Sequence[_Encoded]) -> list[bytes]:
    """Return the contents in order: the results of a turn in one, their images in the next."""
    out: list[bytes] = []
    batch: list[bytes] = []
    images: list[bytes] = []
    for each in [*encoded, _Encoded(b"", b"")]:
        if each.is_result:
            batch.append(each.parts)
            images.extend(filter(None, [each.images]))
            continue
        for found in (batch, images):
            if found:
                out.append(_content(b"user", b",".join(found)))
        batch, images = [], []
        if each.parts:
            out.append(_content(each.role, each.parts))
    return out


def _content(role: bytes, parts: bytes) -> bytes:
    return b"".join((b'{"role":"', role, b'","parts":[', parts, b"]}"))


class _Dialect:
    """Encodes single messages for one model."""

    def __init__(self, model: Mapping[str, Any]) -> None:
        self._model = model
        self._ids = not _is_vertex(model)
        self._signed = bool(table.GEMINI_LEVELS.search(str(model.get("id") or "")))
        identity = (model.get("provider"), model.get("id"), model.get("api"))
        self.style = (*identity, self._ids)

    def message(self, message: Message, mark: Mark) -> _Encoded:
        """Return *message* encoded; no parts if nothing of it can be sent."""
        match message:
            case User(content=content):
                return _Encoded(b"user", dump(_parts(content))[1:-1])
            case Assistant():
                return _Encoded(b"model", dump(self._assistant(message))[1:-1])
            case Result():
                images = dump([_image(image) for image in images_of(message.content)])[1:-1]
                return _Encoded(b"user", dump(self._result(message)), images, is_result=True)
            case _:
                return _Encoded(b"user", b"")

    def _assistant(self, answer: Assistant) -> list[dict[str, Any]]:
        own = is_own(answer, self._model)
        out: list[dict[str, Any]] = []
        heard = called = False
        for block in sendable(answer):
            part: dict[str, Any] = {}
            match block.op:
                case "text" | "refuse" if block.text or (own and block.sign):
                    part = {"text": block.text}
                    heard = heard or bool(block.text)
                # A thought without signature tells the model nothing new.
                case "think" if own and (block.sign or block.keep):
                    part = {"text": block.text, "thought": True}
                case "call":
                    part = self._call(block)
                    if not own and self._signed and not called:
                        part["thoughtSignature"] = FOREIGN
                    heard = called = True
                case "keep" if own and isinstance(block.keep, dict):
                    out.append(block.keep)
                    heard = True
                case _:
                    pass
            if part:
                out.append(_signed(part, block) if own else part)
        return out if heard else []

    def _call(self, block: Block) -> dict[str, Any]:
        call: dict[str, Any] = {"name": block.name, "args": msgspec.Raw(arguments(block).encode())}
        return {"functionCall": {**self._id(block.id), **call}}

    def _result(self, result: Result) -> dict[str, Any]:
        text = texts_of(result.content, image=IMAGE_FOLLOWS)
        response = {"output" if result.ok else "error": text}
        answer = {**self._id(result.call_id), "name": result.name, "response": response}
        return {"functionResponse": answer}

    def _id(self, call_id: str) -> dict[str, str]:
        """Return the id as a field; none where it was made up here, or is not taken (Vertex)."""
        return {"id": call_id} if self._ids and not _OURS.fullmatch(call_id) else {}


def _signed(part: dict[str, Any], block: Block) -> dict[str, Any]:
    """Return *part* with the signature, and whatever else, that it came with."""
    if block.sign:
        part["thoughtSignature"] = block.sign
    if isinstance(block.keep, dict):
        own = ("text", "thought", "functionCall")
        part.update((name, value) for name, value in block.keep.items() if name not in own)
    return part


def _parts(content: Content) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for part in parts(content):
        if text := text_of(part):
            out.append({"text": text})
        elif image := image_of(part):
            out.append(_image(image))
    return out


def _image(image: Image) -> dict[str, Any]:
    if not image.base64:
        kind = {"mimeType": image.mime_type} if image.mime_type else {}
        return {"fileData": {**kind, "fileUri": image.url}}
    return {"inlineData": {"mimeType": image.mime_type, "data": image.base64}}
