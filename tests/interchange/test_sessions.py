"""Session files of Claude Code and Codex: what was said is a log, all else is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.interchange.telling import conversation
from tests.recordings import agent

from tinyagent.continuing import fork
from tinyagent.events import kinds as k
from tinyagent.interchange import EXPORTERS, export, import_
from tinyagent.recording import Recording
from tinyagent.runtime.errors import ForeignFormatError
from tinyagent.testing import chat
from tinyagent.verbs import load

HERE = Path(__file__).parent
OBJECTS = ["atif.json", "langgraph.json", "openai-agents.json"]
LINES = ["claude-code.jsonl", "codex.jsonl", "pi.jsonl"]
FILES = [*OBJECTS, *LINES]


def imported(name: str) -> tuple[Recording, dict[str, int]]:
    (found,) = import_(HERE / name)
    assert found.format == name.partition(".")[0]
    return found.recordings[0], found.foreign


def test_blocks_of_one_answer_are_one_answer_though_results_come_between() -> None:
    recording, foreign = imported("claude-code.jsonl")
    assert conversation(recording) == [
        "user: Weather in Paris and Rome?",
        'assistant: think=Both. call={"city":"Paris"} call={"city":"Rome"}',
        "result: 21 °C",
        "result: no such city",
        "assistant: text=21 °C; Rome failed.",
    ]
    assert foreign == {"file-history-snapshot": 1, "sidechain": 1, "summary": 1, "system": 1}
    assert (recording.meta.name, recording.meta.origin) == ("Weather in Paris", "claude-code s-1")
    assert recording.settings.model == {"provider": "anthropic", "id": "claude-x"}
    usage = recording.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_write_tokens) == (8, 51, 100)
    calls = recording.tool_calls
    assert [(call.outcome, call.content) for call in calls.values()] == [
        ("finished", "21 °C"),
        ("failed", "no such city"),
    ]


def test_items_of_codex_become_answers_and_results() -> None:
    recording, foreign = imported("codex.jsonl")
    assert conversation(recording) == [
        "custom: developer",
        "user: Weather in Paris?",
        'assistant: think=Look it up. call={"command":["weather"]} call={"input":"*** Begin"}',
        "result: 21 °C",
        "result: no such file",
        "assistant: text=21 °C.",
    ]
    assert foreign == {
        "event_msg user_message": 1,
        "response_item ghost_snapshot": 1,
        "session_meta": 1,
        "turn_context": 1,
    }
    assert (recording.settings.system, recording.settings.model["id"]) == ("Be brief.", "gpt-x")
    assert (recording.usage.input_tokens, recording.usage.cache_read_tokens) == (100, 60)
    assert recording.meta.origin == "codex r-1"


def test_items_of_the_agents_sdk_are_a_conversation() -> None:
    recording, foreign = imported("openai-agents.json")
    assert conversation(recording) == [
        "user: Weather in Paris?",
        'assistant: think=Look it up. call={"city":"Paris"}',
        "result: 21 °C",
        "assistant: text=21 °C.",
    ]
    assert foreign == {"mcp_list_tools": 1}


def test_messages_of_langgraph_are_read_however_they_are_dumped() -> None:
    recording, foreign = imported("langgraph.json")
    assert conversation(recording) == [
        "user: Weather in Paris?",
        'assistant: text=I look. call={"city":"Paris"}',
        "result: 503",
        "assistant: text=It failed.",
    ]
    assert foreign == {"fields of a message": 1, "message": 1, "state": 1}
    assert (recording.settings.system, recording.settings.model) == ("Be brief.", {"id": "m"})
    assert recording.tool_calls["c1"].outcome == "failed"
    assert (recording.usage.input_tokens, recording.usage.cache_read_tokens) == (10, 6)


@pytest.mark.parametrize("name", ["messages", "array"])
def test_a_state_of_langgraph_or_its_messages_alone_are_enough(name: str) -> None:
    messages = json.loads((HERE / "langgraph.json").read_bytes())[0]["values"]["messages"]
    told = {"messages": messages} if name == "messages" else messages
    (found,) = import_(json.dumps(told).encode())
    assert found.format == "langgraph"
    assert conversation(found.recordings[0]) == conversation(imported("langgraph.json")[0])


def test_an_old_rollout_has_the_items_themselves() -> None:
    lines = [json.loads(line) for line in (HERE / "codex.jsonl").read_text("utf-8").splitlines()]
    old = [line["payload"] for line in lines if line["type"] == "response_item"]
    head = {"id": "r-0", "timestamp": "2025-06-01T00:00:00.000Z", "instructions": "Be brief."}
    (found,) = import_("\n".join(map(json.dumps, [head, *old])).encode())
    assert (found.format, found.foreign) == ("codex", {"ghost_snapshot": 1, "header": 1})
    assert conversation(found.recordings[0]) == conversation(imported("codex.jsonl")[0])


@pytest.mark.parametrize("name", FILES)
def test_every_line_is_told_or_kept_and_nothing_is_invented(name: str) -> None:
    recording, _ = imported(name)
    kinds = [record.event.kind for record in recording.records]
    assert "tool.started" not in kinds
    assert kinds.count("model.requested") == kinds.count("model.finished") + kinds.count(
        "model.failed"
    )
    body = (HERE / name).read_bytes()
    assert import_(body)[0].logs[0].records == import_(body)[0].logs[0].records


@pytest.mark.parametrize("name", [*OBJECTS, *LINES[:2]])
async def test_an_imported_log_can_be_shown_compared_exported_and_forked(
    name: str, tmp_path: Path
) -> None:
    (found,) = import_(HERE / name, into=tmp_path / "log")
    recording = load(tmp_path / "log")
    assert recording.damage is None
    assert recording.diff(found.recordings[0]).is_same
    for to in sorted(EXPORTERS):
        if to != "html":
            assert export(recording, to)
    async with fork(tmp_path / "log", into=tmp_path / "on") as log:
        await agent(log, [chat(text="On.")]).prompt("And?")
    assert conversation(load(tmp_path / "on"))[-2:] == ["user: And?", "assistant: text=On."]
    assert load(tmp_path / "on").replay().ok


@pytest.mark.parametrize("name", LINES)
def test_a_session_cut_off_anywhere_becomes_a_log(name: str) -> None:
    lines = (HERE / name).read_bytes().splitlines(keepends=True)
    for count in range(4, len(lines)):
        (found,) = import_(b"".join(lines[:count]) + lines[count][:20])
        for recording in found.recordings:
            assert recording.open_work == ()
            assert found.foreign["line"] == 1


def test_what_is_none_of_them_is_refused() -> None:
    for name in ("claude-code", "codex", "langgraph", "openai-agents"):
        with pytest.raises(ForeignFormatError):
            import_(b'{"type":"x"}\n', name)


def test_a_foreign_record_holds_the_whole_line() -> None:
    recording, _ = imported("claude-code.jsonl")
    lines = [json.loads(line) for line in (HERE / "claude-code.jsonl").read_bytes().splitlines()]
    kept = [r.event.raw for r in recording.records if isinstance(r.event, k.Foreign)]
    assert [line for line in lines if line.get("isSidechain")] == [kept[-2]]


def test_an_id_that_two_calls_have_is_given_to_one() -> None:
    text = (HERE / "claude-code.jsonl").read_text("utf-8").replace('"t2"', '"t1"')
    (found,) = import_(text.encode())
    calls = found.recordings[0].tool_calls
    assert {call_id: call.arguments for call_id, call in calls.items()} == {
        "t1": {"city": "Paris"},
        "t1~2": {"city": "Rome"},
    }
