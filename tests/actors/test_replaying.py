"""A replay of a whole session: why it diverges, what of it cannot be compared, what came of it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from tests import recordings
from tests.recordings import REPLAYS

from tinyagent import Agent, load, tool
from tinyagent.actors.replaying import verify
from tinyagent.events import Record, kinds as k
from tinyagent.events.children import is_below
from tinyagent.runtime.divergence import Difference, Report
from tinyagent.runtime.redact import Redaction, redact
from tinyagent.runtime.stores import Log
from tinyagent.testing import MemoryLog, scripted
from tinyagent.verbs import replay

ONE_TOOL = REPLAYS / "one-tool.jsonl"
RECORDINGS = sorted(REPLAYS.glob("*.jsonl"))
pytestmark = pytest.mark.diverges


def build(*, log: Log) -> Agent:
    @tool(effect="read")
    def look(at: str) -> str:
        """Look at something."""
        return f"{at} is there"

    return Agent(model=scripted(("look", {"at": "it"}), "Seen.", "Yes."), tools=[look], log=log)


def careful(*, log: Log) -> Agent:
    """Return the agent that ``one-tool`` was recorded with, whose tool needs an approval."""
    agent = recordings.agent(log, [])
    agent.state.tools[0].approval = "always"
    return agent


async def session() -> MemoryLog:
    log = MemoryLog()
    await build(log=log).run("Look.")
    return log


async def test_another_configuration_is_the_cause_of_another_decision() -> None:
    report = await replay(ONE_TOOL, careful)
    found = report.first_divergence
    assert found is not None
    assert found.recorded is not None
    assert found.now is not None
    assert (found.recorded[0], found.now[0]) == ("tool.requested", "approval.requested")
    told = "tools[0].approval is 'always' today, absent when recorded"
    assert found.cause == f"configuration: {told}"
    [changed] = report.configuration
    assert (changed.path, changed.now) == ("tools[0].approval", "always")
    assert report.result is None


async def test_without_a_difference_there_is_nothing_to_tell_of_the_configuration() -> None:
    report = await replay(await session(), build)
    assert (report.ok, report.configuration, report.canonical) == (True, (), 0)


async def test_another_version_is_the_cause_if_the_configuration_is_the_same() -> None:
    log = await session()
    records = renamed(load(log).records)
    told = "the code of the step changed, or the record was edited"
    for version, cause in (
        ("0.1.0", told),
        ("9.9.9", f"versions: 0.1.0 recorded it, this is 9.9.9; {told}"),
    ):
        found = verify(log.where, records, version=version).first_divergence
        assert found is not None
        assert found.cause == cause


def renamed(records: list[Record]) -> list[Record]:
    """Return *records* with another tool in the first decision about one."""
    at = next(n for n, one in enumerate(records) if isinstance(one.event, k.ToolRequested))
    event = msgspec.structs.replace(records[at].event, name="gone")
    changed = msgspec.structs.replace(records[at], event=event, payload=b"")
    return [*records[:at], changed, *records[at + 1 :]]


@pytest.mark.parametrize(
    ("seq", "path", "kind", "counts"),
    [
        (1, "/system", "session.started", (21, 9, 0, 3)),
        (2, "/content", "user.said", (21, 9, 0, 3)),
        (4, None, "model.delta", (21, 9, 1, 2)),
        (7, None, "tool.requested", (21, 8, 1, 3)),
        (9, "/content", "tool.finished", (21, 9, 1, 2)),
        (2, None, "user.said", (1, 0, 0, 9)),
        (6, None, "model.finished", (5, 1, 0, 8)),
    ],
)
def test_what_is_redacted_is_unverifiable_and_no_divergence(
    tmp_path: Path, seq: int, path: str | None, kind: str, counts: tuple[int, ...]
) -> None:
    redact(ONE_TOOL, tmp_path / "new", [Redaction(seq, path)])
    recording = load(tmp_path / "new")
    assert recording.records[seq - 1].event.kind == kind
    report = recording.replay()
    assert report.ok, report.first_divergence
    assert (report.records, report.matched, report.requests, report.unverifiable) == counts
    assert bool(report.ended) is (report.records < 21)


def test_what_an_agent_below_has_lost_is_told_of_the_whole_log() -> None:
    recording = load(REPLAYS / "agent-below.jsonl")
    records = list(recording.records)
    below = [n for n, one in enumerate(records) if is_below(one)]
    at = next(n for n in below if isinstance(records[n].event, k.ModelFinished))
    gone = b'{"reason":{"$blob":"sha256:%s","n":70000,"t":"text"}}' % (b"ab" * 32)
    records[at] = msgspec.structs.replace(records[at], payload=gone)
    report = verify(recording.where, records)
    seq = records[at].seq
    assert (report.ok, report.lost) == (True, (seq, seq))
    assert report.ended.startswith(f"a large value of record {seq} is lost")
    assert report.records == len(records) - len([n for n in below if n >= at])


def test_a_divergence_behind_something_redacted_says_so(tmp_path: Path) -> None:
    redact(ONE_TOOL, tmp_path / "new", [Redaction(2, "/content")])
    recording = load(tmp_path / "new")
    found = verify(recording.where, renamed(recording.records)).first_divergence
    assert found is not None
    assert found.cause.startswith("record 2 was redacted; the code of the step changed")


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_report_of_a_whole_replay_has_the_result_of_the_last_run(path: Path) -> None:
    recording = load(path)
    report = recording.replay()
    assert (report.ok, report.canonical, report.ended) == (True, 0, "")
    assert report.result.outcome == recording.status
    end = recording.conversation.messages[-1]
    assert report.result.text == "".join(
        block.text for block in getattr(end, "blocks", []) if block.op == "text"
    )
    ref, _, seq = report.result.ref.partition(":")
    assert (ref, recording.records[int(seq) - 1].event.kind) == (recording.ref, "run.ended")


async def test_a_replay_up_to_a_record_has_the_result_of_the_run_that_ended_before() -> None:
    log = await session()
    agent = build(log=log)
    await agent.run("Look again.")
    recording = load(log)
    ends = [one.seq for one in recording.records if isinstance(one.event, k.RunEnded)]
    assert recording.replay(until=2).result is None
    result = recording.replay(until=ends[1] - 1).result
    assert result.ref == f"{recording.ref}:{ends[0]}"
    roles = [message.role for message in result.messages]
    assert roles == ["user", "assistant", "tool_result", "assistant"]
    assert result.text == "Seen."


def test_the_fields_of_a_report_are_all_there() -> None:
    names = {"ok", "matched", "canonical", "unverifiable", "first_divergence", "cascade", "result"}
    assert names <= {*dir(Report)}
    assert Difference.__struct_fields__ == ("path", "recorded", "now")
    assert json.loads(ONE_TOOL.read_text().splitlines()[1])["seq"] == 1
