"""``tinyagent show REF``: the conversation of a log, a line for each thing said or done."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import msgspec

from tinyagent.cli.refs import resolve
from tinyagent.cli.render import cut
from tinyagent.cli.verify import worded
from tinyagent.events import kinds as k
from tinyagent.events.messages import Assistant
from tinyagent.verbs import Recording, load

WIDTH = 100


def run(argv: Sequence[str]) -> int:
    """Print the log and return 0."""
    parser = argparse.ArgumentParser(prog="tinyagent show")
    parser.add_argument("ref", nargs="?", default="last")
    parser.add_argument("--view", choices=("transcript", "events"), default="transcript")
    given = parser.parse_args(argv)
    recording = load(resolve(given.ref))
    lines = transcript(recording) if given.view == "transcript" else events(recording)
    for line in lines:
        print(line)
    if recording.damage is not None:
        print(f"! {worded(recording)}")
    return 0


def transcript(recording: Recording) -> Iterator[str]:
    """Yield what was said and done, one line each."""
    settings = recording.settings
    model, count = settings.model.get("id", "?"), len(recording.records)
    yield f"{recording.where} · {recording.meta.log[:8]} · {model} · {count} records"
    folded = 0
    calls = recording.conversation.calls
    answers = {m.seq: m for m in recording.conversation.messages if isinstance(m, Assistant)}
    for record in recording.records:
        label, text = "", ""
        match record.event:
            case k.UserSaid(content=content, via=via):
                label, text = "user" if via == "prompt" else via, _content(content)
            case k.ModelFinished(usage=usage, reason=reason):
                label = "model"
                answer = answers.get(record.cause)
                text = _answer(answer) + _usage(usage) + ("" if reason != "length" else " (cut)")
            case k.ModelFailed(failure=failure) | k.ModelRetrying(failure=failure):
                label = "failed" if isinstance(record.event, k.ModelFailed) else "retry"
                text = f"{failure.kind}: {failure.message}"
            case k.ToolFinished(call_id=call_id, content=content):
                label, text = "tool", f"{calls[call_id].name} = {_content(content)}"
            case k.ToolFailed(call_id=call_id, failure=failure):
                label, text = "tool", f"{calls[call_id].name} ✗ {failure.message}"
            case k.ToolBlocked(call_id=call_id, content=content, by=by):
                label, text = "blocked", f"{calls[call_id].name} by {by}: {_content(content)}"
            case k.ToolInDoubt(call_id=call_id, why=why):
                label, text = "in doubt", f"{calls[call_id].name} ({why})"
            case k.CancelRequested(reason=reason):
                label, text = "cancel", reason
            case k.RunEnded(outcome=outcome):
                label, text = "end", outcome
            case k.DiagnosticReported(name=name, message=message):
                label, text = "note", f"{name}: {message}"
            case _:
                folded += 1
                continue
        yield f"{record.seq:>5}  {label:8} {cut(text, WIDTH)}"
    yield f"       {folded} other records: --view events"


def events(recording: Recording) -> Iterator[str]:
    """Yield every record: number, kind, cause, payload."""
    for record in recording.records:
        payload = record.payload.decode("utf-8", "replace")
        yield f"{record.seq:>5}  {record.event.kind:20} ← {record.cause:<5} {cut(payload, WIDTH)}"


def _content(content: k.Content) -> str:
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text") or f"[{part.get('type')}]") for part in content)


def _answer(answer: Assistant | None) -> str:
    if answer is None:
        return ""
    said = "".join(block.text for block in answer.blocks if block.op in ("text", "refuse"))
    calls = [f"{block.name}({_short(block.text)})" for block in answer.blocks if block.op == "call"]
    return said + (f" → {', '.join(calls)}" if calls else "")


def _short(arguments: str) -> str:
    try:
        value = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return arguments
    if not isinstance(value, dict):
        return arguments
    return ", ".join(f"{key}={msgspec.json.encode(item).decode()}" for key, item in value.items())


def _usage(usage: dict[str, object] | None) -> str:
    return f"  [{usage.get('input', 0)} in, {usage.get('output', 0)} out]" if usage else ""
