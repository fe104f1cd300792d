"""The messages of a conversation, and how public messages become them.

Frozen, each with the number of the record that it came from.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from tinyagent.events import kinds as k
from tinyagent.events.codec import restored

Outcome: TypeAlias = Literal["ok", "failed", "cancelled"]


class Block(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One part of an answer.

    Attributes:
        op: ``text think refuse call``, or ``keep`` for a part that only its provider reads.
        text: the text; of a call, its arguments as the model wrote them.
        sign: what the provider needs to accept a thinking block again.
        keep: JSON that goes back to the same provider unchanged.
    """

    op: str
    text: str = ""
    id: str = ""
    name: str = ""
    sign: str = ""
    keep: Any = None


class User(msgspec.Struct, frozen=True, gc=False):
    """What somebody outside said."""

    seq: int
    content: k.Content
    at_ms: int | None = None


class Assistant(msgspec.Struct, frozen=True, gc=False):
    """What the model answered.

    Attributes:
        seq: of the ``model.requested``. model: provider, id and api that answered.
        outcome: ``failed`` and ``cancelled`` answers hold every block so far, but no half call.
            Their calls are not run.
    """

    seq: int
    blocks: tuple[Block, ...]
    model: dict[str, Any]
    outcome: Outcome = "ok"
    reason: str = "end"
    usage: dict[str, Any] | None = None
    failure: k.Failure | None = None
    at_ms: int | None = None


class Result(msgspec.Struct, frozen=True, gc=False):
    """What a tool gave back, or why it did not."""

    seq: int
    call_id: str
    name: str
    content: k.Content
    ok: bool = True
    details: dict[str, Any] | None = None
    terminate: bool = False
    at_ms: int | None = None


class Custom(msgspec.Struct, frozen=True, gc=False):
    """A message of a role that only the application knows; models are not sent it."""

    seq: int
    message: dict[str, Any]


Message: TypeAlias = User | Assistant | Result | Custom


CallEnd: TypeAlias = (
    k.ToolFinished | k.ToolFailed | k.ToolBlocked | k.ToolSettled | k.ToolReconciled
)


def result_of(record: k.Record, event: CallEnd, name: str, *, is_last: bool = False) -> Result:
    """Return what the end of a call tells the model. *is_last*: a hook ended the batch."""
    content: k.Content = ""
    details: dict[str, Any] | None = None
    ok, terminate = True, False
    match event:
        case k.ToolFinished():
            content, details, terminate = event.content, event.details, event.terminate
        case k.ToolFailed():
            content, ok = event.failure.message, False
        case k.ToolSettled():
            content, ok = event.content, event.outcome == "done"
        case k.ToolBlocked():
            content, ok, details = event.content, event.ok, event.details
            terminate = event.terminate
        case k.ToolReconciled():
            content = event.content
    at_ms = record.at_ns // 1_000_000
    return Result(
        record.seq,
        event.call_id,
        name,
        restored(content),
        ok,
        restored(details),
        terminate or is_last,
        at_ms,
    )


def revised(result: Result, event: k.HostAnswered | k.HostFailed) -> Result:
    """Return *result* as an after-hook's answer changes it. A failing hook withholds the result."""
    if isinstance(event, k.HostFailed):
        return msgspec.structs.replace(
            result, content=event.failure.message, ok=False, details=None
        )
    return msgspec.structs.replace(
        result,
        content=result.content if event.content is None else restored(event.content),
        ok=result.ok if event.ok is None else event.ok,
        details=result.details if event.details is None else restored(event.details),
        terminate=result.terminate or event.terminate,
    )


def reworded(message: Message, text: str, seq: int) -> Message:
    """Return *message* with *text* in the place of its own, as record *seq* says it.

    What an answer calls stays, for its results follow.
    """
    match message:
        case User() | Result():
            return msgspec.structs.replace(message, content=text, seq=seq)
        case Assistant(blocks=blocks):
            kept = tuple(block for block in blocks if block.op == "call")
            return msgspec.structs.replace(message, blocks=(Block("text", text), *kept), seq=seq)
        case Custom():
            return message


def applied(messages: list[Message], ops: list[Any], seq: int) -> list[Message]:
    """Return *messages* as the answer of a context hook shapes them for one request.

    ``["=", from, to]`` keeps a range by index, ``["+", message]`` puts one in; no operation at
    all changes nothing.
    """
    if not ops:
        return messages
    out: list[Message] = []
    for op in ops:
        match op:
            case ["=", int(first), int(end)]:
                out.extend(messages[first:end])
            case ["+", dict(message)]:
                out.append(message_of(message, seq))
            case _:
                pass
    return out


def edited(messages: list[Message], ops: list[list[Any]], seq: int) -> list[Message]:
    """Return a new list: *messages* after the operations of a ``context.edited``."""
    out = list(messages)
    for op in ops:
        match op:
            case ["clear"]:
                out = []
            case ["drop", int(which)]:
                out = [message for message in out if message.seq != which]
            case ["replace", int(which), str(text)]:
                out = [reworded(m, text, seq) if m.seq == which else m for m in out]
            case ["insert", dict(message)]:
                out.append(message_of(message, seq))
            case _:
                pass
    return out


def said_in(record: k.Record, event: k.UserSaid) -> Message:
    """Return the message that somebody outside said."""
    if event.message is not None:
        return message_of(event.message, record.seq)
    return User(record.seq, restored(event.content), event.at_ms)


def rejection(record: k.Record, faults: list[str]) -> User:
    """Return what the model is told of an answer that had not the form asked for."""
    told = "\n".join(("The answer was not accepted:", *(f"- {fault}" for fault in faults)))
    return User(record.seq, f"{told}\nGive it again, whole.", record.at_ns // 1_000_000)


def message_of(dump: dict[str, Any], seq: int) -> Message:
    """Return the message that a public message dumps to *dump*."""
    dump = restored(dump)
    content = dump.get("content") or []
    match dump.get("role"):
        case "user":
            return User(seq, content, dump.get("timestamp"))
        case "tool_result":
            return Result(
                seq,
                dump.get("tool_call_id") or "",
                dump.get("tool_name") or "",
                content,
                not dump.get("is_error"),
                dump.get("details"),
                at_ms=dump.get("timestamp"),
            )
        case "assistant":
            stop = dump.get("stop_reason") or "stop"
            return Assistant(
                seq,
                tuple(_block_of(part) for part in content if part) if content else (),
                {key: dump[key] for key in ("api", "provider") if dump.get(key)}
                | ({"id": dump["model"]} if dump.get("model") else {}),
                "failed" if stop == "error" else "cancelled" if stop == "aborted" else "ok",
                {"tool_calls": "tools", "tool_use": "tools", "length": "length"}.get(stop, "end"),
                dump.get("usage"),
                at_ms=dump.get("timestamp"),
            )
        case _:
            return Custom(seq, dump)


def _block_of(part: Any) -> Block:
    if isinstance(part, str):
        return Block("text", part)
    match part.get("type"):
        case "thinking":
            return Block(
                "think", part.get("thinking") or "", sign=part.get("thinking_signature") or ""
            )
        case "tool_call":
            arguments = part.get("arguments")
            raw = part.get("partial_json")
            return Block(
                "call",
                raw if raw and not arguments else msgspec.json.encode(arguments or {}).decode(),
                part.get("id") or "",
                part.get("name") or "",
            )
        case _:
            return Block("text", part.get("text") or "")
