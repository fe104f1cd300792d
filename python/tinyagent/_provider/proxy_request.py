"""What the proxy is sent: the model, the conversation as it accepts it, the options."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tinyagent._config.checks import check_json
from tinyagent._diagnostics import diagnose
from tinyagent._provider.resolve import thinking_of
from tinyagent.agent_types import (
    Context,
    JsonValue,
    Model,
    SimpleStreamOptions,
    ThinkingLevel,
    dump_model_dumpable,
)
from tinyagent.agent_types._dump import valid_text
from tinyagent.agent_types._structure import dump_json_value

NO_RESULT = "No result was recorded for this call."
_MODEL_FIELDS = {"provider", "id", "api", "thinking_level"}
_ROLES = ("user", "assistant", "tool_result")
_FAILED = ("error", "aborted")

Dump = dict[str, Any]


def request_body(
    model: Model,
    context: Context,
    *,
    temperature: float | None,
    max_tokens: int | None,
    reasoning: JsonValue,
    session_id: str | None,
) -> bytes:
    """Return the JSON of one request. A lone surrogate becomes U+FFFD.

    Raises:
        TypeError: a message does not dump itself, or something in it is no JSON. ValueError: the
            temperature is no number that JSON has.
    """
    asked: Dump = {
        "system_prompt": context.system_prompt,
        "messages": repaired([_dumped(message) for message in context.messages]),
    }
    if context.tools:
        asked["tools"] = [
            {
                "name": tool.name,
                "description": tool.description,
                "parameters": dump_json_value(tool.parameters),
                "label": tool.label,
            }
            for tool in context.tools
        ]
    options: Dump = {
        "temperature": temperature,
        "maxTokens": max_tokens,
        "reasoning": reasoning,
    }
    check_json("temperature", temperature)
    if session_id:
        options["sessionId"] = session_id
    described = model.model_dump(mode="json", include=_MODEL_FIELDS)
    body = {"model": described, "context": asked, "options": options}
    return valid_text(json.dumps(body, ensure_ascii=False)).encode()


def effective_reasoning(model: Model, options: SimpleStreamOptions) -> JsonValue:
    """Return how much the model shall think: the options' word, else the model's own, or None."""
    own: JsonValue = getattr(model, "reasoning", None)
    return options.reasoning or thinking_of(ThinkingLevel.OFF, model) or own or None


def _dumped(message: object) -> Dump:
    dump: Any = (
        message
        if isinstance(message, dict)
        else dump_model_dumpable(message, where="context.messages")
    )
    result: Any = dump_json_value(dump)
    result.pop("error_kind", None)
    if isinstance(result.get("content"), str):
        result["content"] = [{"type": "text", "text": result["content"]}]
    return dict(result)


class _Round:
    """An answer, its calls, and the result found for each of them."""

    def __init__(self, answer: Dump) -> None:
        self.answer = answer
        self.calls = [block for block in _blocks(answer) if block.get("type") == "tool_call"]
        self.results: list[Dump | None] = [None] * len(self.calls)


def repaired(messages: Sequence[Dump]) -> list[Dump]:
    """Return *messages* so that every call is answered once and every id is unique.

    A call without a result gets an error result; of an answer that failed it is left out, as is
    all but its texts. A result without a call is left out, and so is a message of a role that
    only the application knows. What needs nothing is passed on as it is.
    """
    rounds: list[Dump | _Round] = []
    waiting: dict[object, list[tuple[_Round, int]]] = {}
    for message in messages:
        role = message.get("role")
        if role == "assistant":
            turn = _Round(message)
            rounds.append(turn)
            # A result never answers a call from before another call of the same id.
            for call in turn.calls:
                waiting[call.get("id")] = []
            for at, call in enumerate(turn.calls):
                waiting[call.get("id")].append((turn, at))
        elif role == "tool_result":
            if found := waiting.get(message.get("tool_call_id")):
                turn, at = found.pop(0)
                turn.results[at] = message
        elif role in _ROLES:
            rounds.append(message)
        else:
            diagnose("proxy", f"messages of the role {role!r} are not sent to the model")
    taken: set[object] = set()
    sent: list[Dump] = []
    for each in rounds:
        sent.extend(_whole(each, taken) if isinstance(each, _Round) else [each])
    return sent


def _whole(turn: _Round, taken: set[object]) -> list[Dump]:
    """Return an answer and its results. *taken*: the ids of the calls before."""
    is_failed = turn.answer.get("stop_reason") in _FAILED
    content: list[Any] = []
    results: list[Dump] = []
    found = iter(turn.results)
    for block in turn.answer.get("content") or ():
        if isinstance(block, dict) and block.get("type") == "tool_call":
            result = next(found)
            if result is None and is_failed:
                continue
            call = {**block, "id": _unique(block.get("id"), taken), "arguments": _arguments(block)}
            taken.add(call["id"])
            content.append(call)
            results.append({**(result or _unanswered(call)), "tool_call_id": call["id"]})
        elif not is_failed or _is_text(block):
            content.append(block)
    if is_failed and not content:
        return []
    return [{**turn.answer, "content": content}, *results]


def _is_text(block: object) -> bool:
    if not isinstance(block, dict):
        return False
    return bool(block.get("type") == "text" and block.get("text"))


def _unanswered(call: Dump) -> Dump:
    return {
        "role": "tool_result",
        "tool_name": call.get("name"),
        "content": [{"type": "text", "text": NO_RESULT}],
        "details": {},
        "is_error": True,
    }


def _arguments(call: Mapping[str, Any]) -> Any:
    """Return the arguments; those that are only there as text if that is an object."""
    given: Any = call.get("arguments") or {}
    if not given and isinstance(call.get("partial_json"), str):
        try:
            parsed: Any = json.loads(call["partial_json"])
        except (ValueError, RecursionError):
            return given
        return parsed if isinstance(parsed, dict) else given
    return given


def _blocks(message: Dump) -> list[Dump]:
    return [block for block in message.get("content") or () if isinstance(block, dict)]


def _unique(call_id: object, taken: set[object]) -> object:
    if call_id and call_id not in taken:
        return call_id
    number = 2 if call_id else len(taken)
    while (wanted := f"{call_id or 'call'}_{number}") in taken:
        number += 1
    return wanted
