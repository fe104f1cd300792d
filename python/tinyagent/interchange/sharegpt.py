"""ShareGPT: one line with ``conversations`` for each log.

Dialect: that of LLaMA-Factory, whose turns alternate: ``human`` or ``observation``, then ``gpt`` or
``function_call``. ``system`` and ``tools``, a JSON text, stand beside them.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from tinyagent.events import kinds as k
from tinyagent.events.messages import Assistant, Result, User
from tinyagent.interchange import Exported
from tinyagent.interchange.parts import json_of, object_of
from tinyagent.interchange.scribe import text_of
from tinyagent.interchange.training import lessons, said_in
from tinyagent.recording import Recording

_ASKING = ("human", "observation")


def export(recording: Recording, *, failed: bool = False) -> Exported:
    """Return one example; failed calls and answers are in it only if *failed*."""
    lost: Counter[str] = Counter()
    turns: list[tuple[str, list[str]]] = []
    for message in lessons(recording, lost, failed=failed):
        match message:
            case User(content=content):
                _say(turns, "human", _text(content, lost))
            case Result(content=content):
                _say(turns, "observation", _text(content, lost))
            case Assistant():
                calls = _calls(message)
                said = said_in(message)
                if calls and said:
                    lost["text beside calls"] += 1
                _say(turns, "function_call" if calls else "gpt", *(calls or [said]))
            case _:
                pass
    shaped = _alternating(turns, lost)
    example: dict[str, Any] = {
        "conversations": [{"from": who, "value": _value(who, values)} for who, values in shaped]
    }
    if recording.settings.system:
        example["system"] = recording.settings.system
    if tools := recording.settings.tools:
        told = [
            {"name": tool.name, "description": tool.description, "parameters": tool.schema}
            for tool in tools
        ]
        example["tools"] = msgspec.json.encode(told).decode()
    return Exported(json_of(example), {name: n for name, n in sorted(lost.items()) if n})


def _say(turns: list[tuple[str, list[str]]], who: str, *values: str) -> None:
    if turns and turns[-1][0] == who:
        turns[-1][1].extend(values)
    else:
        turns.append((who, list(values)))


def _alternating(
    turns: list[tuple[str, list[str]]], lost: Counter[str]
) -> list[tuple[str, list[str]]]:
    """Return *turns* so that somebody asks first, and question and answer alternate."""
    out: list[tuple[str, list[str]]] = []
    for who, values in turns:
        is_asking = who in _ASKING
        if is_asking != (len(out) % 2 == 0):
            if not out or not is_asking:
                lost["answers to nothing"] += 1
                continue
            # Steering: what a person said beside a result.
            lost["turns joined"] += 1
            out[-1] = (out[-1][0], [*out[-1][1], *values])
            continue
        out.append((who, values))
    if len(out) % 2:
        out.pop()
    return out


def _value(who: str, values: list[str]) -> str:
    if who == "function_call":
        return values[0] if len(values) == 1 else f"[{', '.join(values)}]"
    return "\n\n".join(values)


def _calls(message: Assistant) -> list[str]:
    told: list[str] = []
    for block in message.blocks:
        if block.op == "call":
            arguments = object_of(block.text)
            call = {"name": block.name, "arguments": block.text if arguments is None else arguments}
            told.append(msgspec.json.encode(call).decode())
    return told


def _text(content: k.Content, lost: Counter[str]) -> str:
    if not isinstance(content, str):
        lost["images"] += sum(part.get("type") != "text" for part in content)
    return text_of(content)
