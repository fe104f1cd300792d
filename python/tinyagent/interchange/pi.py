"""Sessions of the coding agent Pi, version 3: one tree of entries in one file of JSON lines.

Facts: the session format in the documentation of pi-mono (packages/coding-agent), versions 1 to 3;
files without ids are read as one line. Its last entry is where the session stands: the path to it
becomes a log, every other path a fork. ``pi_export`` is the way back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tinyagent.events import Failure, kinds as k
from tinyagent.events.messages import Block
from tinyagent.interchange import Source
from tinyagent.interchange.parts import first_of, image, lines_of, us_of, written
from tinyagent.interchange.scribe import Answer, Scribe
from tinyagent.runtime.errors import ForeignFormatError
from tinyagent.runtime.load import LoadedLog

SETTINGS = "tinyagent.settings"
"""A custom entry, which Pi skips: the system prompt and the tools, for the way back."""
USAGE = {
    "input": "input",
    "output": "output",
    "cacheRead": "cache_read",
    "cacheWrite": "cache_write",
    "totalTokens": "total",
}
_STOPS = {"stop": "end", "toolUse": "tools", "length": "length"}


def is_mine(body: bytes) -> bool:
    """Whether *body* begins as a session of Pi does."""
    first = first_of(body)
    return first.get("type") == "session" and "id" in first


def read(source: Source) -> list[LoadedLog]:
    """Return the log of the session's present path, and a fork for each other path.

    Raises:
        ForeignFormatError: it does not begin as a session does.
    """
    header, *entries = lines_of(source.body, source.name) if source.body.strip() else [None]
    if not isinstance(header, dict) or header.get("type") != "session":
        raise ForeignFormatError(f"{source.name}: the first line is no header of a Pi session")
    tree = _Tree(entries)
    named = [e.get("name") for e in tree.entries if e.get("type") == "session_info"]
    model = {"provider": header.get("provider"), "id": header.get("modelId")}
    scribe = Scribe(
        f"pi {header.get('id', '')}".strip(),
        source.body,
        name=named[-1] if named else None,
        model=model if model["id"] else None,
        at_us=us_of(header.get("timestamp")),
        **_settings(tree.entries),
    )
    scribe.foreign("session", header)
    for raw in tree.strange:
        scribe.foreign("line", raw)
    scribes = tree.walk(scribe)
    for each in scribes:
        each.end()
    return [each.log() for each in scribes]


class _Tree:
    """The entries by their parents. ``strange``: lines that are no entries."""

    def __init__(self, lines: Sequence[Any]) -> None:
        self.entries: list[dict[str, Any]] = [e for e in lines if isinstance(e, dict)]
        self.strange = [line for line in lines if not isinstance(line, dict)]
        self._below: dict[Any, list[dict[str, Any]]] = {}
        before: Any = None
        known: dict[Any, Any] = {None: None}
        for number, entry in enumerate(self.entries):
            own = str(entry.get("id") or f"line {number}")
            own = f"{own} in line {number}" if own in known else own
            told = entry.get("parentId") if "parentId" in entry else before
            above = None if told is None else str(told)
            above = above if above in known else before
            known[own] = above
            self._below.setdefault(above, []).append({**entry, "id": own})
            before = own
        self._main: set[Any] = set()
        while before is not None:
            self._main.add(before)
            before = known[before]

    def walk(self, scribe: Scribe) -> list[Scribe]:
        """Tell *scribe* the present path, and its branches the others; return all of them."""
        scribes = [scribe]
        waiting = [(scribe, self._below.get(None, []), 0)]
        while waiting:
            scribe, below, said = waiting.pop(0)
            path: list[Any] = []
            while below:
                ways = sorted(below, key=lambda entry: entry["id"] not in self._main)
                for entry in ways[1:]:
                    branch = scribe.branch(str(entry["id"]), "a branch of the imported session")
                    scribes.append(branch)
                    waiting.append((branch, [entry], said))
                path.append(ways[0]["id"])
                _tell(scribe, ways[0], self._kept(ways[0], path))
                below = self._below.get(ways[0]["id"], [])
        return scribes

    def _kept(self, entry: dict[str, Any], path: list[Any]) -> int:
        """Return how many messages of *path* a compaction keeps."""
        first = entry.get("firstKeptEntryId")
        if first not in path:
            return 0
        kept = set(path[path.index(first) :])
        return sum(e.get("type") == "message" and e.get("id") in kept for e in self.entries)


def _settings(entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    for entry in entries:
        if entry.get("customType") == SETTINGS:
            try:
                return {
                    "system": msgspec.convert(entry["data"]["system"], str),
                    "tools": msgspec.convert(entry["data"]["tools"], list[k.ToolSpec]),
                }
            except (KeyError, TypeError, msgspec.ValidationError):
                break
    return {}


def _tell(scribe: Scribe, entry: dict[str, Any], kept: int) -> None:
    at_us = us_of(entry.get("timestamp"))
    message = entry.get("message")
    match entry.get("type"):
        case "message" if isinstance(message, dict):
            _tell_message(scribe, entry, message, us_of(message.get("timestamp")) or at_us)
        case "model_change":
            model = {"provider": entry.get("provider"), "id": entry.get("modelId")}
            scribe.configured({"model": model}, at_us)
        case "compaction":
            scribe.compacted(str(entry.get("summary", "")), keep=kept, at_us=at_us)
        case "branch_summary":
            summary = {"type": "text", "text": str(entry.get("summary", ""))}
            scribe.edited([["insert", {"role": "user", "content": [summary]}]], "import", at_us)
        case "custom_message":
            told = {name: value for name, value in entry.items() if name not in _PLACE}
            scribe.edited([["insert", {"role": "custom", **told}]], "import", at_us)
        case "custom" if entry.get("customType") == SETTINGS:
            pass
        case what:
            scribe.foreign(str(what), entry, at_us)


_PLACE = {"type", "id", "parentId", "timestamp"}


def _tell_message(
    scribe: Scribe, entry: dict[str, Any], message: dict[str, Any], at_us: int
) -> None:
    content = _content_in(message.get("content"))
    match message.get("role"):
        case "user" if content is not None:
            scribe.said(content, at_us)
        case "assistant" if isinstance(message.get("content"), list):
            scribe.answered(_answer_in(message), at_us)
        case "toolResult" if content is not None and scribe.returned(
            str(message.get("toolCallId")),
            content,
            is_ok=not message.get("isError"),
            details=message.get("details"),
            at_us=at_us,
        ):
            pass
        case "bashExecution" | "custom" | "hookMessage":
            scribe.edited([["insert", message]], "import", at_us)
        case what:
            scribe.foreign(f"message of {what}", entry, at_us)


def _content_in(content: Any) -> k.Content | None:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    return [
        image(part.get("mimeType", ""), part.get("data", ""))
        if part.get("type") == "image"
        else part
        for part in content
        if isinstance(part, dict)
    ]


def _answer_in(message: dict[str, Any]) -> Answer:
    stop = message.get("stopReason")
    failure = None
    if stop in ("error", "aborted"):
        said = str(message.get("errorMessage") or stop)
        failure = Failure("cancelled" if stop == "aborted" else "refused", said)
    model = {"provider": message.get("provider"), "id": message.get("model")}
    if message.get("api"):
        model["api"] = message["api"]
    return Answer(
        [_block_in(part) for part in message["content"] if isinstance(part, dict)],
        _STOPS.get(str(stop), "end"),
        model if model["id"] else {},
        _usage_in(message.get("usage")),
        failure,
        message.get("responseId"),
    )


def _block_in(part: dict[str, Any]) -> Block:
    match part.get("type"):
        case "text":
            return Block("text", part.get("text") or "", sign=part.get("textSignature") or "")
        case "thinking":
            sign = part.get("thinkingSignature") or ""
            return Block("think", part.get("thinking") or "", sign=sign)
        case "toolCall":
            arguments = written(part.get("arguments") or {})
            sign = part.get("thoughtSignature") or ""
            return Block("call", arguments, str(part.get("id")), str(part.get("name")), sign)
        case _:
            return Block("keep", keep=part)


def _usage_in(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, dict):
        return None
    told: dict[str, Any] = {
        ours: usage[theirs] for theirs, ours in USAGE.items() if isinstance(usage.get(theirs), int)
    }
    if isinstance(usage.get("cost"), dict):
        cost = usage["cost"]
        told["cost"] = {ours: cost[theirs] for theirs, ours in USAGE.items() if theirs in cost}
        told["cost"] |= {"total": cost["total"]} if "total" in cost else {}
    return told or None
