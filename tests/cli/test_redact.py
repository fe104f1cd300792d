"""``tinyagent redact``: what is gone, what is masked, and that the log replays as before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.crashing import ID, World, calls, text, turns

from tinyagent import Redact, load, open_log
from tinyagent.runtime.repair import verify

Run = Callable[..., tuple[int, str, str]]
KEY = "sk-test-0123456789abcdef"
SCRIPT = turns(calls(("s1", "send", {"to": "ann", "with": KEY})), text(f"Sent with {KEY}."))


@pytest.fixture
def trip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A session that wrote a key into its log, before anybody said that it is one."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    async def record() -> None:
        world = World()
        where = tmp_path / "trip"
        async with open_log(where, log_id=ID, redact=Redact(provider_keys=False)) as log:
            await world.build(log, SCRIPT, [world.tool("send", "write")]).prompt(f"Use {KEY}")

    asyncio.run(record())
    assert KEY.encode() in whole(tmp_path / "trip")
    return tmp_path / "trip"


def whole(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_known_keys_are_masked_and_the_log_replays_as_before(run: Run, trip: Path) -> None:
    to = trip.with_name("clean")
    before = load(trip).replay()
    code, out, _ = run("redact", str(trip), "-o", str(to), "--known-env", "--json")
    assert code == 0
    assert KEY.encode() not in whole(to)
    assert KEY.encode() in whole(trip)
    clean = load(to)
    report = clean.replay()
    assert report.ok, str(report.first_divergence)
    assert (report.matched, report.requests) == (before.matched, before.requests)
    assert clean.tool_calls["s1"].arguments == {"to": "ann", "with": "«secret:openai:1»"}
    changed = [
        old.seq
        for old, new in zip(load(trip).records, clean.records, strict=True)
        if old.payload != new.payload
    ]
    assert json.loads(out)["masked"] == changed
    assert verify(to).verdict == "clean"


def test_a_log_without_keys_stays_as_it_is(run: Run, trip: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-0123456789")
    code, out, _ = run("redact", str(trip), "-o", str(trip.with_name("new")), "--known-env")
    assert code == 0
    assert out.splitlines()[0] == f"{trip.with_name('new')}   0 taken out, 0 records written anew"
    lines = [record.payload for record in load(trip).records]
    assert [record.payload for record in load(trip.with_name("new")).records] == lines


def test_a_record_and_a_value_are_taken_out_by_number(run: Run, trip: Path) -> None:
    last = load(trip).records[-1].seq
    to = trip.with_name("new")
    code, out, _ = run(
        "redact", str(trip), "-o", str(to), "--seq", "2:/content", "--seq", str(last)
    )
    assert code == 0
    assert out.splitlines()[0].endswith("2 taken out, 0 records written anew")
    payloads = [record.payload for record in load(to).records]
    assert payloads[1].startswith(b'{"content":{"$redacted":"sha256:')
    assert payloads[-1].startswith(b'{"$redacted":"sha256:')
    bare = trip.with_name("bare")
    assert run("redact", str(trip), "-o", str(bare), "--seq", "2", "--no-digest")[0] == 0
    assert load(bare).records[1].payload == b'{"$redacted":"","n":0}'


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], "say what: --seq N"),
        (["--seq", "two"], "--seq two: expected N or N:PATH"),
        (["--seq", "999"], "there is no record 999"),
        (["--seq", "2:/nothing"], "record 2 has no value at '/nothing'"),
    ],
)
def test_wrong_use_is_told(run: Run, trip: Path, argv: list[str], told: str) -> None:
    code, _, err = run("redact", str(trip), "-o", str(trip.with_name("new")), *argv)
    assert (code, told in err) == (2, True), err
