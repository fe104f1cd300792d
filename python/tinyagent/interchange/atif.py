"""Trajectories in ATIF, the Agent Trajectory Interchange Format of Harbor, versions 1.0 to 1.7.

Facts: RFC 0001 of the Harbor project. One JSON object; a step is something said, or an answer with
its calls and, as its observation, what came of them: the result that names the call's id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tinyagent.events import kinds as k
from tinyagent.events.messages import Block
from tinyagent.interchange import Source
from tinyagent.interchange.parts import us_of, written
from tinyagent.interchange.scribe import Answer, Scribe
from tinyagent.runtime.errors import ForeignFormatError
from tinyagent.runtime.load import LoadedLog

FAILED = "tinyagent.failed_calls"
"""In the ``extra`` of a step: ids of the calls that failed, which ATIF has no word for."""
_STEP = frozenset(
    {"step_id", "timestamp", "source", "message", "model_name", "reasoning_content"}
    | {"tool_calls", "observation", "metrics"}
)
_METRICS = {"prompt_tokens": "input", "completion_tokens": "output", "cached_tokens": "cache_read"}


def is_mine(body: bytes) -> bool:
    """Whether *body* is a trajectory."""
    return body.lstrip()[:1] == b"{" and b'"schema_version"' in body and b'"ATIF-v' in body


def read(source: Source) -> list[LoadedLog]:
    """Return the log of a trajectory.

    Raises:
        ForeignFormatError: it is none.
    """
    try:
        told = msgspec.json.decode(source.body)
    except msgspec.DecodeError as error:
        raise ForeignFormatError(f"{source.name}: no JSON: {error}") from error
    steps = told.get("steps") if isinstance(told, dict) else None
    if not isinstance(steps, list) or not str(told.get("schema_version")).startswith("ATIF-v1."):
        raise ForeignFormatError(f"{source.name}: no trajectory of ATIF version 1")
    named = told.get("agent")
    agent: dict[str, Any] = named if isinstance(named, dict) else {}
    known = [step for step in steps if isinstance(step, dict)]
    is_told = bool(known) and known[0].get("source") == "system"
    scribe = Scribe(
        f"atif {told.get('trajectory_id') or told.get('session_id') or ''}".strip(),
        source.body,
        name=agent.get("name"),
        model={"id": agent["model_name"]} if agent.get("model_name") else None,
        system=_text(known[0].get("message")) if is_told else "",
        tools=_tools(agent.get("tool_definitions")),
        at_us=us_of(known[0].get("timestamp")) if known else 0,
    )
    scribe.foreign("trajectory", {name: told[name] for name in told if name != "steps"})
    for number, step in enumerate(steps):
        if not isinstance(step, dict):
            scribe.foreign("step", step)
        elif number or not is_told:
            _tell(scribe, step, us_of(step.get("timestamp")))
        if isinstance(step, dict):
            _keep_rest(scribe, step)
    scribe.end()
    return [scribe.log()]


def _tell(scribe: Scribe, step: dict[str, Any], at_us: int) -> None:
    match step.get("source"):
        case "user":
            scribe.said(_content(step.get("message")), at_us)
        case "agent":
            scribe.answered(_answer(step), at_us)
        case "system":
            message = {"role": "system", "content": _content(step.get("message"))}
            scribe.edited([["insert", message]], "import", at_us)
        case _:
            scribe.foreign("step", step, at_us)
            return
    observation = step.get("observation")
    results = observation.get("results") if isinstance(observation, dict) else None
    extra = step.get("extra") if isinstance(step.get("extra"), dict) else None
    failed = extra.get(FAILED) or [] if extra else []
    loose: list[str] = []
    for result in results if isinstance(results, list) else ():
        _observe(scribe, result, failed, loose, at_us)
    if loose:  # of an agent without calls: what the world showed it next
        scribe.said("\n".join(loose), at_us)


def _observe(
    scribe: Scribe, result: Any, failed: Sequence[str], loose: list[str], at_us: int
) -> None:
    call_id = result.get("source_call_id") if isinstance(result, dict) else ""
    if call_id is None and isinstance(result.get("content"), str):
        loose.append(result["content"])
        return
    content = _content(result.get("content")) if isinstance(result, dict) else ""
    is_ok = call_id not in failed
    is_known = scribe.returned(str(call_id), content, is_ok=is_ok, at_us=at_us)
    if not is_known or set(result) - {"source_call_id", "content"}:
        scribe.foreign("observation", result, at_us)


def _answer(step: dict[str, Any]) -> Answer:
    blocks: list[Block] = []
    if step.get("reasoning_content"):
        blocks.append(Block("think", str(step["reasoning_content"])))
    if text := _text(step.get("message")):
        blocks.append(Block("text", text))
    calls = step.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if not isinstance(call, dict):
            blocks.append(Block("keep", keep=call))
            continue
        arguments = written(call.get("arguments") or {})
        name = str(call.get("function_name"))
        blocks.append(Block("call", arguments, str(call.get("tool_call_id")), name))
    model = {"id": step["model_name"]} if step.get("model_name") else {}
    return Answer(blocks, model=model, usage=_usage(step.get("metrics")))


def _usage(metrics: Any) -> dict[str, Any] | None:
    if not isinstance(metrics, dict):
        return None
    told: dict[str, Any] = {
        ours: metrics[theirs]
        for theirs, ours in _METRICS.items()
        if isinstance(metrics.get(theirs), int)
    }
    if told:
        told["total"] = told.get("input", 0) + told.get("output", 0)
    if isinstance(metrics.get("cost_usd"), int | float):
        told["cost"] = {"total": metrics["cost_usd"]}
    return told or None


def _keep_rest(scribe: Scribe, step: dict[str, Any]) -> None:
    """Keep what a step says that has no place in an event."""
    rest = {name: value for name, value in step.items() if name not in _STEP}
    if isinstance(rest.get("extra"), dict):
        extra = {name: value for name, value in rest.pop("extra").items() if name != FAILED}
        rest |= {"extra": extra} if extra else {}
    metrics = step.get("metrics")
    if isinstance(metrics, dict):
        more = {name: metrics[name] for name in metrics if name not in (*_METRICS, "cost_usd")}
        rest |= {"metrics": more} if more else {}
    if rest:
        scribe.foreign("fields of a step", {"step_id": step.get("step_id"), **rest})


def _tools(definitions: Any) -> list[k.ToolSpec]:
    found: list[k.ToolSpec] = []
    for each in definitions if isinstance(definitions, list) else ():
        function = each.get("function", each) if isinstance(each, dict) else {}
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            schema = function.get("parameters")
            found.append(
                k.ToolSpec(
                    function["name"],
                    str(function.get("description") or ""),
                    schema if isinstance(schema, dict) else {},
                )
            )
    return found


def _content(told: Any) -> k.Content:
    """Return text, or its parts; an image, which lies in a file, stays as it is told."""
    if isinstance(told, list):
        return [part for part in told if isinstance(part, dict)]
    return told if isinstance(told, str) else "" if told is None else _json(told)


def _text(told: Any) -> str:
    content = _content(told)
    if isinstance(content, str):
        return content
    return "\n".join(str(part["text"]) for part in content if part.get("text"))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
