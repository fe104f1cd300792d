"""A long log is taken up from a snapshot, and nobody can tell: with and without it is the same."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.crashing import ID, World, calls, conversation, text

from tinyagent import Agent, Redact, edits, fork, load, resume, tool
from tinyagent.actors import snapshots as keeping
from tinyagent.actors.snapshots import RECORDS_MIN, Held, code, decoded, encoded
from tinyagent.cli.verify import deeply
from tinyagent.events import Record
from tinyagent.runtime.errors import CorruptLogError
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import write_packed
from tinyagent.runtime.redact import Redaction, redact
from tinyagent.runtime.repair import repair
from tinyagent.runtime.stores import LogOptions
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.snapshots import Snapshot, Snapshots
from tinyagent.testing import VirtualClock, scripted


class Watched(FileLog):
    """A log that knows from where it was read. ``first``: of every reading."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, now_us=VirtualClock().now_us, log_id=ID)
        self.first: list[int] = []

    def read_records(self, first: int = 1, *, joined: bool = False) -> list[Record]:
        self.first.append(first)
        return super().read_records(first, joined=joined)


def build(*, log: Any, **options: Any) -> Agent:
    """Return an agent whose model asks a tool, then answers; by what it was last told."""
    world = World()

    def script(messages: Any) -> Any:
        n = len(messages)
        if messages[-1].role == "tool_result":
            return text(f"Done {n}.")
        return calls((f"c{n}", "look", {"n": n}), says="I look.")

    return world.build(log, script, [world.tool("look", "read")], **options)


@tool(effect="read")
def look() -> str:
    """Look."""
    return "Nothing."


async def talk(agent: Agent, log: Any, records: int) -> None:
    """Ask until *log* has so many records more."""
    end = log.seq + records
    while log.seq < end:
        await agent.prompt("Look it up, please.")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with a snapshot behind record 1,0.., and a hundred records behind that."""
    place = tmp_path_factory.mktemp("logs") / "long"

    async def record() -> None:
        log = Watched(place)
        agent = build(log=log)
        await talk(agent, log, RECORDS_MIN)
        log.snapshots.wait()
        await talk(agent, log, 100)
        await log.close()

    asyncio.run(record())
    return place


@pytest.fixture
def both(long: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The same log twice, with its snapshot and without."""
    bare, kept = tmp_path / "bare" / "log", tmp_path / "kept" / "log"
    for place in (bare, kept):
        shutil.copytree(long, place)
    shutil.rmtree(bare / "snap")
    return kept, bare


def behind(place: Path) -> int:
    """Return the number of the record that the newest snapshot was made behind."""
    return int(Snapshots(place, ID).paths()[0].stem)


def cut_behind(place: Path, seq: int) -> None:
    """Cut the log behind record *seq*, as a crash would."""
    path = place / "00000001.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[: seq + 1]))
    (place / "LOCK").unlink()  # its hint promises what is cut off


def held(agent: Agent) -> Any:
    """Return what a session that was taken up knows."""
    session = agent._engine().binding.session  # pyright: ignore[reportPrivateUsage] # all of it
    fold = session.conversation
    return (
        session.machine.state,
        fold.settings,
        fold.messages,
        fold.calls,
        fold.given,
        fold.asked_n,
        conversation(agent),
        [record.event for record in session.reopened.requests],
    )


async def taken_up(place: Path) -> tuple[Any, list[int]]:
    """Take the log up; return what is known then, and from where it was read."""
    log = Watched(place)
    agent = build(log=log)
    agent.take_up(on_unknown=None, on_approval=None, on_interrupted=None)
    found = held(agent), log.first
    await log.close()
    return found


def test_one_is_kept_where_a_run_ends_after_a_thousand_records(long: Path) -> None:
    ends = [r.seq for r in load(long).records if r.event.kind == "run.ended"]
    assert behind(long) == next(seq for seq in ends if seq >= RECORDS_MIN)
    assert len(Snapshots(long, ID).paths()) == 1


async def test_a_log_is_read_from_its_snapshot_on_and_all_is_as_if_it_was_read_whole(
    both: tuple[Path, Path],
) -> None:
    with_it, first = await taken_up(both[0])
    without, first_of_all = await taken_up(both[1])
    assert first == [behind(both[0])]
    assert first_of_all == [1]
    assert with_it == without


async def test_what_is_recorded_afterwards_is_the_same_to_the_byte(both: tuple[Path, Path]) -> None:
    for place in both:
        async with resume(place, build, clock=VirtualClock()) as agent:
            agent.steer("And quickly.")
            await agent.prompt("Once more.")
            await agent.prompt("And again.")
            older = agent.log.records(kinds=["user.said"])
            request = agent.log.request_at(3)
            assert (older[0].seq, request.n, request.is_verified) == (2, 1, True)
            assert agent.log.why(12).chain[-1].seq == 2
            assert agent.log.conversation.messages == held(agent)[2]
    lines = [(place / "00000002.jsonl").read_bytes().splitlines() for place in both]
    assert [line.partition(b',"x"')[0] for line in lines[0][1:-1]] == [
        line.partition(b',"x"')[0] for line in lines[1][1:-1]
    ]
    assert load(both[0]).replay().ok
    assert load(both[0]).tool_calls == load(both[1]).tool_calls


