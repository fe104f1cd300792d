"""Trajectories: a result belongs to the call that it names, what has no place is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.interchange.telling import conversation
from tests.recordings import REPLAYS

from tinyagent.events import kinds as k
from tinyagent.interchange import exported, import_
from tinyagent.runtime.errors import ForeignFormatError
from tinyagent.verbs import load

TRAJECTORY = Path(__file__).with_name("atif.json")


def test_a_trajectory_becomes_a_log() -> None:
    (found,) = import_(TRAJECTORY)
    (recording,) = found.recordings
    assert found.format == "atif"
    assert conversation(recording) == [
        "user: Weather?",
        'assistant: think=Hm. text=I look. call={"city":"Paris"} call={"city":"Rome"}',
        "result: 21 °C",
        "result: 22 °C",
        "assistant: text=21 and 22 °C.",
        "assistant: text=ls",
        "user: a b",
        "assistant: text=Two files.",
    ]
    assert (recording.meta.origin, recording.settings.system) == ("atif s-7", "Be brief.")
    assert [tool.name for tool in recording.settings.tools] == ["weather"]
    usage = recording.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (230, 29, 60)
    assert recording.status == "answered"


def test_what_has_no_place_in_an_event_is_kept() -> None:
    (found,) = import_(TRAJECTORY)
    assert found.foreign == {"fields of a step": 2, "observation": 1, "trajectory": 1}
    raws = [r.event.raw for r in found.recordings[0].records if isinstance(r.event, k.Foreign)]
    assert {"source_call_id": "c9", "content": "whose?"} in raws
    assert {"step_id": 3, "metrics": {"logprobs": [-0.5]}} in raws
    assert {"step_id": 6, "extra": {"mood": "calm"}} in raws


@pytest.mark.parametrize("version", range(8))
def test_every_version_is_read(version: int) -> None:
    told = {**json.loads(TRAJECTORY.read_bytes()), "schema_version": f"ATIF-v1.{version}"}
    (found,) = import_(json.dumps(told).encode())
    assert len(found.recordings[0].conversation.messages) == 8


def test_a_log_becomes_a_trajectory_of_the_newest_version() -> None:
    made = exported(load(REPLAYS / "tool-error.jsonl"), "atif")
    told = json.loads(made.body)
    assert told["schema_version"] == "ATIF-v1.7"
    assert [(s["step_id"], s["source"]) for s in told["steps"]] == [
        (1, "system"),
        (2, "user"),
        (3, "agent"),
        (4, "agent"),
    ]
    step = told["steps"][2]
    assert step["tool_calls"][0] == {
        "tool_call_id": "call_p",
        "function_name": "weather",
        "arguments": {"city": "Paris"},
    }
    first = {"source_call_id": "call_p", "content": "503 Service Unavailable"}
    assert step["observation"]["results"][0] == first
    assert step["extra"] == {"tinyagent.failed_calls": ["call_p", "call_x"]}
    assert told["final_metrics"]["total_prompt_tokens"] == 20
    assert made.left_out == {}


@pytest.mark.parametrize("name", ["one-tool", "tool-error", "thinking", "unknown-tool"])
def test_a_trajectory_goes_there_and_back(name: str) -> None:
    recording = load(REPLAYS / f"{name}.jsonl")
    (found,) = import_(exported(recording, "atif").body)
    (back,) = found.recordings
    assert conversation(back) == conversation(recording)
    assert back.settings.tools[0].schema == recording.settings.tools[0].schema
    assert back.usage.total_tokens == recording.usage.total_tokens
    assert {c.call_id: c.outcome for c in back.tool_calls.values()} == {
        c.call_id: c.outcome for c in recording.tool_calls.values()
    }


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"schema_version":"ATIF-v2.0","steps":[]}'])
def test_what_is_no_trajectory_is_refused(body: bytes) -> None:
    with pytest.raises(ForeignFormatError, match=r"\(bytes\): no "):
        import_(body, "atif")
