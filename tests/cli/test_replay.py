"""``tinyagent replay``: the first divergence is named: which record, which field, both values."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests import recordings
from tests.bench.restore import fill
from tests.recordings import REPLAYS

from tinyagent import Agent, load
from tinyagent._alchemy import line
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import pack, write_packed
from tinyagent.runtime.redact import Redaction, redact
from tinyagent.runtime.stores import Stored
from tinyagent.runtime.stores.memory import MemoryLog

LOG = str(REPLAYS / "one-tool.jsonl")


def build(*, log: Any) -> Agent:
    """Return the agent that ``one-tool`` was recorded with."""
    return recordings.agent(log, [])


def terse(*, log: Any) -> Agent:
    """Return it with one character more in its system prompt."""
    agent = build(log=log)
    agent.set_system_prompt("Be brief!")
    return agent


def other_schema(*, log: Any) -> Agent:
    """Return it with another description in its tool's schema."""
    agent = build(log=log)
    agent.state.tools[0].parameters = {**recordings.SCHEMA, "required": ["town"]}
    return agent


def no_factory(*, log: Any) -> str:
    """Return no agent."""
    del log
    return "agent"


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return the name of a factory of this file, importable by the command."""
    monkeypatch.setitem(sys.modules, "app_of_the_test", sys.modules[__name__])
    return lambda name: f"app_of_the_test:{name}"


def test_the_recorded_configuration_is_the_same(run: Any) -> None:
    code, out, _ = run("replay", LOG)
    assert (code, out.splitlines()[0]) == (0, "same: 21 records")


def test_todays_factory_is_the_same(run: Any, app: Any) -> None:
    code, out, _ = run("replay", LOG, "--app", app("build"))
    assert (code, out.splitlines()[0]) == (0, "same: 21 records")


def test_a_changed_system_prompt_is_named(run: Any, app: Any) -> None:
    code, out, _ = run("replay", LOG, "--app", app("terse"))
    assert code == 1
    assert ":3  messages[0].content" in out
    assert 'recorded  messages[0].content  "Be brief."' in out
    assert 'now       messages[0].content  "Be brief!"' in out
    assert "cause     configuration: system is 'Be brief!' today, 'Be brief.' when recorded" in out


def test_a_changed_tool_schema_is_named(run: Any, app: Any) -> None:
    code, out, _ = run("replay", LOG, "--app", app("other_schema"))
    assert code == 1
    assert 'tools[0].function.parameters.required[0]  "city"' in out
    assert 'tools[0].function.parameters.required[0]  "town"' in out
    assert "configuration: tools[0].schema.required[0]" in out


def test_a_changed_tool_result_is_named(run: Any, tmp_path: Path) -> None:
    path = edited(tmp_path, "tool.finished", "21 °C", "22 °C")
    code, out, _ = run("replay", str(path))
    assert code == 1
    assert ":11  request" in out
    assert "records since the last request: 6 model.finished, 9 tool.finished" in out


def test_a_changed_decision_is_named_with_its_field_and_both_values(
    run: Any, tmp_path: Path
) -> None:
    path = edited(tmp_path, "tool.requested", "weather", "climate")
    code, out, _ = run("replay", str(path))
    assert code == 1
    assert (
        "record 7 is not what agent decides today (input 6 model.finished, decision 1 of 1)" in out
    )
    assert 'recorded  name  "climate"' in out
    assert 'now       name  "weather"' in out


def test_a_missing_decision_is_named(run: Any, tmp_path: Path) -> None:
    loaded = read_log(LOG)
    kept = [r for r in loaded.records if r.kind != "turn.ended"]
    renumbered = MemoryLog(log_id=loaded.meta.log)
    for seq, r in enumerate(kept, 1):
        renumbered.append(seq, r.ts_us, r.actor, r.kind, r.v, min(r.cause, seq - 1), r.payload)
    path = tmp_path / "cut.jsonl"
    write_packed(renumbered, path)
    code, out, _ = run("replay", str(path))
    assert code == 1
    assert "turn.ended" in out


def edited(folder: Path, kind: str, old: str, new: str) -> Path:
    """Return a copy of the log in which one text was changed, with its checksum put right."""
    loaded = read_log(LOG)
    records: list[Stored] = []
    for record in loaded.records:
        payload = record.payload
        if record.kind == kind:
            payload = payload.replace(old.encode(), new.encode())
            json.loads(payload)
        records.append(
            Stored(
                seq=record.seq,
                ts_us=record.ts_us,
                actor=record.actor,
                kind=record.kind,
                v=record.v,
                cause=record.cause,
                payload=payload,
            )
        )
    path = folder / "edited.jsonl"
    path.write_bytes(pack(MemoryLog(meta=loaded.meta, records=records)))
    return path


def test_a_log_edited_by_hand_is_told_from_a_torn_one(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "edited.jsonl"
    path.write_bytes(Path(LOG).read_bytes().replace("21 °C".encode(), "22 °C".encode(), 1))
    code, _, err = run("replay", str(path))
    assert code == 1
    assert "CorruptLogError" in err
    assert "edited by hand" in err


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (["replay", "nowhere"], 3, "LogNotFoundError: nowhere"),
        (["replay", LOG, "--app", "app"], 2, "expected MODULE:FACTORY"),
        (["replay", LOG, "--app", "no_such_module:build"], 2, "no_such_module"),
        (["frobnicate"], 2, "no command 'frobnicate'"),
        ([], 2, "tinyagent COMMAND"),
    ],
)
def test_wrong_use_is_told_and_has_its_exit_code(
    run: Any, argv: list[str], code: int, told: str
) -> None:
    found, _, err = run(*argv)
    assert (found, told in err) == (code, True)


def test_a_factory_that_is_none_is_told(run: Any, app: Any) -> None:
    code, _, err = run("replay", LOG, "--app", app("no_factory"))
    assert code == 2
    assert "returned str, expected Agent" in err


def test_lines_are_those_of_the_format() -> None:
    loaded = read_log(LOG)
    first = loaded.records[0]
    built = line(loaded.meta.log, first.d, 1, first.ts_us, None, first.kind, 1, 0, first.payload)
    assert built in Path(LOG).read_bytes()


def test_what_cannot_be_compared_is_counted_and_where_it_ended_is_told(
    run: Any, tmp_path: Path
) -> None:
    redact(LOG, tmp_path / "some", [Redaction(2, "/content")])
    code, out, _ = run("replay", str(tmp_path / "some"))
    why = "something was redacted, or is encrypted and its key is not here"
    assert (code, out.splitlines()[0]) == (0, "same: 21 records")
    assert out.splitlines()[2] == f"3 decisions and requests cannot be compared: {why}"
    code, out, _ = run("verify", str(tmp_path / "some"), "--deep")
    assert (code, "of kinds from a newer release" in out) == (0, False)
    redact(LOG, tmp_path / "all", [Redaction(2)])
    code, out, _ = run("replay", str(tmp_path / "all"))
    told = "ended there: record 2, user.said, was redacted, and none behind it can be compared"
    assert (code, out.splitlines()[-1]) == (0, told)


def test_json_has_what_the_report_has(run: Any, tmp_path: Path, app: Any) -> None:
    _, out, _ = run("replay", LOG, "--json")
    told = json.loads(out)
    assert (told["canonical"], told["ended"], told["configuration"]) == (0, None, [])
    assert (told["outcome"], told["at"], told["state_before"]) == ("answered", None, None)
    _, out, _ = run("replay", LOG, "--app", app("terse"), "--json")
    told = json.loads(out)
    leaf = {"path": "system", "recorded": "Be brief.", "now": "Be brief!"}
    assert told["configuration"] == [leaf]
    assert told["outcome"] is None
    path = edited(tmp_path, "tool.requested", "weather", "climate")
    _, out, _ = run("replay", str(path), "--json")
    told = json.loads(out)
    assert told["at"].startswith("actors/gate.py:")
    assert len(told["state_before"]) == 16


def test_a_log_as_the_benchmarks_make_it_is_the_same(run: Any, tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path / "log", 600))
    count = len(load(tmp_path / "log").records)
    code, out, _ = run("replay", str(tmp_path / "log"))
    assert (code, out.splitlines()[0]) == (0, f"same: {count} records")
    code, out, _ = run("verify", "--deep", str(tmp_path / "log"))
    assert code == 0
    assert out.splitlines()[1].endswith(
        " decisions and requests are what today's code makes of them"
    )