@pytest.mark.parametrize("after", range(12))
async def test_a_run_that_was_cut_off_behind_a_snapshot_goes_on_as_without_it(
    both: tuple[Path, Path], after: int
) -> None:
    shown: list[Any] = []
    for place in both:
        cut_behind(place, behind(both[0]) + after)
        seen: list[Any] = []
        async with resume(place, build, clock=VirtualClock()) as agent:
            agent.subscribe(lambda event, seen=seen: seen.append(event.type))  # type: ignore[misc] # a list each
            if agent.log.status != "answered":
                await agent.run()
            shown.append((held(agent), seen, load(place).replay().ok))
    assert shown[0] == shown[1]


@pytest.mark.parametrize("where", [-9, 0, 9])
async def test_a_fork_before_at_or_behind_a_snapshot_is_the_same_fork(
    both: tuple[Path, Path], where: int
) -> None:
    found: list[Any] = []
    for place in both:
        at = behind(both[0]) + where
        into = place.parent / "child"
        said = edits.user_said("Look elsewhere, please.")
        async with fork(
            place, at=at, edit=said, into=into, log_id="f" * 32, clock=VirtualClock()
        ) as child:
            agent = build(log=child)
            await agent.run()
            found.append((held(agent), child.seq))
    assert found[0] == found[1]


async def test_a_fork_has_snapshots_of_its_own_and_none_of_its_parent(
    both: tuple[Path, Path],
) -> None:
    place = both[0].parent / "child"
    said = edits.system_prompt("Be a pirate.")
    async with fork(both[0], edit=said, into=place, log_id="f" * 32, clock=VirtualClock()) as child:
        shutil.copytree(both[0] / "snap", place / "snap")
        agent = build(log=child)
        await talk(agent, child, RECORDS_MIN)
    found: list[Any] = []
    for _ in both:
        async with resume(place, build, clock=VirtualClock()) as agent:
            found.append((held(agent), agent.log.settings.system))
            kept = [int(path.stem) for path in Snapshots(place, "f" * 32).paths()]
            assert max(kept, default=9000) > behind(both[0])
            shutil.rmtree(place / "snap", ignore_errors=True)
    assert found[0] == found[1]
    assert found[0][1] == "Be a pirate."


async def test_a_damaged_snapshot_is_as_none(both: tuple[Path, Path]) -> None:
    without, _ = await taken_up(both[1])
    path = Snapshots(both[0], ID).paths()[0]
    whole = path.read_bytes()
    for at in (0, 17, len(whole) // 3, len(whole) // 2, len(whole) - 2):
        for body in (whole[:at], whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]):
            path.write_bytes(body)
            found, first = await taken_up(both[0])
            assert first[:1] == [1]
            assert found[:-2] == without[:-2]


async def test_one_of_a_future_that_was_lost_is_not_used(both: tuple[Path, Path]) -> None:
    (old,) = Snapshots(both[0], ID).paths()
    lost = old.read_bytes()
    for place in both:
        ends = [r.seq for r in load(place).records if r.event.kind == "run.ended"]
        cut_behind(place, ends[-20])
        assert (await taken_up(place))[1] == [1], "it is beyond the end of the log"
        async with resume(place, build, clock=VirtualClock()) as agent:
            await talk(agent, agent.log, 200)
    for path in Snapshots(both[0], ID).paths():
        path.unlink()
    old.write_bytes(lost)  # others have taken the numbers of the records that it was made of
    found, first = await taken_up(both[0])
    assert first == [behind(both[0]), 1]
    assert found == (await taken_up(both[1]))[0]


async def test_damage_before_it_is_found_by_who_reads_there(both: tuple[Path, Path]) -> None:
    sound = await taken_up(both[1])
    for place in both:
        path = place / "00000001.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        lines[10] = lines[10].replace(b'"seq":10,', b'"seq":11,')
        path.write_bytes(b"".join(lines))
    # A seal vouches for what is before the snapshot: who goes on from there does not look at it.
    assert await taken_up(both[0]) == (sound[0], [behind(both[0])])
    for look in (lambda: load(both[0]), lambda: Watched(both[1])):
        with pytest.raises(CorruptLogError, match="record 10 is damaged"):
            look()


async def test_what_other_code_made_is_not_used(
    both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "code", lambda: "0" * 16)
    _, first = await taken_up(both[0])
    assert first == [1]


def read(snapshot: Snapshot) -> Held:
    held = decoded(memoryview(snapshot.held))
    assert held is not None
    return held


