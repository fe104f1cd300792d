"""``--json`` of every command, held against the schema that ``tinyagent schema`` prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.cli import test_going_on as going_on
from tests.cli.schemas import faults
from tests.crashing import ID, World
from tests.recordings import REPLAYS

from tinyagent.cli import COMMANDS
from tinyagent.cli.answers import ANSWERS

Run = Callable[..., tuple[int, str, str]]
LOG = str(REPLAYS / "one-tool.jsonl")
OTHER = str(REPLAYS / "tool-error.jsonl")
HOOKS = str(REPLAYS / "steering-and-hooks.jsonl")
READING = [
    (0, ["ls", str(REPLAYS)]),
    (0, ["show", LOG]),
    (0, ["show", OTHER, "--view", "timeline"]),
    (0, ["show", HOOKS, "--view", "events"]),
    (0, ["show", LOG, "--view", "context"]),
    (0, ["show", LOG, "--view", "state"]),
    (0, ["tail", LOG, "-n", "3"]),
    (0, ["why", f"{LOG}:11"]),
    (0, ["why", f"{LOG}:2", "--impact"]),
    (1, ["diff", LOG, OTHER]),
    (0, ["diff", LOG, LOG]),
    (1, ["diff", f"{LOG}:11"]),
    (1, ["diff", f"{LOG}:8", f"{LOG}:9"]),
    (1, ["diff", f"{HOOKS}:6", f"{HOOKS}:30", "--context"]),
    (0, ["replay", LOG]),
    (1, ["replay", LOG, "--app", "tinyagent.demo:build", "--loose"]),
    (0, ["verify", LOG, OTHER, "--deep"]),
    (0, ["stats", LOG, OTHER]),
    (0, ["stats", LOG, OTHER, "--by", "tool"]),
    (0, ["stats", LOG, "--by", "day"]),
    (0, ["schema"]),
    (0, ["completion", "bash"]),
]


@pytest.fixture
def check(run: Run) -> Callable[..., dict[str, Any]]:
    """Run a command with --json; hold what it says against its schema, and return it."""

    def call(code: int, *argv: str, name: str = "") -> dict[str, Any]:
        found, out, err = run(*argv, "--json")
        assert (found, out.count("\n")) == (code, 1), err
        document: dict[str, Any] = json.loads(out)
        name = name or argv[0]
        assert document["schema"] == f"tinyagent.{name}/1"
        schema = json.loads(run("schema", name)[1])
        assert faults(document, schema) == []
        return document

    return call


@pytest.mark.parametrize(("code", "argv"), READING, ids=lambda given: " ".join(map(str, [given])))
def test_what_reads_a_log_answers_by_its_schema(check: Any, code: int, argv: list[str]) -> None:
    check(code, *argv)


trip = going_on.trip


def test_what_writes_a_log_answers_by_its_schema(check: Any, trip: Path) -> None:
    to = [str(trip.with_name(name)) for name in ("repaired", "redacted", "forked", "again")]
    assert check(0, "repair", str(trip), "-o", to[0])["lost"] == 0
    assert check(0, "redact", str(trip), "-o", to[1], "--seq", "2")["redacted"] == [
        {"seq": 2, "path": None}
    ]
    forked = check(0, "fork", f"{trip}:2", "--prompt", "No", "--into", to[2])
    assert (forked["at"], forked["where"]) == (1, to[2])
    going_on.WORLDS.append(World())
    rerun = check(0, "rerun", str(trip), *going_on.APP, "--yes", "--into", to[3])
    assert (rerun["status"], rerun["parent"]) == ("answered", ID)
    killed = going_on.killed_while_sending(trip)
    resumed = check(1, "resume", str(killed), *going_on.APP, "--yes")
    assert (resumed["status"], resumed["in_doubt"]) == ("paused", ["s1"])
    [made] = check(0, "archive", str(trip))["made"]
    assert (made["name"], made["segments"]) == ("00000001.jsonl.zst", 1)
    assert check(0, "archive", str(trip))["made"] == []


def test_the_demonstration_and_the_doctor_answer_by_their_schemas(
    check: Any, tmp_path: Path
) -> None:
    (tmp_path / "runs").mkdir(mode=0o700)
    folder = ("--dir", str(tmp_path / "runs"))
    assert len(check(0, "demo", *folder)["logs"]) == 3
    assert check(0, "doctor", *folder)["ok"] is True


def test_demonstrations_do_not_take_the_name_of_the_session_in_the_package(
    run: Run, check: Any, tmp_path: Path
) -> None:
    folder = ("--dir", str(tmp_path))
    before = check(0, "show", "@demo", *folder)
    for number in ("1", "2"):
        assert run("demo", *folder)[0] == 0
        assert check(0, "show", f"@demo-{number}", *folder)["log"] != before["log"]
    assert check(0, "show", "@demo", *folder) == before


def test_a_stream_is_a_document_for_each_record(run: Run) -> None:
    code, out, _ = run("tail", LOG, "-n", "2", "--jsonl")
    schema = json.loads(run("schema", "streamed")[1])
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, [line["seq"] for line in lines]) == (0, [20, 21])
    assert [faults(line, schema) for line in lines] == [[], []]


def test_an_error_answers_by_its_schema(run: Run) -> None:
    code, out, err = run("show", "nowhere", "--json")
    assert (code, out) == (3, "")
    assert faults(json.loads(err), json.loads(run("schema", "error")[1])) == []


def test_a_document_that_is_not_by_its_schema_is_found(run: Run) -> None:
    schema = json.loads(run("schema", "tail")[1])
    document = json.loads(run("tail", LOG, "-n", "1", "--json")[1])
    document["records"][0]["seq"] = "one"
    del document["where"]
    document["more"] = 1
    assert faults(document, schema) == [
        ".where is missing",
        ".records[0].seq: 'one' is no integer",
        ".more is not in the schema",
    ]


def test_every_command_has_a_schema() -> None:
    # What is printed by `mcp` is the protocol.
    assert set(COMMANDS) - set(ANSWERS) == {"mcp"}


def test_schemas_are_a_part_of_the_api(run: Run, snapshot: SnapshotAssertion) -> None:
    """A field is added at the end; a change of another kind is another number."""
    told = {name: json.loads(run("schema", name)[1]) for name in sorted(ANSWERS)}
    fields = {
        name: sorted(schema["$defs"][ANSWERS[name].__name__]["properties"])
        for name, schema in told.items()
    }
    assert fields == snapshot


def test_the_schema_of_an_event_is_told(run: Run) -> None:
    code, out, _ = run("schema", "tool.failed")
    assert code == 0
    told = json.loads(out)
    assert "call_id" in told["$defs"]["ToolFailed"]["properties"]
    code, _, err = run("schema", "moon.risen")
    assert (code, "no kind 'moon.risen'" in err) == (2, True)
