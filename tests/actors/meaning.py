"""What a request says, whoever built it: requests that mean the same are equal here.

A content that is a string, or parts of the same text; ``developer`` for ``system``; a token limit
by any of its names; reasoning under any of its fields: forms of one meaning. Roles, ids, names,
arguments, results, signatures, encrypted items, schemas: the meaning.

Also the way back: a conversation that was recorded as requests, as the messages of ours that it
must have come from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tinyagent.events.conversation import Settings
from tinyagent.events.fact import ToolSpec
from tinyagent.events.messages import Assistant, Block, Message, Result, User

Json = dict[str, Any]

APIS = {
    "openai-chat": "openai-completions",
    "anthropic-messages": "anthropic-messages",
    "openai-responses": "openai-responses",
    "gemini": "google-generative-ai",
}
"""Our names for the protocols of the recordings."""

REASONING = ("reasoning_content", "reasoning", "reasoning_text")


class Step(NamedTuple):
    """One recorded request. ``name`` tells which, ``provider`` who took it."""

    name: str
    api: str
    provider: str
    request: Json


def sessions() -> Path | None:
    """Return the folder of the recorded sessions; None if there is none.

    Raises:
        FileNotFoundError: there is none although this is CI.
    """
    root = Path(__file__).parents[2]
    given = os.environ.get("TINYAGENT_CORPUS")
    folder = (Path(given) if given else root.parent / "shared" / "corpus") / "sessions"
    if folder.is_dir():
        return folder
    if os.environ.get("CI") == "true":
        raise FileNotFoundError(f"{folder}: CI needs the corpus (TINYAGENT_CORPUS)")
    return None


def steps() -> Iterator[Step]:
    """Yield every recorded request of every session, in order; nothing without the corpus."""
    folder = sessions()
    for path in sorted(folder.iterdir()) if folder else ():
        session = json.loads((path / "session.json").read_bytes())
        for number in range(len(session["steps"])):
            request = json.loads((path / f"{number}.request.json").read_bytes())
            api = APIS[session["protocol"]]
            yield Step(f"{path.name}/{number}", api, session["provider"], request)


def asked_of(step: Step) -> tuple[Settings, list[Message]]:
    """Return the configuration and the messages that *step* was built from."""
    request = step.request
    model = {"provider": step.provider, "id": request.get("model", ""), "api": step.api}
    options = {
        name: request[name]
        for name in ("temperature", "parallel_tool_calls")
        if request.get(name) is not None
    }
    if limit := _limit(request):
        options["max_tokens"] = limit
    if "budget_tokens" in (request.get("thinking") or {}):
        options["reasoning"] = "high"
        options["thinking_budget_tokens"] = request["thinking"]["budget_tokens"]
    system, messages = _READERS[step.api](request, model)
    tools = tuple(
        ToolSpec(tool["name"], tool["description"], tool["parameters"])
        for tool in _tools(step.api, request)
    )
    return Settings(model=model, system=system, tools=tools, options=options), messages


def meaning(api: str, request: bytes | Json) -> Json:
    """Return what *request* says."""
    body: Json = request if isinstance(request, dict) else json.loads(request)
    thinking = body.get("thinking") or {}
    temperature = body.get("temperature")
    if "budget_tokens" in thinking and temperature == 1:
        temperature = None  # the only one that may be said there, and the default
    said = {
        "model": body.get("model"),
        "limit": _limit(body),
        "temperature": temperature,
        "budget": thinking.get("budget_tokens"),
        "tools": [{**tool, "description": tool["description"] or ""} for tool in _tools(api, body)],
    }
    return said | dict(zip(("system", "messages"), _MEANINGS[api](body), strict=True))


def _limit(body: Json) -> int | None:
    names = ("max_completion_tokens", "max_tokens", "max_output_tokens")
    return next((body[name] for name in names if body.get(name) is not None), None)


def _tools(api: str, body: Json) -> list[Json]:
    """Return the tools as name, description, schema. JSON objects compare without order."""
    found = body.get("tools") or []
    if api == "google-generative-ai":
        found = [each for tool in found for each in tool.get("functionDeclarations") or []]
    out: list[Json] = []
    for tool in found:
        it = tool.get("function") or tool
        schema = it.get("parameters") or it.get("parametersJsonSchema") or it.get("input_schema")
        out.append({"name": it["name"], "description": it.get("description"), "parameters": schema})
    return out


def _text(content: Any) -> str:
    """Return the text of a content, in either form."""
    if isinstance(content, list):
        return "".join(part.get("text") or part.get("refusal") or "" for part in content)
    return content or ""


# Chat completions


def _chat(body: Json) -> tuple[str, list[Json]]:
    system, out = "", []
    for message in body["messages"]:
        if message["role"] in ("system", "developer"):
            system += _text(message["content"])
            continue
        said = {"role": message["role"], "text": _text(message.get("content"))}
        if images := _images(message.get("content")):
            said["images"] = images
        if calls := message.get("tool_calls"):
            said["calls"] = [_chat_call(call) for call in calls]
        if call_id := message.get("tool_call_id"):
            said["of"] = call_id
        if reasoning := _chat_reasoning(message):
            said["reasoning"] = reasoning
        out.append(said)
    return system, out


def _chat_call(call: Json) -> list[Any]:
    function = call["function"]
    return [call["id"], function["name"], json.loads(function["arguments"] or "{}")]


def _chat_reasoning(message: Json) -> Any:
    fields = ("reasoning_details", *REASONING)
    return next((message[name] for name in fields if message.get(name)), None)


def _images(content: Any) -> list[str]:
    if not isinstance(content, list):
        return []
    return [part["image_url"]["url"] for part in content if part["type"] == "image_url"]


def _read_chat(request: Json, model: Json) -> tuple[str, list[Message]]:
    system, messages = "", list[Message]()
    names: dict[str, str] = {}
    for seq, message in enumerate(request["messages"], 1):
        match message["role"]:
            case "system" | "developer":
                system += _text(message["content"])
            case "user":
                messages.append(User(seq, _text(message["content"])))
            case "tool":
                of = message["tool_call_id"]
                messages.append(Result(seq, of, names[of], _text(message["content"])))
            case _:
                blocks = [*_chat_thoughts(message)]
                if text := _text(message.get("content")):
                    blocks.append(Block("text", text))
                for call in message.get("tool_calls") or []:
                    function = call["function"]
                    names[call["id"]] = function["name"]
                    blocks.append(
                        Block("call", function["arguments"], call["id"], function["name"])
                    )
                messages.append(Assistant(seq, tuple(blocks), model))
    return system, messages


def _chat_thoughts(message: Json) -> Iterator[Block]:
    field = next((name for name in REASONING if message.get(name)), None)
    details: list[Json] = message.get("reasoning_details") or []
    if field or details:
        text = message[field] if field else "".join(each.get("text", "") for each in details)
        keep = {"reasoning_details": details} if details else None
        yield Block("think", text, sign=field or "reasoning", keep=keep)


# Anthropic's messages


def _anthropic(body: Json) -> tuple[str, list[Json]]:
    out = [
        {"role": message["role"], "blocks": [_anthropic_block(it) for it in _blocks(message)]}
        for message in body["messages"]
    ]
    return _text(body.get("system")), out


def _blocks(message: Json) -> list[Json]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _anthropic_block(block: Json) -> Json:
    if block["type"] == "tool_result":
        return {
            "of": block["tool_use_id"],
            "text": _text(block.get("content")),
            "failed": bool(block.get("is_error")),
        }
    return {name: value for name, value in block.items() if value is not None}


def _read_anthropic(request: Json, model: Json) -> tuple[str, list[Message]]:
    messages: list[Message] = []
    names: dict[str, str] = {}
    for seq, message in enumerate(request["messages"], 1):
        blocks = _blocks(message)
        if message["role"] == "assistant":
            names |= {it["id"]: it["name"] for it in blocks if it["type"] == "tool_use"}
            messages.append(Assistant(seq, tuple(map(_anthropic_said, blocks)), model))
            continue
        said: list[Json] = []
        for block in blocks:
            if block["type"] == "tool_result":
                of, failed = block["tool_use_id"], bool(block.get("is_error"))
                content = block.get("content") or ""
                messages.append(Result(seq, of, names[of], content, ok=not failed))
            else:
                said.append(block)
        if said:
            messages.append(User(seq, said))
    return _text(request.get("system")), messages


def _anthropic_said(block: Json) -> Block:
    match block["type"]:
        case "text":
            return Block("text", block["text"])
        case "thinking":
            return Block("think", block["thinking"], sign=block["signature"])
        case "tool_use":
            return Block("call", json.dumps(block["input"]), block["id"], block["name"])
        case _:
            return Block("keep", keep=block)


_READERS: dict[str, Callable[[Json, Json], tuple[str, list[Message]]]] = {
    "openai-completions": _read_chat,
    "anthropic-messages": _read_anthropic,
}
_MEANINGS: dict[str, Callable[[Json], tuple[str, list[Json]]]] = {
    "openai-completions": _chat,
    "anthropic-messages": _anthropic,
}
