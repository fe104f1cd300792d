"""Redaction: what is gone, what still holds, what the source keeps."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import forked_from, head
from tinyagent.runtime.redact import Redaction, redact
from tinyagent.runtime.repair import verify
from tinyagent.runtime.stores import Level, Log
from tinyagent.runtime.stores.files import FileLog

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"
SECRET = b'{"content":"secret 2","more":{"list":[1,"hidden"]}}'


def now_us() -> int:
    return 1795420800000000


def say(log: Log, payload: bytes) -> None:
    seq = log.seq + 1
    log.append(seq, now_us() + seq, None, "user.said", 1, seq - 1, payload)


async def made(path: Path, level: Level = "chain") -> Path:
    log = FileLog(path, now_us=now_us, log_id=ID, level=level)
    say(log, b'{"content":"one"}')
    say(log, SECRET)
    say(log, b'{"content":"three"}')
    await log.close()
    return path


def payloads(path: Path) -> list[bytes]:
    return [record.payload for record in read_log(path).records]


def whole(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("level", ["crc", "chain"])
async def test_a_whole_payload_leaves_its_digest_and_the_chain(
    tmp_path: Path, level: Level
) -> None:
    source = await made(tmp_path / "log", level)
    redact(source, tmp_path / "new", [Redaction(2)])
    digest = hashlib.sha256(SECRET).hexdigest()
    assert payloads(tmp_path / "new") == [
        b'{"content":"one"}',
        b'{"$redacted":"sha256:%s","n":%d}' % (digest.encode(), len(SECRET)),
        b'{"content":"three"}',
    ]
    assert b"secret" not in whole(tmp_path / "new")
    assert payloads(source)[1] == SECRET
    assert verify(tmp_path / "new").verdict == "clean"
    kept = [record.line for record in read_log(tmp_path / "new").records]
    old = [record.line for record in read_log(source).records]
    assert (kept[0], kept[2]) == (old[0], old[2])


async def test_the_anchor_of_before_still_fits_after_a_whole_payload(tmp_path: Path) -> None:
    log = FileLog(await made(tmp_path / "log"), now_us=now_us)
    anchor = head(log)
    await log.close()
    redact(tmp_path / "log", tmp_path / "new", [Redaction(2)])
    log = FileLog(tmp_path / "new", now_us=now_us)
    assert head(log) == anchor
    await log.close()


async def test_one_value_makes_the_chain_anew_and_the_header_names_the_old_one(
    tmp_path: Path,
) -> None:
    log = FileLog(await made(tmp_path / "log"), now_us=now_us)
    anchor = head(log)
    await log.close()
    redact(tmp_path / "log", tmp_path / "new", [Redaction(2, "/more/list/1")])
    value = json.loads(payloads(tmp_path / "new")[1])
    digest = hashlib.sha256(b'"hidden"').hexdigest()
    assert value["content"] == "secret 2"
    assert value["more"]["list"] == [1, {"$redacted": f"sha256:{digest}", "n": 8}]
    assert verify(tmp_path / "new").verdict == "clean"
    header = json.loads((tmp_path / "new" / "00000001.jsonl").read_bytes().splitlines()[0])
    assert header["redacted"] == {"head": anchor.hash}


async def test_what_could_be_guessed_leaves_no_digest(tmp_path: Path) -> None:
    source = await made(tmp_path / "log")
    redact(source, tmp_path / "new", [Redaction(2)], digest=False)
    assert payloads(tmp_path / "new")[1] == b'{"$redacted":"","n":0}'
    assert verify(tmp_path / "new").verdict == "clean"


async def test_large_values_that_nobody_refers_to_any_more_are_not_written(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "log", now_us=now_us, log_id=ID)
    for text in ("a", "b"):
        say(log, b'{"content":"%s"}' % (text.encode() * 70_000))
    await log.close()
    redact(tmp_path / "log", tmp_path / "new", [Redaction(1)])
    assert len(list((tmp_path / "log" / "blobs").glob("*/*"))) == 2
    assert len(list((tmp_path / "new" / "blobs").glob("*/*"))) == 1
    assert payloads(tmp_path / "new")[1] == b'{"content":"%s"}' % (b"b" * 70_000)


async def test_a_log_is_gone_on_with_after_redaction(tmp_path: Path) -> None:
    redact(await made(tmp_path / "log"), tmp_path / "new", [Redaction(2)])
    log = FileLog(tmp_path / "new", now_us=now_us)
    say(log, b'{"content":"four"}')
    await log.close()
    assert verify(tmp_path / "new").verdict == "clean"


async def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    source = await made(tmp_path / "log")
    with pytest.raises(ValueError, match="there is no record 9 in this log's own files"):
        redact(source, tmp_path / "new", [Redaction(9)])
    for path in ("/content/x", "/nothing", "/more/list/7", "/more/list/x"):
        with pytest.raises(ValueError, match=f"record 2 has no value at '{path}'"):
            redact(source, tmp_path / "new", [Redaction(2, path)])
    assert not (tmp_path / "new").exists()


async def test_of_a_fork_only_its_own_records_are_redacted(tmp_path: Path) -> None:
    parent = FileLog(await made(tmp_path / "log"), now_us=now_us)
    fork = forked_from(parent, 2)
    await parent.close()
    child = FileLog(tmp_path / "child", now_us=now_us, fork=fork)
    say(child, SECRET)
    await child.close()
    with pytest.raises(ValueError, match="there is no record 2"):
        redact(tmp_path / "child", tmp_path / "new", [Redaction(2)])
    redact(tmp_path / "child", tmp_path / "new", [Redaction(3)])
    assert len(payloads(tmp_path / "new")) == 3
    # The parent redacted as a whole still is what was forked.
    redact(tmp_path / "log", tmp_path / "log2", [Redaction(2)])
    (tmp_path / "log").rename(tmp_path.parent / f"{tmp_path.name}-old")
    assert b"secret" not in b"".join(payloads(tmp_path / "new"))
