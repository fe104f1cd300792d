"""Archived logs: read, judged, forked and gone on with as before, in much less room."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from tests.crashing import ID, World, text, turns
from tests.recordings import REPLAYS

from tinyagent import fork, load, open_log, replay
from tinyagent.runtime.archive import Archived, archive
from tinyagent.runtime.errors import CorruptLogError, LogNotFoundError, LogOwnedError
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import pack
from tinyagent.runtime.redact import Redaction, redact
from tinyagent.runtime.repair import repair, salvage, verify
from tinyagent.runtime.stores import Level
from tinyagent.runtime.stores.files import FileLog

SCRIPT = turns(*[text(f"Answer {n}.") for n in range(3)])


async def recorded(where: Path, level: Level = "crc", padding: str = "") -> Path:
    """A session of three openings, and an empty one before, each closed."""
    await FileLog(where, now_us=lambda: 1, log_id=ID, level=level).close()
    for n in range(3):
        async with open_log(where) as log:
            await World().build(log, SCRIPT, []).prompt(f"Question {n} {padding}")
    return where


@pytest.fixture
async def trip(tmp_path: Path) -> Path:
    return await recorded(tmp_path / "trip")


def segments(log: Path) -> list[str]:
    return sorted(path.name for path in log.glob("0*"))


def lines(log: Path) -> list[bytes | None]:
    return [record.line for record in read_log(log).records]


async def test_an_archived_log_reads_replays_and_packs_as_before(trip: Path) -> None:
    before, whole = lines(trip), pack(read_log(trip))
    files = sum((trip / name).stat().st_size for name in segments(trip))
    [made] = archive(trip)
    assert (made.name, made.segments, made.bytes) == ("00000004.jsonl.zst", 4, files)
    assert made.bytes_packed == (trip / made.name).stat().st_size
    assert lines(trip) == before
    assert pack(read_log(trip)) == whole
    assert (await replay(trip)).ok


async def test_it_is_whole_and_the_next_opening_goes_on_behind_it(trip: Path) -> None:
    before = lines(trip)
    archive(trip)
    assert segments(trip) == ["00000004.jsonl.zst"]
    assert archive(trip) == []
    assert verify(trip).verdict == "clean"
    assert salvage(trip).gaps == []
    async with open_log(trip) as log:
        assert log.seq == len(before)
    assert segments(trip) == ["00000004.jsonl.zst", "00000005.jsonl"]
    assert archive(trip)[0].segments == 5


async def test_what_makes_a_new_log_of_it_finds_the_same(trip: Path) -> None:
    repair(trip, trip.with_name("repaired-before"))
    redact(trip, trip.with_name("redacted-before"), [Redaction(2)])
    archive(trip)
    repair(trip, trip.with_name("repaired"))
    redact(trip, trip.with_name("redacted"), [Redaction(2)])
    for name in ("repaired", "redacted"):
        assert lines(trip.with_name(name)) == lines(trip.with_name(f"{name}-before"))


async def test_a_parent_may_be_archived_before_and_after_it_was_forked(
    trip: Path, tmp_path: Path
) -> None:
    async with fork(trip, at=5, into=tmp_path / "one"):
        pass
    before = lines(tmp_path / "one")
    archive(trip)
    assert lines(tmp_path / "one") == before
    async with fork(trip, at=5, into=tmp_path / "two"):
        pass
    assert lines(tmp_path / "two")[:5] == before[:5]


@pytest.mark.parametrize("level", ["crc", "chain"])
async def test_damage_in_an_archive_is_named_and_repaired_as_far_as_it_goes(
    tmp_path: Path, level: Level
) -> None:
    noise = random.Random(1).randbytes(25_000).hex()
    trip = await recorded(tmp_path / "trip", level, noise)
    archive(trip)
    packed = trip / "00000004.jsonl.zst"
    whole = lines(trip)
    packed.write_bytes(packed.read_bytes()[:-300])
    with pytest.raises(CorruptLogError, match="in an archive") as found:
        read_log(trip)
    assert "00000004.jsonl.zst/0000000" in found.value.path
    assert verify(trip).verdict == "corrupt"
    with pytest.raises(CorruptLogError, match="in an archive"):
        archive(trip)
    repair(trip, tmp_path / "repaired")
    left = lines(tmp_path / "repaired")
    kept = [line for line in left if line in whole]
    assert len(kept) >= 8
    assert load(tmp_path / "repaired").messages != []


async def test_a_log_that_is_being_written_or_none_is_not_archived(tmp_path: Path) -> None:
    with pytest.raises(LogNotFoundError):
        archive(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LogNotFoundError):
        archive(tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []
    async with open_log(tmp_path / "log"):
        with pytest.raises(LogOwnedError):
            archive(tmp_path / "log")


async def test_sessions_with_tools_take_less_than_a_fifth(tmp_path: Path) -> None:
    log = FileLog(tmp_path, now_us=lambda: 1)
    for path in sorted(REPLAYS.glob("*.jsonl")):
        for r in read_log(path).records:
            log.append(log.seq + 1, r.ts_us, r.actor, r.kind, r.v, 0, r.payload)
    await log.close()
    [made] = archive(tmp_path)
    assert 30_000 < made.bytes < 60_000
    assert made.bytes_packed * 5 < made.bytes


@pytest.mark.parametrize(("tokens", "most"), [(1, 4.4), (8, 1.6)])
async def test_a_slow_stream_takes_archived_at_most_4_4_times_its_text(
    tmp_path: Path, tokens: int, most: float
) -> None:
    """1,000 tokens, each in a record of its own, or eight to a record."""
    dice = random.Random(1)
    words = ["".join(dice.choices("etaoinshrdlu", k=dice.randint(2, 8))) for _ in range(400)]
    now_us, text_bytes = 1_795_420_800_000_000, 0
    log = FileLog(tmp_path / "log", now_us=lambda: now_us)
    for _ in range(1000 // tokens):
        gap_us = dice.randint(8_000, 40_000)
        now_us += gap_us
        said = [f" {dice.choice(words)}" for _ in range(tokens)]
        gaps = [gap_us, *(dice.randint(0, 900) for _ in said[1:])]
        piece = [0, "text", "".join(said), gap_us]
        if tokens > 1:
            piece = [0, "text", "".join(said), gaps, [len(word) for word in said]]
        text_bytes += sum(map(len, said))
        payload = json.dumps({"pieces": [piece]}, separators=(",", ":")).encode()
        log.append(log.seq + 1, now_us, None, "model.delta", 1, 0, payload)
    await log.close()
    [made] = archive(tmp_path / "log")
    assert made == Archived("00000001.jsonl.zst", 1, made.bytes, made.bytes_packed)
    assert made.bytes_packed <= most * text_bytes, f"{made.bytes_packed / text_bytes:.2f}"
