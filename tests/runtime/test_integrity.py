"""The levels ``chain`` and ``signed``: what is kept, what is found out, by whom."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tinyagent._alchemy import public_key
from tinyagent.runtime.errors import CorruptLogError
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import Head, forked_from, head, open_log_at, open_packed, pack
from tinyagent.runtime.stores import Level, Log, SealKey
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.memory import MemoryLog

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"
KEY = SealKey("ed25519", bytes(range(32)))
SECRET = SealKey("hmac-sha256", b"sixteen bytes and more")


def now_us() -> int:
    return 1795420800000000


def opened(path: Path, level: Level | None, key: SealKey | None = None) -> FileLog:
    return FileLog(path, now_us=now_us, log_id=ID, level=level, key=key)


def append(log: Log, count: int) -> None:
    for _ in range(count):
        seq = log.seq + 1
        log.append(seq, now_us() + seq, None, "user.said", 1, seq - 1, b'{"n":%d}' % seq)


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(row) for row in path.read_bytes().splitlines()]


async def test_a_chained_log_carries_its_hashes_and_goes_on_when_reopened(tmp_path: Path) -> None:
    log = opened(tmp_path, "chain")
    append(log, 2)
    await log.close()
    log = opened(tmp_path, None)
    assert log.meta.level == "chain"
    append(log, 1)
    anchor = head(log)
    await log.close()
    loaded = read_log(tmp_path)
    assert (loaded.meta.level, loaded.damage) == ("chain", None)
    *_, third, seal = rows(tmp_path / "00000002.jsonl")
    assert third["h"] == anchor.hash[:32]
    assert (seal["last"], seal["head"], "sig" in seal) == (3, anchor.hash, False)


async def test_the_anchor_of_a_log_is_the_hash_of_the_format_at_every_level(
    tmp_path: Path,
) -> None:
    sample = Path(__file__).parents[2] / "rust/log/src/tests/sample.jsonl"
    if not sample.is_file():
        pytest.skip("the sources are not here")
    plain = open_packed(sample)
    first = MemoryLog(log_id=ID, records=plain.read(1, 2))
    expected = "1555b1fe5f1616d4afed44146e72492c3ddb97eb207bdfab436911c06b3f506b"
    assert head(first) == Head(2, expected)
    chained = opened(tmp_path, "chain")
    for r in plain.read(1, 2):
        chained.append(r.seq, r.ts_us, r.actor, r.kind, r.v, r.cause, r.payload)
    assert head(chained) == Head(2, expected)
    await chained.close()


@pytest.mark.parametrize("key", [KEY, SECRET])
async def test_seals_are_signed_and_the_key_is_asked_for_again(
    tmp_path: Path, key: SealKey
) -> None:
    log = opened(tmp_path, "signed", key)
    append(log, 1)
    await log.close()
    seal = rows(tmp_path / "00000001.jsonl")[-1]
    assert str(seal["sig"]).startswith(f"{key.algorithm}:")
    with pytest.raises(ValueError, match="the log is signed; give the key that can sign it"):
        opened(tmp_path, None)
    await opened(tmp_path, None, key).close()


async def test_a_public_key_does_not_open_a_signed_log(tmp_path: Path) -> None:
    public = public_key(KEY.fields())
    assert public is not None
    with pytest.raises(ValueError, match="give the key that can sign"):
        opened(tmp_path, "signed", SealKey("ed25519-public", public))
    assert public_key(SECRET.fields()) is None


def test_a_key_does_not_show_its_secret_and_bad_ones_are_named(tmp_path: Path) -> None:
    assert repr(SECRET) == "SealKey('hmac-sha256', ...)"
    with pytest.raises(ValueError, match='a key of 5 bytes for "hmac-sha256"; possible are'):
        opened(tmp_path, "signed", SealKey("hmac-sha256", b"short"))


async def test_the_level_of_a_log_does_not_change(tmp_path: Path) -> None:
    await opened(tmp_path, "chain").close()
    with pytest.raises(ValueError, match="is of integrity level chain, which is chosen once"):
        opened(tmp_path, "crc")


def test_a_log_in_memory_has_no_level() -> None:
    with pytest.raises(ValueError, match="integrity level 'chain' needs a folder"):
        open_log_at(None, now_us=now_us, level="chain")


async def test_who_changes_a_record_and_its_checksum_is_found_out(tmp_path: Path) -> None:
    from tinyagent._alchemy import line_under

    log = opened(tmp_path, "chain")
    append(log, 3)
    await log.close()
    path = tmp_path / "00000001.jsonl"
    forged = path.read_bytes().replace(b'{"n":2}', b'{"n":7}').splitlines(keepends=True)
    path.write_bytes(b"".join(line_under(row, ID) for row in forged))
    with pytest.raises(CorruptLogError, match="record 2: it carries the chain hash") as caught:
        opened(tmp_path, None)
    assert caught.value.seq == 2


async def test_a_packed_log_keeps_its_chain_and_may_be_signed(tmp_path: Path) -> None:
    log = opened(tmp_path / "log", "signed", KEY)
    append(log, 2)
    anchor = head(log)
    await log.close()
    loaded = read_log(tmp_path / "log")
    (tmp_path / "packed.jsonl").write_bytes(pack(loaded, KEY))
    *_, second, seal = rows(tmp_path / "packed.jsonl")
    assert (second["h"], seal["head"]) == (anchor.hash[:32], anchor.hash)
    assert str(seal["sig"]).startswith("ed25519:")
    assert head(open_packed(tmp_path / "packed.jsonl")) == anchor


async def test_a_fork_of_a_chained_log_goes_on_with_its_chain(tmp_path: Path) -> None:
    parent = opened(tmp_path / "parent", "chain")
    append(parent, 3)
    fork = forked_from(parent, 2)
    child = FileLog(tmp_path / "child", now_us=now_us, fork=fork, level="chain")
    assert head(child) == Head(2, fork.head)
    append(child, 1)
    assert rows(tmp_path / "child" / "00000001.jsonl")[0]["prev"] == fork.head
    await child.close()
    await parent.close()
    (tmp_path / "packed.jsonl").write_bytes(pack(read_log(tmp_path / "child")))
    assert rows(tmp_path / "packed.jsonl")[-1]["head"] == head(child).hash
