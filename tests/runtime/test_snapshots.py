"""Snapshots: found again, passed over when they do not fit, never in the way."""

from __future__ import annotations

from pathlib import Path

from tinyagent.runtime.snapshots import Snapshot, drop, latest, write


def kept(folder: Path, *numbers: int, code: str = "1.0") -> None:
    for seq in numbers:
        write(folder, Snapshot(seq, code, b'{"n":%d}' % seq))


def found(folder: Path, at_most: int, code: str = "1.0") -> int | None:
    snapshot = latest(folder, at_most, code)
    return None if snapshot is None else snapshot.seq


def test_the_last_one_that_is_early_enough_is_found(tmp_path: Path) -> None:
    kept(tmp_path, 1000, 2000, 10_000)
    assert latest(tmp_path, 2500, "1.0") == Snapshot(2000, "1.0", b'{"n":2000}')
    assert [found(tmp_path, at) for at in (999, 1000, 1999, 10**15)] == [None, 1000, 1000, 10_000]


def test_where_there_is_none_there_is_none(tmp_path: Path) -> None:
    assert latest(tmp_path / "nothing", 5, "1.0") is None


def test_one_of_other_code_is_passed_over(tmp_path: Path) -> None:
    kept(tmp_path, 1)
    kept(tmp_path, 2, code="0.9")
    assert (found(tmp_path, 5), found(tmp_path, 5, "0.9"), found(tmp_path, 5, "2")) == (1, 2, None)


def test_a_damaged_or_renamed_one_is_passed_over(tmp_path: Path) -> None:
    kept(tmp_path, 1, 2, 3)
    second, third = (tmp_path / "snap" / f"{seq:020}.json" for seq in (2, 3))
    second.write_bytes(second.read_bytes().replace(b'"n":2', b'"n":7'))
    third.write_bytes(third.read_bytes()[:-9])
    assert found(tmp_path, 5) == 1
    kept(tmp_path, 4)
    (tmp_path / "snap" / f"{4:020}.json").rename(tmp_path / "snap" / f"{5:020}.json")
    assert found(tmp_path, 5) == 1


def test_one_is_replaced_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    kept(tmp_path, 1)
    write(tmp_path, Snapshot(1, "1.0", b'{ "n" : [ 1, 2 ] }'))
    assert latest(tmp_path, 1, "1.0") == Snapshot(1, "1.0", b'{"n":[1,2]}')
    [path] = (tmp_path / "snap").iterdir()
    assert path.name == "00000000000000000001.json"
    assert path.stat().st_mode & 0o777 == 0o600


def test_dropping_leaves_the_log_alone(tmp_path: Path) -> None:
    kept(tmp_path, 1, 2)
    (tmp_path / "00000001.jsonl").write_bytes(b"")
    drop(tmp_path)
    assert found(tmp_path, 5) is None
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["00000001.jsonl"]
