"""What a request says, whoever built it: requests that mean the same are equal here.

A content that is a string, or parts of the same text; ``developer`` for ``system``; a token limit
by any of its names; reasoning under any of its fields: forms of one meaning. Roles, ids, names,
arguments, results, signatures, encrypted items, schemas: the meaning.

Also the way back: a conversation that was recorded as requests, as the messages of ours that it
must have come from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.corpus import APIS, folder

from tinyagent.events.fact import ToolSpec
from tinyagent.events.messages import Assistant, Block, Message, Result, User
from tinyagent.events.settings import Settings

Json = dict[str, Any]

REASONING = ("reasoning_content", "reasoning", "reasoning_text")


class Step(NamedTuple):
    """One recorded request. ``name`` tells which, ``provider`` who took it."""

    name: str
    api: str
    provider: str
    request: Json


def steps(api: str) -> Iterator[Step]:
    """Yield every recorded request of *api*, session by session; skip the test without them."""
    for path in sorted((folder() / "sessions").iterdir()):
        session = json.loads((path / "session.json").read_bytes())
        if APIS[session["protocol"]] != api:
            continue
        for number in range(len(session["steps"])):
            request = json.loads((path / f"{number}.request.json").read_bytes())
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


# Responses


def _responses(body: Json) -> tuple[str, list[Json]]:
    items = body["input"]
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    return body.get("instructions") or "", [_responses_item(item) for item in items]


def _responses_item(item: Json) -> Json:
    """Return *item* without its id, which only a stored item has."""
    match item.get("type", "message"):
        case "message":
            return {"role": item["role"], "text": _text(item["content"])}
        case "function_call":
            arguments = json.loads(item["arguments"])
            return {"call": item["call_id"], "name": item["name"], "arguments": arguments}
        case "function_call_output":
            return {"of": item["call_id"], "text": _text(item["output"])}
        case _:
            return {k: v for k, v in item.items() if k not in ("id", "status") and v is not None}


def _read_responses(request: Json, model: Json) -> tuple[str, list[Message]]:
    system, items = request.get("instructions") or "", request["input"]
    messages: list[Message] = []
    names: dict[str, str] = {}
    for seq, item in enumerate(items, 1):
        match item.get("type", "message"):
            case "message" if item["role"] == "user":
                messages.append(User(seq, _text(item["content"])))
                continue
            case "function_call_output":
                of = item["call_id"]
                messages.append(Result(seq, of, names[of], _text(item["output"])))
                continue
            case "message":
                block = Block("text", _text(item["content"]))
            case "function_call":
                names[item["call_id"]] = item["name"]
                block = Block("call", item["arguments"], item["call_id"], item["name"])
            case _:
                block = Block("think", keep=item)
        _say(messages, seq, block, model)
    return system, messages


def _say(messages: list[Message], seq: int, block: Block, model: Json) -> None:
    """Add *block* to the answer that is being read, or begin one."""
    last = messages[-1] if messages else None
    if isinstance(last, Assistant):
        messages[-1] = Assistant(last.seq, (*last.blocks, block), model)
    else:
        messages.append(Assistant(seq, (block,), model))


# Gemini


def _gemini(body: Json) -> tuple[str, list[Json]]:
    system = _text((body.get("systemInstruction") or {}).get("parts"))
    out = [
        {"role": content["role"], "parts": [_gemini_part(part) for part in content["parts"]]}
        for content in body["contents"]
    ]
    return system, out


def _gemini_part(part: Json) -> Json:
    """Return *part*; of a tool's result, whatever it is called, the result."""
    said = {name: value for name, value in part.items() if value not in (None, False)}
    if answer := said.get("functionResponse"):
        (result,) = answer["response"].values()
        return {"of": answer["name"], "text": str(result)}
    return said


def _read_gemini(request: Json, model: Json) -> tuple[str, list[Message]]:
    messages: list[Message] = []
    seq = 0
    for content in request["contents"]:
        for part in map(_gemini_part, content["parts"]):
            seq += 1
            if content["role"] == "model":
                call = part.get("functionCall") or {}
                sign = part.get("thoughtSignature", "")
                block = Block("text", part.get("text", ""), sign=sign)
                if call:
                    arguments = json.dumps(call["args"])
                    block = Block("call", arguments, f"call_{seq}", call["name"], sign)
                _say(messages, seq, block, model)
            elif "of" in part:
                messages.append(Result(seq, f"call_{seq - 1}", part["of"], part["text"]))
            else:
                messages.append(User(seq, part["text"]))
    return _text((request.get("systemInstruction") or {}).get("parts")), messages


_READERS: dict[str, Callable[[Json, Json], tuple[str, list[Message]]]] = {
    "openai-completions": _read_chat,
    "anthropic-messages": _read_anthropic,
    "openai-responses": _read_responses,
    "google-generative-ai": _read_gemini,
}
_MEANINGS: dict[str, Callable[[Json], tuple[str, list[Json]]]] = {
    "openai-completions": _chat,
    "anthropic-messages": _anthropic,
    "openai-responses": _responses,
    "google-generative-ai": _gemini,
}
