"""Logs as sessions of the coding agent Pi, version 3; ``pi`` says what they are.

A fork given as ``forks=`` is a branch of the tree. The log itself comes last, for the last entry of
a file is where its session stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from tinyagent.events import canonical, digest, kinds as k
from tinyagent.events.children import own
from tinyagent.events.closing import place_of
from tinyagent.events.messages import Assistant, Custom, Message, Result, User
from tinyagent.interchange import Exported
from tinyagent.interchange.parts import RAW, iso_of, json_of, object_of
from tinyagent.interchange.pi import SETTINGS, USAGE
from tinyagent.recording import Recording

VERSION = 3
_SIGNATURES = {"text": "textSignature", "think": "thinkingSignature", "call": "thoughtSignature"}


def export(recording: Recording, *, forks: Sequence[Recording] = ()) -> Exported:
    """Return the session; *forks* of it, or of one another, are branches of its tree.

    Raises:
        ValueError: one of *forks* is no fork of the others.
    """
    lost: Counter[str] = Counter()
    at_us = recording.records[0].at_ns // 1000 if recording.records else 0
    log = recording.meta.log
    uuid = "-".join((log[:8], log[8:12], log[12:16], log[16:20], log[20:]))
    header = {"type": "session", "version": VERSION, "id": uuid, "timestamp": iso_of(at_us)}
    lines = [json_of({**header, "cwd": ""})]
    settings = recording.settings
    told = {"system": settings.system, "tools": msgspec.to_builtins(settings.tools)}
    first = _entry({"customType": SETTINGS, "data": told}, "custom", log, None, at_us)
    lines.append(json_of(first))
    known = {log, *(fork.meta.log for fork in forks)}
    written: set[str] = set()
    for each in (*forks, recording):  # where the session stands comes last
        left = each.meta.fork
        if each is not recording and (left is None or left.log not in known):
            raise ValueError(f"{each.where}: no fork of {recording.where}, nor of another given")
        lines += _path(each, (recording, *forks), first["id"], written, lost)
    return Exported(b"".join(lines), dict(sorted(lost.items())))


def _path(
    recording: Recording,
    family: Sequence[Recording],
    above: str,
    written: set[str],
    lost: Counter[str],
) -> list[bytes]:
    """Return the entries of one log that are not *written* yet."""
    lines: list[bytes] = []
    times = {record.seq: record.at_ns // 1000 for record in recording.records}
    for message in recording.conversation.messages:
        seq, call_id = place_of(message)
        key = f"{_owner(recording, family, seq)} {seq} {call_id}"
        shape = _message_out(message, times.get(seq, 0), lost)
        entry = _entry(shape, "message", key, above, times.get(seq, 0))
        above = entry["id"]
        if above not in written:
            written.add(above)
            lines.append(json_of(entry))
    if not lines and recording.conversation.messages:
        lost["ends of branches within others"] += 1
    for record in own(recording.records):
        if isinstance(record.event, k.ContextEdited | k.Foreign | k.ChildStarted):
            lost[f"{record.event.kind} records"] += 1
    return lines


def _owner(recording: Recording, family: Sequence[Recording], seq: int) -> str:
    """Return the id of the log that record *seq* of *recording* was written to."""
    meta = recording.meta
    while meta.fork is not None and seq <= meta.fork.at:
        above = [each.meta for each in family if each.meta.log == meta.fork.log]
        if not above:
            return meta.fork.log
        meta = above[0]
    return meta.log


def _entry(
    told: dict[str, Any], kind: str, key: str, above: str | None, at_us: int
) -> dict[str, Any]:
    own = digest(canonical([above, key]))[:8]
    told = told if kind == "custom" else {"message": told}
    return {"type": kind, "id": own, "parentId": above, "timestamp": iso_of(at_us), **told}


def _message_out(message: Message, at_us: int, lost: Counter[str]) -> dict[str, Any]:
    match message:
        case User():
            at_ms = message.at_ms or at_us // 1000
            return {
                "role": "user",
                "content": _content_out(message.content, lost),
                "timestamp": at_ms,
            }
        case Assistant():
            return _answer_out(message, lost)
        case Result():
            content = message.content
            told = [{"type": "text", "text": content}] if isinstance(content, str) else content
            out: dict[str, Any] = {
                "role": "toolResult",
                "toolCallId": message.call_id,
                "toolName": message.name,
                "content": _content_out(told, lost),
                "isError": not message.ok,
                "timestamp": message.at_ms or at_us // 1000,
            }
            return out if message.details is None else {**out, "details": message.details}
        case Custom():
            return {"timestamp": at_us // 1000, **message.message}


def _content_out(content: k.Content, lost: Counter[str]) -> k.Content:
    if isinstance(content, str):
        return content
    out: list[dict[str, Any]] = []
    for part in content:
        url = str(part.get("url") or "")
        if part.get("type") != "image":
            out.append({"type": "text", "text": part.get("text") or ""})
        elif url.startswith(("http:", "https:")):
            lost["images by address"] += 1
        else:
            mime = part.get("mime_type") or url[5:].partition(";")[0]
            out.append({"type": "image", "mimeType": mime, "data": url.rpartition(",")[2]})
    return out


def _answer_out(message: Assistant, lost: Counter[str]) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    for block in message.blocks:
        match block.op:
            case "think":
                part: dict[str, Any] = {"type": "thinking", "thinking": block.text}
            case "call":
                arguments = _arguments(block.text, lost)
                part = {"type": "toolCall", "id": block.id, "name": block.name}
                part["arguments"] = arguments
            case "keep":
                lost["provider's own blocks"] += 1
                continue
            case _:
                part = {"type": "text", "text": block.text}
        if block.sign:
            part[_SIGNATURES.get(block.op, "textSignature")] = block.sign
        content.append(part)
    has_calls = any(block.op == "call" for block in message.blocks)
    stop = "toolUse" if has_calls else "length" if message.reason == "length" else "stop"
    out: dict[str, Any] = {
        "role": "assistant",
        "content": content,
        "api": message.model.get("api", ""),
        "provider": message.model.get("provider", ""),
        "model": message.model.get("id", ""),
        "usage": _usage_out(message.usage or {}),
        "stopReason": {"failed": "error", "cancelled": "aborted"}.get(message.outcome, stop),
        "timestamp": message.at_ms or 0,
    }
    if message.failure is not None:
        out["errorMessage"] = message.failure.message
    return out


def _arguments(text: str, lost: Counter[str]) -> dict[str, Any]:
    value = object_of(text)
    if value is None:
        lost["arguments that are no object"] += 1
        return {RAW: text}
    return value


def _usage_out(usage: dict[str, Any]) -> dict[str, Any]:
    told = {theirs: usage.get(ours, 0) for theirs, ours in USAGE.items()}
    told["totalTokens"] = usage.get("total", told["input"] + told["output"])
    cost = usage.get("cost") or {}
    names = {name: ours for name, ours in USAGE.items() if name != "totalTokens"}
    return {
        **told,
        "cost": {
            **{n: cost.get(o) or 0 for n, o in names.items()},
            "total": cost.get("total") or 0,
        },
    }
