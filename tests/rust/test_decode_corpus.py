"""Every recorded stream, under everything that networks and gateways do to streams."""

from __future__ import annotations

import pytest
from tests.corpus import recordings
from tests.rust.decode_checks import CHECKS

COUNTS = {"openai-chat": 187}


@pytest.mark.parametrize("protocol", COUNTS)
def test_all_recordings_are_there(protocol: str) -> None:
    assert len(recordings(protocol)) == COUNTS[protocol]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("protocol", COUNTS)
def test_a_decoder_gives_the_same_answer(protocol: str, check: str) -> None:
    faults: list[str] = []
    for recording in recordings(protocol):
        try:
            CHECKS[check](recording)
        except AssertionError as error:
            faults.append(f"{recording.name}: {error}")
    assert not faults, f"{len(faults)} recordings:\n" + "\n".join(faults[:20])
