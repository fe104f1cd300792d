"""Every recorded stream, under everything that networks and gateways do to streams."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.corpus import recordings
from tests.rust.decode_checks import CHECKS, outcome
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


def test_the_published_table_says_what_holds() -> None:
    published = Path(__file__).parents[2] / "docs" / "decoders.md"
    if not published.is_file():
        pytest.skip("no docs here: the tests run against an installed wheel")
    assert published.read_text(encoding="utf-8") == table()
