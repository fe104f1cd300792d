"""Every recorded stream, under everything that networks and gateways do to streams."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.corpus import APIS, folder, recordings
from tests.rust.decode_checks import CHECKS, outcome
from tests.rust.decode_reading import by_byte, read
from tests.rust.decode_table import table

COUNTS = {
    "openai-chat": 187,
    "anthropic-messages": 65,
    "openai-responses": 64,
    "gemini": 40,
}


@pytest.mark.parametrize("protocol", COUNTS)
def test_all_recordings_are_there(protocol: str) -> None:
    assert len(recordings(protocol)) == COUNTS[protocol]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("protocol", COUNTS)
def test_a_decoder_gives_the_same_answer(protocol: str, check: str) -> None:
    _, faults = outcome(protocol, check)
    assert not faults, f"{len(faults)} recordings:\n" + "\n".join(faults[:20])


# Streams that mean something else to MiniMax's decoder: tags in the text, reasoning in details.
OF_MINIMAX = {
    "pydantic+pydantic-ai/models.test_huggingface.test_hf_model_thinking_part_iter",
    "pydantic+pydantic-ai/models.test_snowflake.test_snowflake_thinking_streaming",
}


def test_the_minimax_decoder_reads_what_is_not_its_own_like_the_other() -> None:
    differ = set[str]()
    for it in recordings("openai-chat"):
        chat, minimax = read(it.api, [it.body]), read("minimax-completions", [it.body])
        assert minimax.end["usage_raw"] == chat.end["usage_raw"]
        assert [c.text for c in minimax.calls] == [c.text for c in chat.calls]
        if any(minimax.joined(op) != chat.joined(op) for op in ("text", "think", "refuse")):
            differ.add(it.name)
        by_bytes = read("minimax-completions", by_byte(it.body))
        assert (by_bytes.blocks, by_bytes.end) == (minimax.blocks, minimax.end), it.name
    assert differ == OF_MINIMAX


def test_whole_sessions_are_read_to_their_final_texts() -> None:
    steps = 0
    for session in sorted((folder() / "sessions").glob("*/session.json")):
        about = json.loads(session.read_text(encoding="utf-8"))
        texts: list[str] = []
        for step in range(len(list(session.parent.glob("*.sse")))):
            body = (session.parent / f"{step}.sse").read_bytes()
            reading = read(APIS[about["protocol"]], [body])
            assert reading.failure is None
            assert reading.end["bad_calls"] == []
            texts.append(reading.joined("text"))
            steps += 1
        assert texts[-1] == about["final_text"], session.parent.name
    assert steps == 44


def test_the_published_table_says_what_holds() -> None:
    published = Path(__file__).parents[2] / "docs" / "decoders.md"
    if not published.is_file():
        pytest.skip("no docs here: the tests run against an installed wheel")
    assert published.read_text(encoding="utf-8") == table()
