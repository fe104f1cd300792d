"""Session files of Claude Code: JSON lines, one for each block of an answer, prompt or result.

The format is its owner's and undocumented; this reads what its files showed in 2025: ``type`` user
and assistant with a ``message`` of the Anthropic API. All else is kept as ``foreign``: lines of
sub-agents (``isSidechain``) too. Lines are taken in file order: a rewind is not undone here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tinyagent.events import Failure, kinds as k
from tinyagent.events.messages import Block
from tinyagent.interchange import Source
from tinyagent.interchange.parts import image, lines_of, us_of
from tinyagent.interchange.scribe import Answer, Scribe, text_of
from tinyagent.runtime.errors import ForeignFormatError
from tinyagent.runtime.load import LoadedLog

PROVIDER = "anthropic"
_USAGE = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_input_tokens": "cache_read",
    "cache_creation_input_tokens": "cache_write",
}
_STOPS = {"tool_use": "tools", "max_tokens": "length", "refusal": "filtered"}
_LOOKED_AT_BYTES = 1 << 20


def is_mine(body: bytes) -> bool:
    """Whether one of the first lines of *body* is of such a session."""
    start = body[:_LOOKED_AT_BYTES]
    return start[:1] == b"{" and b'"sessionId"' in start and b'"parentUuid"' in start


def read(source: Source) -> list[LoadedLog]:
    """Return the log of a session.

    Raises:
        ForeignFormatError: no line of it is of one.
    """
    lines = list(lines_of(source.body, source.name))
    spoken = [line for line in lines if isinstance(line, dict) and _is_spoken(line)]
    if not spoken:
        raise ForeignFormatError(f"{source.name}: no line of a session of Claude Code")
    named = [e.get("summary") for e in lines if isinstance(e, dict) and e.get("type") == "summary"]
    scribe = Scribe(
        f"claude-code {spoken[0].get('sessionId') or ''}".strip(),
        source.body,
        name=str(named[-1]) if named and named[-1] else None,
        at_us=us_of(spoken[0].get("timestamp")),
    )
    answers: dict[str, list[dict[str, Any]]] = {}
    for line in spoken:
        if line["type"] == "assistant":
            answers.setdefault(_answer_id(line), []).append(line)
    for line in lines:
        if not isinstance(line, dict):
            scribe.foreign("line", line)
        elif not _is_spoken(line):
            what = "sidechain" if line.get("isSidechain") else str(line.get("type"))
            scribe.foreign(what, line, us_of(line.get("timestamp")))
        elif line["type"] == "user":
            _tell_user(scribe, line, us_of(line.get("timestamp")))
        else:
            _tell_answer(scribe, line, answers)
    scribe.end()
    return [scribe.log()]


def _is_spoken(line: dict[str, Any]) -> bool:
    return (
        line.get("type") in ("user", "assistant")
        and isinstance(line.get("message"), dict)
        and not line.get("isSidechain")
    )


def _answer_id(line: dict[str, Any]) -> str:
    """Return what the blocks of one answer have in common."""
    return str(line["message"].get("id") or id(line))


def _tell_user(scribe: Scribe, line: dict[str, Any], at_us: int) -> None:
    content = line["message"].get("content")
    if line.get("isCompactSummary"):
        scribe.compacted(text_of(_content(content)), keep=0, at_us=at_us)
        return
    if not isinstance(content, list):
        scribe.said(_content(content), at_us)
        return
    said: list[Any] = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "tool_result":
            said.append(part)
            continue
        is_known = scribe.returned(
            str(part.get("tool_use_id")),
            _content(part.get("content")),
            is_ok=not part.get("is_error"),
            details=line.get("toolUseResult"),
            at_us=at_us,
        )
        if not is_known:
            scribe.foreign("tool_result", line, at_us)
    if said:
        scribe.said(_content(said), at_us)


def _tell_answer(
    scribe: Scribe, line: dict[str, Any], answers: dict[str, list[dict[str, Any]]]
) -> None:
    """Tell the answer that *line* is the first block of; the others are told with it."""
    parts = answers.pop(_answer_id(line), None)
    if parts is None:
        return
    last = parts[-1]["message"]
    content = [part for each in parts for part in _list(each["message"].get("content"))]
    model = last.get("model")
    failure = None
    if line.get("isApiErrorMessage"):
        failure = Failure("refused", text_of(_content(content)))
    answer = Answer(
        list(_blocks(content)),
        _STOPS.get(str(last.get("stop_reason")), "end"),
        {} if model in (None, "<synthetic>") else {"provider": PROVIDER, "id": model},
        _usage(last.get("usage")),
        failure,
        line["message"].get("id"),
    )
    scribe.answered(answer, us_of(line.get("timestamp")))


def _blocks(content: Sequence[Any]) -> Iterator[Block]:
    for part in content:
        match part.get("type") if isinstance(part, dict) else None:
            case "text":
                yield Block("text", str(part.get("text") or ""))
            case "thinking":
                yield Block(
                    "think", str(part.get("thinking") or ""), sign=part.get("signature") or ""
                )
            case "tool_use":
                arguments = msgspec.json.encode(part.get("input") or {}).decode()
                yield Block("call", arguments, str(part.get("id")), str(part.get("name")))
            case _:
                yield Block("keep", keep=part)


def _usage(told: Any) -> dict[str, Any] | None:
    if not isinstance(told, dict):
        return None
    usage = {ours: told[name] for name, ours in _USAGE.items() if isinstance(told.get(name), int)}
    return {**usage, "total": usage.get("input", 0) + usage.get("output", 0)} if usage else None


def _list(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [{"type": "text", "text": content or ""}]


def _content(content: Any) -> k.Content:
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    out: list[dict[str, Any]] = []
    for part in content:
        if not isinstance(part, dict):
            out.append({"type": "text", "text": str(part)})
        elif part.get("type") == "image" and isinstance(part.get("source"), dict):
            of = part["source"]
            out.append(image(str(of.get("media_type") or ""), str(of.get("data") or "")))
        else:
            out.append(part)
    return out
