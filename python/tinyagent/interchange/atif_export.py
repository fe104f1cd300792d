"""Logs as trajectories in ATIF, version 1.7; ``atif`` says what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from tinyagent._version import VERSION
from tinyagent.events import kinds as k
from tinyagent.events.children import own
from tinyagent.events.messages import Assistant, Custom, Result, User
from tinyagent.interchange import Exported
from tinyagent.interchange.atif import FAILED
from tinyagent.interchange.parts import RAW, function_of, iso_of, object_of
from tinyagent.interchange.scribe import text_of
from tinyagent.recording import Recording

SCHEMA = "ATIF-v1.7"


def export(recording: Recording) -> Exported:
    """Return the trajectory: the conversation as it stands, with tokens."""
    lost: Counter[str] = Counter()
    settings, usage = recording.settings, recording.usage
    steps = list(_steps(recording, lost))
    for number, step in enumerate(steps, 1):
        step["step_id"] = number
    agent: dict[str, Any] = {"name": "tinyagent", "version": VERSION}
    if settings.model.get("id"):
        agent["model_name"] = settings.model["id"]
    if settings.tools:
        agent["tool_definitions"] = [function_of(tool) for tool in settings.tools]
    told = {
        "schema_version": SCHEMA,
        "session_id": recording.meta.log,
        "trajectory_id": recording.meta.log,
        "agent": agent,
        "steps": [{"step_id": step.pop("step_id"), **step} for step in steps],
        "final_metrics": {
            "total_prompt_tokens": usage.input_tokens,
            "total_completion_tokens": usage.output_tokens,
            "total_cached_tokens": usage.cache_read_tokens,
            "total_steps": len(steps),
        },
        "extra": {"tinyagent.status": recording.status},
    }
    for record in own(recording.records):
        if isinstance(record.event, k.ContextEdited | k.Foreign | k.ChildStarted):
            lost[f"{record.event.kind} records"] += 1
    body = msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"
    return Exported(body, dict(sorted(lost.items())))


def _steps(recording: Recording, lost: Counter[str]) -> Iterator[dict[str, Any]]:
    times = {record.seq: record.at_ns // 1000 for record in recording.records}
    if recording.settings.system:
        yield {"source": "system", "message": recording.settings.system}
    answer: dict[str, Any] = {}
    for message in recording.conversation.messages:
        if isinstance(message, Result):
            _observe(answer, message, lost)
            continue
        if answer:
            yield answer
        answer = {}
        stamp = {"timestamp": iso_of(times.get(message.seq, 0))}
        match message:
            case User(content=content):
                yield {**stamp, "source": "user", "message": _content(content, lost)}
            case Custom(message=whole):
                extra = {"tinyagent.message": whole}
                text = text_of(whole.get("content"))
                yield {**stamp, "source": "system", "message": text, "extra": extra}
            case Assistant():
                answer = {**stamp, **_answer(message, lost)}
    if answer:
        yield answer


def _answer(message: Assistant, lost: Counter[str]) -> dict[str, Any]:
    texts: dict[str, list[str]] = {"text": [], "think": []}
    calls: list[dict[str, Any]] = []
    for block in message.blocks:
        if block.op == "call":
            arguments = object_of(block.text)
            calls.append(
                {
                    "tool_call_id": block.id,
                    "function_name": block.name,
                    "arguments": {RAW: block.text} if arguments is None else arguments,
                }
            )
        elif block.op == "keep":
            lost["provider's own blocks"] += 1
        else:
            texts["think" if block.op == "think" else "text"].append(block.text)
        if block.sign:
            lost["signatures"] += 1
    step: dict[str, Any] = {"source": "agent"}
    if message.model.get("id"):
        step["model_name"] = message.model["id"]
    step["message"] = "\n\n".join(texts["text"])
    if texts["think"]:
        step["reasoning_content"] = "\n\n".join(texts["think"])
    if calls:
        step["tool_calls"] = calls
    if message.usage:
        step["metrics"] = _metrics(message.usage)
    if message.failure is not None:
        step["extra"] = {"tinyagent.failure": msgspec.to_builtins(message.failure)}
    return step


def _metrics(usage: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "prompt_tokens": usage.get("input", 0),
        "completion_tokens": usage.get("output", 0),
        "cached_tokens": usage.get("cache_read", 0),
    }
    total = (usage.get("cost") or {}).get("total")
    return told if total is None else {**told, "cost_usd": total}


def _observe(step: dict[str, Any], message: Result, lost: Counter[str]) -> None:
    if not step:
        lost["results without their answer"] += 1
        return
    results: list[Any] = step.setdefault("observation", {"results": []})["results"]
    content = _content(message.content, lost)
    results.append({"source_call_id": message.call_id, "content": content})
    if message.details is not None:
        lost["details of results"] += 1
    if not message.ok:
        step.setdefault("extra", {}).setdefault(FAILED, []).append(message.call_id)


def _content(content: k.Content, lost: Counter[str]) -> Any:
    """Return the texts. An image would have to be a file beside the trajectory."""
    if isinstance(content, str):
        return content
    lost.update(f"{p.get('type')} blocks" for p in content if p.get("type") != "text")
    return text_of(content)
