"""How much larger a log is than what was said: bounds that are promised, and checked here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinyagent import Agent, AgentOptions, AgentState, load, open_log
from tinyagent.agent_types import AgentTool
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.events import kinds as k
from tinyagent.runtime.load import read_log
from tinyagent.testing import RecordedTransport, VirtualClock, chat

TURNS = 100
TEXT_BYTES = 250_000
LOG_PER_PAYLOAD_MAX = 1.3
RECORD_BYTES_MAX, DELTA_BYTES_MAX = 140, 12
WORDS = "The quick brown fox jumps over the lazy dog, and naps. " * 40


def build(log: Any, bodies: list[bytes], **how: Any) -> Agent:
    async def execute(call_id: str, args: Any, signal: Any, on_update: Any) -> str:
        return WORDS[: TEXT_BYTES // TURNS // 2]

    model = OpenAICompatModel(provider="demo", id="m")
    tool = AgentTool("look", "Looks something up.", {"type": "object"}, execute=execute)
    return Agent(
        AgentOptions(
            initial_state=AgentState(model=model, tools=[tool]),
            log=log,
            clock=VirtualClock(),
            transport=RecordedTransport(bodies, **how),
        )
    )


def sizes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.jsonl"))


async def test_a_long_session_with_tools_takes_at_most_1_3_times_what_was_said(
    tmp_path: Path,
) -> None:
    """100 turns of a tool that declares nothing, 250 KB of text.

    Each answer comes in three reads, its deltas of 50 characters; smaller ones cost 5 bytes each.
    """
    said, asked = WORDS[: TEXT_BYTES // TURNS // 4], WORDS[: TEXT_BYTES // TURNS // 4]
    bodies = [
        chat(text=said, calls=[(f"call_{turn}", "look", {"for": asked})], chunk_chars=50).body
        for turn in range(TURNS - 1)
    ]
    bodies.append(chat(text=said).body)
    third = max(map(len, bodies)) // 3 + 1
    async with open_log(tmp_path / "log") as log:
        await build(log, bodies, chunk_sizes=[third], gap_us=20_000).prompt("Look it all up.")
    recording = load(tmp_path / "log")
    dumped = [message.model_dump(exclude_none=True) for message in recording.messages]
    payload = len(json.dumps(dumped, separators=(",", ":"), ensure_ascii=False).encode())
    deltas = [r for r in recording.records if isinstance(r.event, k.ModelDelta)]
    assert sum(isinstance(r.event, k.ToolFinished) for r in recording.records) == TURNS - 1
    assert len(deltas) <= 3 * TURNS
    assert payload >= TEXT_BYTES
    assert sizes(tmp_path / "log") <= LOG_PER_PAYLOAD_MAX * payload, (
        f"{sizes(tmp_path / 'log') / payload:.3f} x {payload}"
    )
    assert len(recording.records) <= 9 * TURNS + 10


async def test_a_slow_stream_costs_at_most_140_bytes_a_record_and_12_a_further_delta(
    tmp_path: Path,
) -> None:
    """A thousand tokens, each in a read of its own, and eight to a read."""
    reply = chat(text="word " * 1000, chunk_chars=5)
    events = [len(chunk) for chunk in reply.chunks]
    for tokens in (1, 8):
        reads = [sum(events[at : at + tokens]) for at in range(0, len(events), tokens)]
        folder = tmp_path / str(tokens)
        async with open_log(folder) as log:
            agent = build(log, [reply.body], chunk_sizes=reads, gap_us=20_000)
            await agent.prompt("Go on.")
        further = 0
        records = [r for r in read_log(folder).records if r.kind == "model.delta"]
        for stored in records:
            event = json.loads(stored.payload)
            assert stored.line is not None
            deltas = sum(len(piece[4]) if len(piece) == 5 else 1 for piece in event["pieces"])
            further += deltas - 1
            beyond = len(stored.line) - sum(len(piece[2]) for piece in event["pieces"])
            assert beyond <= RECORD_BYTES_MAX + DELTA_BYTES_MAX * (deltas - 1), stored.line
        assert len(records) + further == 1000
        assert len(records) == (1000 if tokens == 1 else 126)
