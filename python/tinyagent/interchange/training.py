"""What both formats for training take of a log: whole turns that ended well."""

from __future__ import annotations

from collections import Counter

import msgspec

from tinyagent.events import kinds as k
from tinyagent.events.children import own
from tinyagent.events.messages import Assistant, Custom, Message, Result
from tinyagent.recording import Recording


def lessons(recording: Recording, lost: Counter[str], *, failed: bool) -> list[Message]:
    """Return the conversation up to its last answer, and count in *lost* what is left out.

    Without *failed* no call is in it that failed, nor an answer that failed or was cut off; what is
    left of an answer without its calls stays, if it said something.
    """
    messages = recording.conversation.messages
    bad = (
        {m.call_id for m in messages if isinstance(m, Result) and not m.ok} if not failed else set()
    )
    ended = {message.call_id for message in messages if isinstance(message, Result)}
    kept: list[Message] = []
    for message in messages:
        match message:
            case Custom():
                lost["messages of other roles"] += 1
            case Result(call_id=call_id) if call_id in bad:
                lost["failed calls"] += 1
            case Assistant(outcome=outcome) if outcome != "ok" and not failed:
                lost["failed answers"] += 1
            case Assistant(blocks=blocks):
                told = [b for b in blocks if b.op != "call" or (b.id in ended and b.id not in bad)]
                said = [block for block in told if block.op in ("text", "refuse", "call")]
                lost["calls without a result"] += sum(
                    b.op == "call" and b.id not in ended for b in blocks
                )
                lost["thinking"] += sum(block.op == "think" for block in told)
                lost["provider's own blocks"] += sum(block.op == "keep" for block in told)
                if any(block.text or block.op == "call" for block in said):
                    kept.append(msgspec.structs.replace(message, blocks=tuple(said)))
            case _:
                kept.append(message)
    while kept and not isinstance(kept[-1], Assistant):
        lost["messages without an answer"] += 1
        kept.pop()
    for record in own(recording.records):
        lost["context edits"] += isinstance(record.event, k.ContextEdited)
        lost["agents below"] += isinstance(record.event, k.ChildStarted)
    return kept


def said_in(message: Assistant) -> str:
    """Return what an answer says in words."""
    return "\n\n".join(block.text for block in message.blocks if block.op != "call" and block.text)
