"""Forks: numbered on from the cut, read with what they share, packed as one log."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tinyagent.runtime.errors import CorruptLogError, LogNotFoundError
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import forked_from, open_log_at, open_packed, pack, write_packed
from tinyagent.runtime.stores import ForkedFrom, Log, Stored
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.memory import MemoryLog

PARENT, CHILD, GRANDCHILD = "11" * 16, "22" * 16, "33" * 16


def now_us() -> int:
    return 1795420800000000


def append(log: Log, *texts: str) -> None:
    for text in texts:
        seq = log.seq + 1
        payload = b'{"content":"%s"}' % text.encode()
        log.append(seq, now_us() + seq, None, "user.said", 1, seq - 1, payload)


def said(records: list[Stored]) -> str:
    return " ".join(f"{r.seq}:{r.payload[12:-2].decode()}" for r in records)


def opened(path: Path, log_id: str, fork: ForkedFrom | None = None) -> Log:
    return open_log_at(path, now_us=now_us, log_id=log_id, fork=fork)


async def family(folder: Path) -> None:
    """A parent of four records, a child cut at 2, a grandchild cut at 3."""
    parent = opened(folder / "parent", PARENT)
    append(parent, "a", "b", "c", "d")
    child = opened(folder / "child", CHILD, forked_from(parent, 2))
    append(child, "x", "y")
    grandchild = opened(folder / "grandchild", GRANDCHILD, forked_from(child, 3))
    append(grandchild, "z")
    for log in (parent, child, grandchild):
        await log.close()


async def test_a_forks_own_numbers_go_on_after_the_cut(tmp_path: Path) -> None:
    parent = opened(tmp_path / "parent", PARENT)
    append(parent, "a", "b", "c")
    fork = forked_from(parent, 2)
    for child in (
        opened(tmp_path / "child", CHILD, fork),
        MemoryLog(log_id=CHILD, fork=fork, records=parent.read(1, 2)),
    ):
        assert (child.seq, child.written_seq, child.durable_seq) == (2, 2, 2)
        assert (child.meta.log, child.meta.fork) == (CHILD, fork)
        append(child, "x", "y")
        await child.durable(4)
        assert said(list(child.read())) == "1:a 2:b 3:x 4:y"
        assert said(list(child.read(2, 3))) == "2:b 3:x"
        assert said(list(child.read(1, 1))) == "1:a"
        assert said(list(child.read(4))) == "4:y"
        await child.close()
    await parent.close()


async def test_a_memory_log_may_hold_only_what_is_its_own() -> None:
    fork = ForkedFrom(log=PARENT, at=2, head="00" * 32)
    child = MemoryLog(log_id=CHILD, fork=fork)
    append(child, "x")
    assert (child.seq, said(list(child.read()))) == (3, "3:x")
    with pytest.raises(ValueError, match="the records end at 1, before the fork at 2"):
        MemoryLog(fork=fork, records=[stored(1)])


def stored(seq: int) -> Stored:
    fields = b'{"content":"a"}'
    return Stored(
        seq=seq, ts_us=seq, actor=None, kind="user.said", v=1, cause=seq - 1, payload=fields
    )


async def test_a_reopened_fork_knows_its_parent_and_goes_on(tmp_path: Path) -> None:
    await family(tmp_path)
    again = opened(tmp_path / "child", CHILD)
    assert again.meta.fork is not None
    assert (again.meta.fork.log, again.meta.fork.at, again.seq) == (PARENT, 2, 4)
    append(again, "more")
    await again.close()
    assert said(read_log(tmp_path / "child").records) == "1:a 2:b 3:x 4:y 5:more"


async def test_an_empty_fork_can_be_closed_reopened_and_read(tmp_path: Path) -> None:
    parent = opened(tmp_path / "parent", PARENT)
    append(parent, "a", "b")
    await opened(tmp_path / "child", CHILD, forked_from(parent, 2)).close()
    child = opened(tmp_path / "child", CHILD)
    assert (child.seq, child.durable_seq, child.recovered) == (2, 2, None)
    await child.close()
    loaded = read_log(tmp_path / "child")
    assert (loaded.seq, loaded.damage, said(loaded.records)) == (2, None, "1:a 2:b")
    await parent.close()


async def test_a_fork_rotates_like_any_log(tmp_path: Path) -> None:
    parent = opened(tmp_path / "parent", PARENT)
    append(parent, "a")
    fork = forked_from(parent, 1)
    place = tmp_path / "child"
    child = FileLog(place, now_us=now_us, log_id=CHILD, fork=fork, segment_bytes_max=100)
    append(child, "x")
    await child.durable(2)
    append(child, "y")
    await child.close()
    assert len(list(place.glob("*.jsonl"))) >= 2
    again = opened(place, CHILD)
    assert said(list(again.read())) == "1:a 2:x 3:y"
    await again.close()
    await parent.close()


async def test_a_fork_is_read_with_what_it_shares_over_generations(tmp_path: Path) -> None:
    await family(tmp_path)
    loaded = read_log(tmp_path / "grandchild")
    assert said(loaded.records) == "1:a 2:b 3:x 4:z"
    fork = loaded.meta.fork
    assert fork is not None
    assert (fork.log, fork.at, fork.root, loaded.seq) == (CHILD, 3, PARENT, 4)
    assert loaded.damage is None


async def test_whoever_follows_a_fork_gets_the_shared_records_first(tmp_path: Path) -> None:
    parent = opened(tmp_path / "parent", PARENT)
    append(parent, "a", "b")
    child = opened(tmp_path / "child", CHILD, forked_from(parent, 2))
    append(child, "x")
    followed: list[Stored] = []
    async for record in child.tail(1):
        followed.append(record)
        if record.seq == 3:
            append(child, "y")
        if record.seq == 4:
            await child.close()
    assert said(followed) == "1:a 2:b 3:x 4:y"
    await parent.close()


async def test_the_parent_may_be_cut_before_its_own_fork(tmp_path: Path) -> None:
    await family(tmp_path)
    child = opened(tmp_path / "child", CHILD)
    early = opened(tmp_path / "early", "44" * 16, forked_from(child, 1))
    append(early, "q")
    await early.close()
    await child.close()
    assert said(read_log(tmp_path / "early").records) == "1:a 2:q"


async def test_a_parent_that_is_not_there_is_named_with_the_place_and_the_remedy(
    tmp_path: Path,
) -> None:
    await family(tmp_path)
    (tmp_path / "parent").rename(tmp_path.parent / f"{tmp_path.name}-gone")
    with pytest.raises(LogNotFoundError) as caught:
        read_log(tmp_path / "grandchild")
    assert str(caught.value) == (
        f"{tmp_path / 'child'}: a fork of log {PARENT} at record 2, which is not there; looked at "
        f"the folders and packed logs in {tmp_path}; move the parent there, or a packed log of it"
    )


async def test_a_packed_parent_serves_as_well(tmp_path: Path) -> None:
    await family(tmp_path)
    write_packed(tmp_path / "parent", tmp_path / "old.jsonl")
    shutil.rmtree(tmp_path / "parent")
    assert said(read_log(tmp_path / "child").records) == "1:a 2:b 3:x 4:y"


async def test_a_parent_with_another_history_is_corrupt(tmp_path: Path) -> None:
    await family(tmp_path)
    shutil.rmtree(tmp_path / "parent")
    other = opened(tmp_path / "parent", PARENT)
    append(other, "a", "B", "c")
    await other.close()
    with pytest.raises(CorruptLogError, match=r"are not those that .*child was forked from"):
        read_log(tmp_path / "child")


async def test_a_parent_that_ends_before_the_cut_is_corrupt(tmp_path: Path) -> None:
    await family(tmp_path)
    shutil.rmtree(tmp_path / "parent")
    other = opened(tmp_path / "parent", PARENT)
    append(other, "a")
    await other.close()
    with pytest.raises(CorruptLogError, match=r"the log ends at record 1, but .* at record 2"):
        read_log(tmp_path / "child")


async def test_of_two_copies_of_the_parent_the_one_that_fits_is_taken(tmp_path: Path) -> None:
    await family(tmp_path)
    other = opened(tmp_path / "a-wrong-one", PARENT)
    append(other, "a", "B", "c")
    await other.close()
    assert said(read_log(tmp_path / "child").records) == "1:a 2:b 3:x 4:y"


async def test_a_packed_fork_is_whole_under_its_own_id(tmp_path: Path) -> None:
    await family(tmp_path)
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    write_packed(tmp_path / "grandchild", alone / "packed.jsonl")
    packed = open_packed(alone / "packed.jsonl")
    assert said(list(packed.read())) == "1:a 2:b 3:x 4:z"
    assert packed.meta == read_log(tmp_path / "grandchild").meta
    assert read_log(alone / "packed.jsonl").damage is None
    assert pack(read_log(alone / "packed.jsonl")) == (alone / "packed.jsonl").read_bytes()


async def test_a_fork_in_memory_packs_to_the_same_as_one_on_disk(tmp_path: Path) -> None:
    await family(tmp_path)
    loaded = read_log(tmp_path / "grandchild")
    again = MemoryLog(meta=loaded.meta, records=loaded.records)
    rows = pack(again).split(b"\n")
    assert rows[1:-2] == pack(loaded).split(b"\n")[1:-2]


async def test_the_hash_at_the_cut_is_that_of_the_format(tmp_path: Path) -> None:
    # The sample of the format, whose chain hashes are in its text.
    sample = Path(__file__).parents[2] / "rust/log/src/tests/sample.jsonl"
    if not sample.is_file():
        pytest.skip("the sources are not here")
    log = open_packed(sample)
    assert [forked_from(log, at).head[:8] for at in (0, 1, 2)] == [
        "3256d721",
        "4f7f2fe6",
        "1555b1fe",
    ]
    with pytest.raises(ValueError, match=r"no fork at 19: the log holds the records 1\.\.18"):
        forked_from(log, 19)


async def test_a_fork_of_a_fork_goes_on_from_the_hash_of_its_parent(tmp_path: Path) -> None:
    await family(tmp_path)
    loaded = read_log(tmp_path / "grandchild")
    whole = MemoryLog(log_id=PARENT, records=loaded.records)
    copy = MemoryLog(meta=loaded.meta, records=loaded.records)
    assert forked_from(copy, 4).head == forked_from(whole, 4).head
    assert forked_from(copy, 2).head == forked_from(whole, 2).head


async def test_a_fork_is_not_opened_where_another_log_is(tmp_path: Path) -> None:
    await family(tmp_path)
    with pytest.raises(ValueError, match="open another folder for the fork"):
        opened(tmp_path / "parent", PARENT, ForkedFrom(log=CHILD, at=2, head="00" * 32))


async def test_a_log_of_a_million_records_is_opened_with_a_warning(tmp_path: Path) -> None:
    fork = ForkedFrom(log=PARENT, at=999_999, head="00" * 32)
    log = opened(tmp_path / "child", CHILD, fork)
    append(log, "the millionth")
    await log.close()
    with pytest.warns(UserWarning, match="the log holds 1000000 records"):
        log = opened(tmp_path / "child", CHILD)
    await log.close()