def test_what_was_said_before_is_not_gone_through_to_read_one(both: tuple[Path, Path]) -> None:
    (kept,) = Snapshots(both[0], ID).read(code())
    held = read(kept)
    assert held.conversation.earlier.count > 0
    assert encoded(held) == bytes(kept.held)
    assert msgspec.json.decode(kept.held)["earlier"]["order"]
    held.conversation.earlier.sorted = msgspec.Raw(b"[what nobody reads, ")
    odd = msgspec.structs.replace(held.conversation, refusals={"c1": ', "earlier":{}'})
    held = msgspec.structs.replace(held, conversation=odd)
    assert decoded(memoryview(encoded(held))) == held


async def test_one_that_leads_astray_is_dropped_and_named(both: tuple[Path, Path]) -> None:
    snapshots = Snapshots(both[0], ID)
    (kept,) = snapshots.read(code())
    told = read(kept)
    # What the agent is configured to do is not in the digest of its state.
    eager = {"at_tokens": 0, "keep_turns": 0}
    state = msgspec.structs.replace(told.machines["agent"], compaction=eager)
    lie = msgspec.structs.replace(told, machines={"agent": state})
    record = next(r for r in load(both[0]).records if r.seq == kept.seq)
    snapshots.keep(record, code(), lambda: encoded(lie))
    snapshots.wait()
    found, first = await taken_up(both[0])
    assert first == [kept.seq, 1]
    assert found == (await taken_up(both[1]))[0]
    deep = deeply(load(both[0]))
    assert deep.fault == (
        f"snapshot {kept.seq:020}.json: it is not what the records before it come to"
    )


def test_verify_deep_counts_those_that_are_of_use_and_names_the_others(
    both: tuple[Path, Path],
) -> None:
    folder = both[0] / "snap"
    whole = (folder / f"{behind(both[0]):020}.json").read_bytes()
    assert (deeply(load(both[0])).snapshots, deeply(load(both[1])).snapshots) == (1, 0)
    (folder / f"{3:020}.json").write_bytes(whole)
    (folder / f"{4:020}.json").write_bytes(whole[:-30])
    deep = deeply(load(both[0]))
    assert deep.fault is None
    assert (deep.snapshots, deep.unfit) == (
        1,
        (
            ("00000000000000000003.json", "it is of another format, log or record"),
            ("00000000000000000004.json", "it is damaged, or of another log"),
        ),
    )


def test_what_is_written_anew_has_none(both: tuple[Path, Path], tmp_path: Path) -> None:
    redact(both[0], tmp_path / "redacted", [Redaction(2)])
    repair(both[0], tmp_path / "repaired")
    write_packed(both[0], tmp_path / "packed.jsonl")
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*"))
    assert [path for path in found if not path.startswith(("kept", "bare"))] == [
        "redacted/00000001.jsonl",
        "repaired/00000001.jsonl",
    ]


async def test_agents_below_are_counted_on_behind_a_snapshot(tmp_path: Path) -> None:
    """Their names and the ids of their calls are those of no other in the log."""

    def over(log: Any) -> Agent:
        below = Agent(model=scripted(("look", {}), "Seen."), tools=[look])
        turns: list[Any] = [("ask", {"task": "Look."}), "Done."]
        asking = scripted(*turns * 100)
        return Agent(model=asking, tools=[below.as_tool("ask", "Asks.")], log=log)

    kept, bare = tmp_path / "kept" / "log", tmp_path / "bare" / "log"
    log = Watched(kept)
    await talk(over(log), log, RECORDS_MIN)
    await log.close()
    shutil.copytree(kept, bare)
    shutil.rmtree(bare / "snap")
    names: list[list[str]] = []
    for place in (kept, bare):
        log = Watched(place)
        await talk(over(log), log, 100)
        assert log.first[0] == (behind(place) if place is kept else 1)
        await log.close()
        assert load(place).replay().ok
        names.append([*load(place).children, *load(place).every_call])
    assert names[0] == names[1]
    assert len(names[0]) == len(set(names[0]))
    assert deeply(load(kept)).fault is None


@pytest.mark.parametrize("counts", [True, False])
async def test_numbers_of_masks_go_on_behind_a_snapshot(tmp_path: Path, counts: bool) -> None:
    """*counts*: whether the session that wrote the snapshot took note of them."""
    place = tmp_path / "log"

    async def say(patterns: bool, prompts: list[str], records: int = 0) -> list[int]:
        log = Watched(place)
        log.options = LogOptions(redact=Redact(patterns=patterns))
        agent = build(log=log)
        for prompt in prompts:
            await agent.prompt(prompt)
        await talk(agent, log, records)
        await log.close()
        return log.first

    tokens = [f"sk-ant-{letter * 24}" for letter in "abc"]
    await say(True, [f"Take {token}." for token in tokens[:2]])
    await say(counts, [], RECORDS_MIN)
    first = behind(place)
    assert await say(True, [f"And {tokens[2]}."]) == ([first] if counts else [first, 1])
    said = [stored.payload for stored in read_log(place).records if stored.kind == "user.said"]
    assert "And «secret:pattern:3»." in said[-1].decode()
