"""Files of snapshots: whole or not there, of this log and this code, or as if not there at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tinyagent import open_log
from tinyagent.events import Record, encode, kinds as k
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.runtime.stores.snapshots import (
    KEPT,
    SnapshotError,
    Snapshots,
    code_of,
    snapshots_of,
)

ID, OTHER = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655", "00112233445566778899aabbccddeeff"
CODE = "0123456789abcdef"


def ended(seq: int) -> Record:
    event = k.RunEnded("answered", "56af4bde70a47ae7")
    return Record(seq=seq, at_ns=10**18, cause=1, actor="agent", event=event, payload=encode(event))


def keep(snapshots: Snapshots, seq: int, held: bytes = b'{"n":1}') -> Path:
    snapshots.keep(ended(seq), CODE, lambda: held)
    snapshots.wait()
    return snapshots.paths()[0]


def test_a_log_that_was_removed_gets_none(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path / "removed", ID)
    snapshots.keep(ended(18), CODE, lambda: b"{}")
    snapshots.wait()
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_is_one_line_that_ends_as_the_lines_of_a_log_do(tmp_path: Path) -> None:
    path = keep(Snapshots(tmp_path, ID), 18)
    assert path == tmp_path / "snap" / "00000000000000000018.json"
    assert path.read_bytes() == (
        b'{"tinyagent_snap":1,"log":"4f6c0b6c2d7e4b5f9a0d3c1e8b72a655","seq":18,'
        b'"anchor":"e81653709769d4e5","code":"0123456789abcdef","held":{"n":1},"x":"fa63a37f"}\n'
    )


def test_what_was_kept_is_read_and_knows_the_record_that_it_was_made_behind(tmp_path: Path) -> None:
    keep(Snapshots(tmp_path, ID), 18)
    (found,) = Snapshots(tmp_path, ID).read(CODE)
    assert (found.seq, bytes(found.held)) == (18, b'{"n":1}')
    assert found.is_behind(ended(18))
    assert not found.is_behind(ended(19))
    assert not found.is_behind(msgspec.structs.replace(ended(18), at_ns=10**18 + 1000))
    assert not found.is_behind(msgspec.structs.replace(ended(18), payload=b"{}"))


def test_no_byte_of_one_can_be_missing_and_no_bit_be_another(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, ID)
    path = keep(snapshots, 18)
    whole = path.read_bytes()
    damaged = [whole[:size] for size in range(len(whole))] + [whole + b"\n"]
    for at in range(len(whole)):
        damaged.append(whole[:at] + whole[at + 1 :])
        flips = (whole[at] ^ 1 << bit for bit in range(8))
        damaged += (whole[:at] + bytes([other]) + whole[at + 1 :] for other in flips)
    for body in damaged:
        path.write_bytes(body)
        assert list(snapshots.read(CODE)) == []
    path.write_bytes(whole)
    assert len(list(snapshots.read(CODE))) == 1


def test_one_of_another_log_or_other_code_or_another_name_is_not_there(tmp_path: Path) -> None:
    path = keep(Snapshots(tmp_path, ID), 18)
    assert list(Snapshots(tmp_path, OTHER).read(CODE)) == []
    assert list(Snapshots(tmp_path, ID).read("fedcba9876543210")) == []
    path.rename(path.with_name("00000000000000000019.json"))
    assert list(Snapshots(tmp_path, ID).read(CODE)) == []


def test_one_of_a_later_format_is_not_there_and_says_so(tmp_path: Path) -> None:
    from tinyagent._alchemy import crc32c

    path = keep(Snapshots(tmp_path, ID), 18)
    body = path.read_bytes()[:-17].replace(b'"tinyagent_snap":1', b'"tinyagent_snap":2')
    crc = crc32c(bytes.fromhex(ID) + body)
    path.write_bytes(body + b',"x":"%08x"}\n' % crc)
    assert list(Snapshots(tmp_path, ID).read(CODE)) == []
    with pytest.raises(SnapshotError, match="another format"):
        Snapshots(tmp_path, ID).read_one(path)


def test_the_newest_comes_first_and_only_the_one_before_it_is_kept_too(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, ID)
    for seq in (18, 40, 1000, 999_999):
        keep(snapshots, seq)
    assert [found.seq for found in snapshots.read(CODE)] == [999_999, 1000]
    assert len(snapshots.paths()) == KEPT


def test_what_a_lost_future_and_a_killed_writer_left_goes_with_the_next(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, ID)
    keep(snapshots, 40)
    left = tmp_path / "snap" / "00000000000000000030.json.tmp"
    left.write_bytes(b'{"tinyagent_snap":1,"log":"4f6')
    assert [found.seq for found in snapshots.read(CODE)] == [40]
    keep(snapshots, 20)
    assert [path.name for path in snapshots.paths()] == ["00000000000000000020.json"]
    assert not left.exists()


def test_a_disk_that_takes_none_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "snap").write_text("no folder")
    snapshots = Snapshots(tmp_path, ID)
    snapshots.keep(ended(18), CODE, lambda: b"{}")
    snapshots.wait()
    assert snapshots.paths() == []
    assert list(snapshots.read(CODE)) == []


def test_a_log_in_a_folder_has_a_place_for_them_and_waits_for_the_last_one(tmp_path: Path) -> None:
    async def write() -> None:
        async with open_log(tmp_path / "trip", log_id=ID) as log:
            assert isinstance(log.store, FileLog)
            log.store.snapshots.keep(ended(18), CODE, lambda: b"{}")
        assert not log.store.snapshots.is_writing

    asyncio.run(write())
    assert [found.seq for found in Snapshots(tmp_path / "trip", ID).read(CODE)] == [18]


async def test_a_log_in_memory_or_in_a_database_has_none(tmp_path: Path) -> None:
    assert snapshots_of(MemoryLog()) is None
    async with open_log(f"sqlite:///{tmp_path}/runs.db#trip") as log:
        assert snapshots_of(log.store) is None


def test_the_code_is_known_by_its_sources(tmp_path: Path) -> None:
    assert code_of("tinyagent.events") == code_of("tinyagent.events")
    assert code_of("tinyagent.events", "tinyagent.events.kinds") != code_of("tinyagent.events")
    assert code_of("sys") == ""
