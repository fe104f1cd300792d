"""Encrypted logs: unreadable once the key is gone, whole and in order all the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.face.test_redact import files_with
from tests.needed import package
from tests.traces import MODEL, calls, result, said, script, text, tool

from tinyagent import (
    Agent,
    AgentOptions,
    AgentState,
    FileSink,
    SqliteSink,
    edits,
    fork,
    load,
    open_log,
    replay,
    resume,
)
from tinyagent.agent_types import TextContent, UserMessage
from tinyagent.cli import main
from tinyagent.runtime.archive import archive
from tinyagent.runtime.crypto import Encryption, KeyFolder
from tinyagent.runtime.errors import CorruptLogError
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import write_packed
from tinyagent.runtime.repair import verify
from tinyagent.testing import VirtualClock

SECRET = "a-private-matter"
Place = TypeVar("Place", str, Path)


@pytest.fixture(autouse=True, scope="module")
def installed() -> None:
    """The package that encrypts."""
    package("cryptography", "crypto")


def build(log: Any, big: str = "") -> Agent:
    async def look(call_id: str, args: dict[str, Any], signal: Any, update: Any) -> Any:
        update(result(f"looking for {SECRET}"))
        if args.get("fails"):
            raise ValueError(f"no {SECRET}")
        return result(f"found {SECRET}{big}", details={"of": [SECRET]})

    first = calls(("c1", "look", {"for": SECRET}), ("c2", "look", {"fails": SECRET}), says=SECRET)
    return Agent(
        AgentOptions(
            initial_state=AgentState(
                model=MODEL, system_prompt=f"About {SECRET}.", tools=[tool("look", look)]
            ),
            stream_fn=script(first, text(f"It is {SECRET}."), text("Bye.")),
            log=log,
            clock=VirtualClock(),
        )
    )


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    keys = KeyFolder(tmp_path / "keys")
    keys.make("user-17")
    return keys


async def recorded(where: Place, keys: KeyFolder, big: str = "", **how: Any) -> Place:
    async with open_log(where, encryption=Encryption(keys, "user-17"), **how) as log:
        agent = build(log, big)
        assert await agent.prompt_text(f"What of {SECRET}?") == f"It is {SECRET}."
        await agent.prompt("And?")
        assert said(log.messages[0]) == f"What of {SECRET}?"
    return where


def words(log: Any) -> list[str]:
    return [said(message) for message in log.messages]


async def test_no_file_holds_the_text_and_with_the_key_all_of_it_is_there(
    tmp_path: Path, keys: KeyFolder
) -> None:
    async with open_log(tmp_path / "clear") as log:
        agent = build(log)
        await agent.prompt(f"What of {SECRET}?")
        await agent.prompt("And?")
        assert len(words(log)) == 7
    (tmp_path / "mirrors").mkdir()
    mirrors = [FileSink(tmp_path / "copy"), SqliteSink(tmp_path / "mirrors" / "log.db")]
    trip = await recorded(tmp_path / "trip", keys, sinks=mirrors)
    for folder in (trip, tmp_path / "copy", tmp_path / "mirrors"):
        assert files_with(folder, SECRET) == []
    for place in (trip, tmp_path / "copy", f"sqlite:///{tmp_path}/mirrors/log.db"):
        found = load(place, keys=keys)
        assert words(found) == words(load(tmp_path / "clear"))
        assert found.replay().ok


async def test_a_key_that_is_destroyed_takes_the_content_with_it_and_verify_passes(
    tmp_path: Path, keys: KeyFolder
) -> None:
    trip = await recorded(tmp_path / "trip", keys)
    before = load(trip, keys=keys)
    keys.destroy("user-17")
    assert keys.get("user-17") is None
    assert verify(trip).verdict == "clean"
    after = load(trip, keys=keys)
    assert SECRET not in json.dumps([m.model_dump() for m in after.messages], ensure_ascii=False)
    assert said(after.messages[0]) == "(encrypted)"
    assert [m.role for m in after.messages] == [m.role for m in before.messages]
    assert after.settings.system == "(encrypted)"
    assert [call.name for call in after.tool_calls.values()] == ["look", "look"]
    # What led to what, and what the agent knew, need no key.
    last = after.records[-1].seq
    for seq in range(1, last + 1):
        chains = [[r.seq for r in log.why(seq).chain] for log in (after, before)]
        assert chains[0] == chains[1]
    kinds = [(r.seq, r.event.kind, r.cause) for r in before.records]
    assert [(r.seq, r.event.kind, r.cause) for r in after.records] == kinds
    assert after.state_at(last).agent == before.state_at(last).agent


async def test_a_changed_record_is_found_with_the_key_and_at_level_chain_without_it(
    tmp_path: Path, keys: KeyFolder
) -> None:
    trip = await recorded(tmp_path / "trip", keys)
    one, other = [r for r in read_log(trip).records if r.kind == "user.said"]
    body = json.loads(one.payload)["content"]
    assert set(body["$enc"]) == {"kid", "n", "ct"}
    segment = trip / "00000001.jsonl"
    # The other text in the place of this one, under a checksum that is right again.
    moved = json.dumps({**json.loads(other.payload)}, separators=(",", ":")).encode()
    assert one.line is not None
    line = one.line.replace(one.payload, moved)
    segment.write_bytes(segment.read_bytes().replace(one.line, _mended(line, read_log(trip))))
    assert verify(trip).verdict == "clean"
    with pytest.raises(CorruptLogError, match="record 2: what is encrypted at /content"):
        load(trip, keys=keys)


def _mended(line: bytes, log: Any) -> bytes:
    from tinyagent._alchemy import line_under

    return line_under(line, log.meta.log)


async def test_large_values_are_encrypted_before_they_go_to_their_blobs(
    tmp_path: Path, keys: KeyFolder
) -> None:
    trip = await recorded(tmp_path / "trip", keys, big=f"{SECRET} " * 6_000)
    assert files_with(trip, SECRET) == []
    assert [path for path in (trip / "blobs").rglob("*") if path.is_file()] != []
    write_packed(trip, tmp_path / "packed.jsonl")
    assert files_with(tmp_path / "packed.blobs", SECRET) == []
    for place in (trip, tmp_path / "packed.jsonl"):
        results = [said(m) for m in load(place, keys=keys).messages if m.role == "tool_result"]
        assert results[0].count(SECRET) == 6_001


async def test_such_a_log_is_gone_on_with_archived_and_its_header_says_what_it_needs(
    tmp_path: Path, keys: KeyFolder
) -> None:
    trip = await recorded(tmp_path / "trip", keys)
    for segment in (trip / "00000001.jsonl",):
        assert b'"need":["enc"]' in segment.read_bytes().splitlines()[0]
    keys.make("user-18")
    async with open_log(trip, encryption=Encryption(keys, "user-18")) as log:
        agent = build(log)
        agent.stream_fn = script(text(f"Again {SECRET}."))
        image = UserMessage(content=[TextContent(text=f"Once more, {SECRET}")])
        await agent.prompt(image)
    assert b'"need":["enc"]' in (trip / "00000002.jsonl").read_bytes().splitlines()[0]
    archive(trip)
    keys.destroy("user-17")
    found = load(trip, keys=keys)
    assert said(found.messages[-1]) == f"Again {SECRET}."
    assert said(found.messages[-2]) == f"Once more, {SECRET}"
    assert said(found.messages[0]) == "(encrypted)"


async def test_a_log_is_encrypted_or_not_for_life_and_needs_its_key_to_be_written(
    tmp_path: Path, keys: KeyFolder
) -> None:
    trip = await recorded(tmp_path / "trip", keys)
    with pytest.raises(ValueError, match="begun encrypted"):
        async with open_log(trip):
            pass
    async with open_log(tmp_path / "clear"):
        pass
    with pytest.raises(ValueError, match="begun in the clear"):
        async with open_log(tmp_path / "clear", encryption=Encryption(keys, "user-17")):
            pass
    with pytest.raises(LookupError, match="no key 'nobody'"):
        async with open_log(tmp_path / "new", encryption=Encryption(keys, "nobody")):
            pass
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError, match="a log in memory is not encrypted"):
        async with open_log(encryption=Encryption(keys, "user-17")):
            pass


async def test_a_replay_without_the_key_says_which_requests_it_cannot_build_again(
    tmp_path: Path, keys: KeyFolder
) -> None:
    trip = await recorded(tmp_path / "trip", keys)
    report = load(trip, keys=keys).replay()
    assert (report.ok, report.requests, report.unverifiable) == (True, 3, 0)
    report = await replay(trip)
    assert (report.ok, report.requests, report.unverifiable) == (True, 0, 3)


async def test_a_fork_of_an_encrypted_log_is_encrypted_and_both_are_taken_up_with_the_key(
    tmp_path: Path, keys: KeyFolder
) -> None:
    trip = await recorded(tmp_path / "trip", keys)
    encryption = Encryption(keys, "user-17")
    said_there = edits.user_said(f"What else of {SECRET}?")
    with pytest.raises(ValueError, match="is encrypted"):
        async with fork(trip, at=2, edit=said_there, into=tmp_path / "child"):
            pass
    child = fork(trip, at=2, edit=said_there, into=tmp_path / "child", encryption=encryption)
    async with child as log:
        agent = build(log)
        agent.stream_fn = script(text(f"More of {SECRET}."))
        await agent.run()
    assert files_with(tmp_path / "child", SECRET) == []
    found = load(tmp_path / "child", keys=keys)
    assert words(found) == [f"What else of {SECRET}?", f"More of {SECRET}."]
    assert found.replay().ok
    async with resume(trip, lambda log: build(log), encryption=encryption) as agent:
        assert said(agent.state.messages[0]) == f"What of {SECRET}?"


async def test_a_log_in_a_database_is_encrypted_too_forked_and_gone_on_with(
    tmp_path: Path, keys: KeyFolder
) -> None:
    encryption = Encryption(keys, "user-17")
    (tmp_path / "logs").mkdir()
    trip = f"sqlite:///{tmp_path}/logs/all.db#trip"
    child = f"sqlite:///{tmp_path}/logs/all.db#child"
    await recorded(trip, keys, big=f"{SECRET} " * 6_000)
    forking = fork(
        trip, at=2, edit=edits.user_said(f"And {SECRET}?"), into=child, encryption=encryption
    )
    async with forking as log:
        agent = build(log)
        agent.stream_fn = script(text(f"More of {SECRET}."))
        await agent.run()
    async with open_log(trip, encryption=encryption) as log:
        assert said(log.messages[0]) == f"What of {SECRET}?"
        following = log.follow()
        assert SECRET in str([(await anext(following)).event for _ in range(2)][1])
        agent = build(log)
        agent.stream_fn = script(text("Once more."))
        await agent.prompt(f"Again {SECRET}?")
    assert files_with(tmp_path / "logs", SECRET) == []
    assert words(load(child, keys=keys)) == [f"And {SECRET}?", f"More of {SECRET}."]
    assert words(load(trip, keys=keys))[-2:] == [f"Again {SECRET}?", "Once more."]
    assert load(trip, keys=keys).replay().ok
    for wrong in (None, Encryption(keys, "user-17")):
        there = trip if wrong is None else f"sqlite:///{tmp_path}/clear.db"
        if wrong is not None:
            async with open_log(there):
                pass
        with pytest.raises(ValueError, match="stays so: pass encryption="):
            async with open_log(there, encryption=wrong):
                pass
    keys.destroy("user-17")
    assert SECRET not in str(words(load(trip, keys=keys)))


async def test_the_command_line_reads_with_the_keys_of_a_folder_and_says_what_is_missing(
    tmp_path: Path,
    keys: KeyFolder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trip = str(await recorded(tmp_path / "trip", keys))
    folder = str(tmp_path / "keys")

    def told(*words: str, code: int = 0) -> str:
        assert main([*words]) == code, words
        captured = capsys.readouterr()
        return captured.out + captured.err

    assert SECRET not in told("show", trip)
    assert SECRET in told("show", trip, "--keys", folder)
    assert SECRET in told("export", trip, "--to", "md", "--keys", folder)
    assert "3 model requests are what today" in told("replay", trip, "--keys", folder)
    monkeypatch.setenv("TINYAGENT_KEYS", folder)
    assert SECRET in told("show", trip)
    assert SECRET in told("diff", f"{trip}:3", "--context", code=1)
    assert "no such folder of keys" in told("show", trip, "--keys", folder + "s", code=2)
    keys.destroy("user-17")
    missing = told("show", trip, code=2)
    assert f"it is encrypted, and {folder} has no key 'user-17'; put it there as" in missing
    keys.make("another")
    (tmp_path / "keys" / "user-17.key").write_bytes(b"short")
    assert "the key 'user-17' has 5 bytes, not 32" in told("show", trip, code=2)


async def test_no_snapshot_holds_what_is_encrypted(tmp_path: Path, keys: KeyFolder) -> None:
    encryption = Encryption(keys, "user-17")
    async with open_log(tmp_path / "trip", encryption=encryption) as log:
        agent = build(log)
        agent.stream_fn = script(text(SECRET))
        await agent.prompt("x" * 1_100_000 + SECRET)
    assert files_with(tmp_path / "trip", SECRET) == []
    assert not (tmp_path / "trip" / "snap").exists()
