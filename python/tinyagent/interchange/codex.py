"""Session files of Codex, its rollouts: JSON lines of items as the Responses API has them.

The format is its owner's; this reads what its files showed in 2025: lines with ``timestamp``,
``type`` and ``payload``, and older ones that are the items themselves. All else is kept as
``foreign``, the events of its interface too, which say again what the items say.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tinyagent.events import kinds as k
from tinyagent.events.messages import Block
from tinyagent.interchange import Source
from tinyagent.interchange.parts import first_of, lines_of, us_of
from tinyagent.interchange.scribe import Answer, Scribe, text_of
from tinyagent.runtime.errors import ForeignFormatError
from tinyagent.runtime.load import LoadedLog

_KINDS = ("session_meta", "response_item", "event_msg", "turn_context", "compacted")
_USAGE = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cached_input_tokens": "cache_read",
    "reasoning_output_tokens": "reasoning",
    "total_tokens": "total",
}


def is_mine(body: bytes) -> bool:
    """Whether *body* begins as a rollout does, old or new."""
    first = first_of(body)
    return (first.get("type") in _KINDS and "payload" in first) or (
        "type" not in first and {"id", "timestamp", "instructions"} <= first.keys()
    )


def read(source: Source) -> list[LoadedLog]:
    """Return the log of a session.

    Raises:
        ForeignFormatError: it does not begin as one does.
    """
    if not is_mine(source.body):
        raise ForeignFormatError(f"{source.name}: the first line is no header of a Codex session")
    first = first_of(source.body)
    meta = first.get("payload", first)
    meta = meta if isinstance(meta, dict) else {}
    base = meta.get("base_instructions")
    system = meta.get("instructions") or (base.get("text") if isinstance(base, dict) else "")
    told = Telling(
        Scribe(
            f"codex {meta.get('id') or ''}".strip(),
            source.body,
            system=system if isinstance(system, str) else "",
            at_us=us_of(first.get("timestamp")),
        ),
        str(meta.get("model_provider") or "openai"),
    )
    for line in lines_of(source.body, source.name):
        told.line(line)
    return [told.end()]


class Telling:
    """Tells a scribe the lines. Items of one answer wait for each other."""

    def __init__(self, scribe: Scribe, provider: str) -> None:
        self._scribe = scribe
        self._provider = provider
        self._model: dict[str, Any] = {}
        self._blocks: list[Block] = []
        self._usage: dict[str, Any] | None = None
        self._at_us = 0

    def line(self, line: Any) -> None:
        """Take one line of a file."""
        if not isinstance(line, dict):
            self._scribe.foreign("line", line)
            return
        at_us = us_of(line.get("timestamp"))
        kind, payload = line.get("type"), line.get("payload")
        if kind not in _KINDS or not isinstance(payload, dict):
            kind, payload = "response_item", line  # an old file
        inner = payload.get("type")
        if kind == "response_item" and self._item(payload, at_us):
            return
        if kind == "event_msg" and inner == "token_count" and self._counted(payload):
            return
        if kind == "compacted":
            self._answer()
            self._scribe.compacted(str(payload.get("message") or ""), keep=0, at_us=at_us)
            return
        if kind == "turn_context" and isinstance(payload.get("model"), str):
            self._model = {"provider": self._provider, "id": payload["model"]}
        name = f"{kind} {inner}" if inner else str(kind)
        self._scribe.foreign(name if "payload" in line else str(inner or "header"), line, at_us)

    def end(self) -> LoadedLog:
        """Return the log."""
        self._answer()
        self._scribe.end()
        return self._scribe.log()

    def _item(self, item: dict[str, Any], at_us: int) -> bool:
        """Take one item; return whether it is understood."""
        block = _block(item)
        if block is not None:
            if not self._blocks:
                self._at_us = at_us
            self._blocks.append(block)
            return True
        match item.get("type"):
            case "function_call_output" | "custom_tool_call_output" | "local_shell_call_output":
                return self._returned(item, at_us)
            case "message" if isinstance(item.get("content"), list | str):
                self._answer()
                content = _content(item["content"])
                if item.get("role") == "user":
                    self._scribe.said(content, at_us)
                else:
                    told = {"role": item.get("role"), "content": content}
                    self._scribe.edited([["insert", told]], "import", at_us)
                return True
            case _:
                return False

    def _returned(self, item: dict[str, Any], at_us: int) -> bool:
        self._answer()
        output = item.get("output")
        is_ok = True
        if isinstance(output, dict):
            is_ok = output.get("success") is not False
            output = output.get("content")
        content = _content(output) if isinstance(output, list) else output or ""
        if not isinstance(content, str | list):
            content = msgspec.json.encode(content).decode()
        return self._scribe.returned(str(item.get("call_id")), content, is_ok=is_ok, at_us=at_us)

    def _counted(self, payload: dict[str, Any]) -> bool:
        info = payload.get("info")
        last = info.get("last_token_usage") if isinstance(info, dict) else None
        if not isinstance(last, dict) or not self._blocks:
            return False
        told = {o: last[name] for name, o in _USAGE.items() if isinstance(last.get(name), int)}
        self._usage = told or None
        return True

    def _answer(self) -> None:
        """Tell the answer whose items have come."""
        blocks, usage = self._blocks, self._usage
        self._blocks, self._usage = [], None
        if blocks:
            self._scribe.answered(Answer(blocks, model=self._model, usage=usage), self._at_us)


def _block(item: dict[str, Any]) -> Block | None:
    """Return *item* as a block of an answer; None if it is none."""
    call_id, name = str(item.get("call_id") or item.get("id")), str(item.get("name"))
    match item.get("type"):
        case "message" if item.get("role") == "assistant":
            return Block("text", text_of(_content(item.get("content"))))
        case "reasoning":
            summary = text_of(_content(item.get("summary") or []))
            return Block("think", summary, sign=item.get("encrypted_content") or "")
        case "function_call":
            return Block("call", str(item.get("arguments") or ""), call_id, name)
        case "custom_tool_call":
            arguments = msgspec.json.encode({"input": item.get("input")}).decode()
            return Block("call", arguments, call_id, name)
        case "local_shell_call":
            arguments = msgspec.json.encode(item.get("action") or {}).decode()
            return Block("call", arguments, call_id, "local_shell")
        case "web_search_call":
            return Block("keep", keep=item)
        case _:
            return None


def _content(content: Any) -> k.Content:
    """Return what was said; texts of input, output and summaries are texts."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    out: list[dict[str, Any]] = []
    for part in content:
        told = part if isinstance(part, dict) else {"text": str(part)}
        if isinstance(told.get("text"), str):
            out.append({"type": "text", "text": told["text"]})
        elif told.get("type") == "input_image":
            out.append({"type": "image", "url": str(told.get("image_url") or "")})
        else:
            out.append(told)
    return out
