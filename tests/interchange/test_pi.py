"""Sessions of Pi: a tree becomes logs, logs become a tree, and a fork of one goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.interchange.telling import conversation
from tests.recordings import REPLAYS, agent

from tinyagent.cli import main
from tinyagent.continuing import fork
from tinyagent.edits import tool_result
from tinyagent.events import kinds as k
from tinyagent.interchange import export, exported, import_
from tinyagent.runtime.errors import ForeignFormatError, ImportedLogError
from tinyagent.testing import chat
from tinyagent.verbs import load

SESSION = Path(__file__).with_name("pi.jsonl")


def test_a_session_becomes_a_log_and_its_branches_forks(tmp_path: Path) -> None:
    (found,) = import_(SESSION, into=tmp_path / "pi")
    assert found.format == "pi"
    here, branch = load(tmp_path / "pi"), load(tmp_path / "pi-2")
    assert conversation(here) == [
        "user: Weather in Paris?",
        'assistant: think=Look it up. call={"city":"Paris"}',
        "result: 21 °C",
        "user: In Fahrenheit, please.",
        "assistant: text=70 °F.",
    ]
    assert conversation(branch) == [
        "user: Weather in Paris?",
        'assistant: think=Look it up. call={"city":"Paris"}',
        "result: 21 °C",
        "assistant: text=21 °C.",
        "user: Thanks.",
        "assistant: ",  # cancelled: nobody answered
    ]
    assert (here.meta.origin, here.meta.name) == ("pi 5d3c", "weather")
    assert branch.meta.fork is not None
    assert branch.meta.fork.log == here.meta.log
    assert (here.status, branch.status) == ("answered", "cancelled")
    assert here.settings.model == {"provider": "demo", "id": "m2", "api": "openai-completions"}
    assert here.usage.input_tokens == 30


def test_what_is_not_understood_is_kept_whole_and_counted() -> None:
    (found,) = import_(SESSION)
    assert found.foreign == {"label": 1, "session": 1, "session_info": 1, "teleport": 1}
    entries = [json.loads(line) for line in SESSION.read_text("utf-8").splitlines()]
    kept = [r.event.raw for r in found.recordings[0].records if isinstance(r.event, k.Foreign)]
    assert next(e for e in entries if e["type"] == "teleport") in kept


@pytest.mark.parametrize(
    "name", ["one-tool", "thinking", "tool-error", "parallel-tools-out-of-order"]
)
def test_a_log_goes_there_and_back_with_the_same_conversation(name: str) -> None:
    recording = load(REPLAYS / f"{name}.jsonl")
    (found,) = import_(export(recording, "pi"))
    (back,) = found.recordings
    assert conversation(back) == conversation(recording)
    assert back.settings.system == recording.settings.system
    assert back.settings.tools == recording.settings.tools
    assert back.usage.total_tokens == recording.usage.total_tokens


async def test_forks_become_branches_and_come_back(tmp_path: Path) -> None:
    import_(REPLAYS / "one-tool.jsonl", into=tmp_path / "main")
    edit = tool_result("call_p", "Paris: snow")
    async with fork(tmp_path / "main", edit=edit, into=tmp_path / "fork") as log:
        await agent(log, [chat(text="Snow!")]).run()
    parent, child = load(tmp_path / "main"), load(tmp_path / "fork")
    tree = export(parent, "pi", forks=[child])
    (found,) = import_(tree, into=tmp_path / "back")
    assert [conversation(each) for each in found.recordings] == [
        conversation(parent),
        conversation(child),
    ]
    assert conversation(child)[-2:] == ["result: Paris: snow", "assistant: text=Snow!"]


@pytest.mark.parametrize("which", ["pi", "pi-2"])
async def test_a_fork_of_an_imported_log_goes_on_live(tmp_path: Path, which: str) -> None:
    import_(SESSION, into=tmp_path / "pi")
    async with fork(tmp_path / which, into=tmp_path / "on") as log:
        await agent(log, [chat(text="On we go.")]).prompt("And?")
    went_on = load(tmp_path / "on")
    assert conversation(went_on)[-2:] == ["user: And?", "assistant: text=On we go."]
    assert went_on.replay().ok


def test_an_imported_log_is_not_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_(SESSION, into=tmp_path / "pi")
    assert main(["replay", str(tmp_path / "pi")]) == 4
    assert "imported" in capsys.readouterr().err
    told = "imported from pi 5d3c, not recorded: there is nothing to hold a replay against"
    with pytest.raises(ImportedLogError, match=told):
        load(tmp_path / "pi").replay()
    assert main(["show", str(tmp_path / "pi")]) == 0
    assert main(["diff", str(tmp_path / "pi"), str(tmp_path / "pi-2")]) == 1


def test_what_pi_cannot_hold_is_said(tmp_path: Path) -> None:
    (found,) = import_(SESSION)
    made = exported(found.recordings[0], "pi")
    assert made.left_out == {"foreign records": 4}


def test_an_older_session_without_ids_is_one_path() -> None:
    lines: list[dict[str, Any]] = [
        {"type": "session", "id": "1", "timestamp": "2026-01-01T00:00:00Z", "cwd": "/"},
        {"type": "message", "message": {"role": "user", "content": "hi"}},
        {"type": "message", "message": {"role": "assistant", "content": [], "stopReason": "stop"}},
    ]
    (found,) = import_("\n".join(map(json.dumps, lines)).encode())
    (recording,) = found.recordings
    assert conversation(recording) == ["user: hi", "assistant: "]


def test_a_compaction_takes_messages_out_of_the_context_and_not_out_of_the_log() -> None:
    text = SESSION.read_text("utf-8").rstrip("\n")
    entry: dict[str, Any] = {
        "type": "compaction",
        "id": "c0",
        "parentId": "a9",
        "timestamp": "2026-01-01T00:01:00Z",
    }
    entry |= {"summary": "They spoke of Paris.", "firstKeptEntryId": "a7", "tokensBefore": 9}
    (found,) = import_(f"{text}\n{json.dumps(entry)}\n".encode())
    assert conversation(found.recordings[0]) == [
        "user: They spoke of Paris.",
        "user: In Fahrenheit, please.",
        "assistant: text=70 °F.",
    ]
    assert "Weather in Paris?" in str(found.recordings[0].records)


def test_what_is_no_session_of_pi_is_refused() -> None:
    with pytest.raises(ForeignFormatError, match=r"the first line is no header of a Pi session"):
        import_(b'{"type": "message"}\n', "pi")


def test_ids_that_make_a_circle_are_read_in_the_order_of_the_file() -> None:
    lines: list[dict[str, Any]] = [
        {"type": "session", "id": "1", "timestamp": "2026-01-01T00:00:00Z", "cwd": "/"}
    ]
    for own, above, text in (("a", "", "one"), ("b", "a", "two"), ("a", "b", "three")):
        message = {"role": "user", "content": text}
        lines.append({"type": "message", "id": own, "parentId": above, "message": message})
    (found,) = import_("\n".join(map(json.dumps, lines)).encode())
    assert conversation(found.recordings[0])[:3] == ["user: one", "user: two", "user: three"]
