"""``tinyagent ls``: the sessions of a folder; REFs that need one: ``last`` and ``@demo``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_show import HOSTILE, written
from tests.recordings import REPLAYS

from tinyagent import Agent, Limits, Price, load, open_log
from tinyagent.cli.ls import age, shortest, table
from tinyagent.cli.summary import Summary, seconds, summary_of
from tinyagent.events import kinds as k
from tinyagent.runtime.load import read_log
from tinyagent.testing import scripted

Run = Callable[..., tuple[int, str, str]]
S = 1_000_000_000


def test_sessions_are_listed_in_columns_the_newest_first() -> None:
    logs = [
        Summary(
            log="7f3a9c" + "0" * 26,
            where="a",
            status="answered",
            at_ns=880 * S,
            turns=3,
            tools=2,
            tokens=2899,
            first="Plan a day in Paris",
            cost_usd=0.00871,
        ),
        Summary(
            log="7f1b02" + "0" * 26,
            where="b",
            status="crashed",
            at_ns=0,
            turns=5,
            tools=7,
            tokens=11902,
            first="Pay ann",
            in_doubt=1,
        ),
        Summary(
            log="7e90d4" + "0" * 26,
            where="c",
            name="trip",
            status="paused",
            fork="7f3a9c00:9",
            approvals=2,
            first="x" * 70,
        ),
    ]
    assert list(table(logs, {"runs/bad": "CorruptLogError: hole"}, 1000 * S)) == [
        "ID      AGE  STATUS    TURNS  TOOLS  TOKENS     COST  FIRST WORDS",
        "7f3a9c   2m  answered      3      2   2,899  $0.0087  Plan a day in Paris",
        "7f1b02  16m  crashed       5      7  11,902        -  Pay ann    1 tool in doubt",
        f"7e90d4  16m  paused        0      0       0        -  {'x' * 59}…    @trip"
        "    fork of 7f3a9c00:9    2 approvals waited for",
        "! runs/bad  CorruptLogError: hole",
    ]


def test_ids_are_as_long_as_they_must_be() -> None:
    logs = [
        Summary(log="abcdef1" + "0" * 25, where=""),
        Summary(log="abcdef2" + "0" * 25, where=""),
    ]
    assert shortest(logs) == 7
    assert shortest(logs[:1]) == 6
    assert shortest([]) == 6
    assert shortest([*logs, logs[0]]) == 7


@pytest.mark.parametrize(
    ("past_s", "told"),
    [(-3, "0s"), (59, "59s"), (60, "1m"), (3600, "1h"), (86400, "1d"), (400 * 86400, "1y")],
)
def test_an_age_has_one_unit(past_s: int, told: str) -> None:
    assert age(past_s * S) == told


@pytest.mark.parametrize(
    ("took_s", "told"),
    [
        *[(None, ""), (0.0002, "200 µs"), (0.004, "4 ms"), (0.02, "0.02 s"), (1.14, "1.1 s")],
        *[(99.94, "99.9 s"), (150, "2 m 30 s"), (7260, "2 h 01 m")],
    ],
)
def test_a_duration_is_told_as_a_person_reads_it(took_s: float | None, told: str) -> None:
    assert seconds(took_s) == told


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a log in it, a packed one that is older, a damaged one, and what is none."""
    said = k.SessionStarted(), k.UserSaid(f"hi {HOSTILE}")
    old = written(tmp_path / "old.jsonl", *said, log_id="aa" * 16, name=HOSTILE)
    (tmp_path / "new").mkdir()
    new = written(tmp_path / "new" / "00000001.jsonl", *said, k.UserContinued(), log_id="bb" * 16)
    bad = written(tmp_path / "bad.jsonl", *said, log_id="cc" * 16)
    bad.write_bytes(bad.read_bytes().replace(b'"user.said"', b'"user.sand"'))
    (tmp_path / "note.jsonl").write_text("no log\n")
    for at, path in enumerate((bad, old, new)):
        os.utime(path, (1000 + at, 1000 + at))
    monkeypatch.setenv("TINYAGENT_LOG_DIR", str(tmp_path))
    return tmp_path


def test_a_folder_is_listed_and_what_cannot_be_read_is_named(run: Run, runs: Path) -> None:
    code, out, err = run("ls")
    assert (code, err) == (0, "")
    heads, first, second, bad = out.splitlines()
    assert heads.startswith("ID      AGE  STATUS")
    assert first.startswith("bbbbbb ")
    assert second.startswith("aaaaaa ")
    assert bad.startswith(f"! {runs / 'bad.jsonl'}  CorruptLogError: ")
    told = json.loads(run("ls", "--json")[1])
    assert [Path(log["where"]).name for log in told["logs"]] == ["new", "old.jsonl"]
    assert told["logs"][1]["name"] == HOSTILE  # to the byte
    assert list(told["unreadable"]) == [str(runs / "bad.jsonl")]


def test_what_logs_say_is_shown_and_not_sent(run: Run, runs: Path) -> None:
    for argv in (["ls"], ["ls", "--json"], ["ls", "--color", "always"]):
        _, out, _ = run(*argv)
        assert not set("\x07\u202e\u200b\u0085\x7f\r\U000e0041") & set(out)
        assert "\x1b[2J" not in out


def test_a_folder_without_logs_and_no_folder(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("ls", str(tmp_path))
    assert (code, out) == (0, "no logs; record one, or name another folder\n")
    code, out, err = run("ls", str(tmp_path / "nowhere"))
    assert (code, out, "there is no such folder" in err) == (3, "", True)


def test_last_is_the_log_that_was_written_last_packed_or_not(run: Run, runs: Path) -> None:
    assert json.loads(run("show", "--json")[1])["where"] == str(runs / "new")
    os.utime(runs / "old.jsonl", (2000, 2000))
    assert json.loads(run("show", "last", "--json")[1])["where"] == str(runs / "old.jsonl")


def test_a_recorded_session_is_in_the_package(run: Run, runs: Path) -> None:
    code, out, _ = run("show", "@demo")
    assert (code, out.startswith("demo · ")) == (0, True)
    assert "Plan a day in Paris" in out
    code, out, _ = run("replay", "@demo", "--app", "tinyagent.demo:build")
    assert (code, out.startswith("same: ")) == (0, True)
    written(runs / "mine.jsonl", k.SessionStarted(), log_id="dd" * 16, name="demo")
    assert run("show", "@demo:1", "--json")[1].count("d" * 32) == 1  # one's own comes first


def test_the_session_in_the_package_is_whole_and_says_nothing_of_a_machine() -> None:
    from tinyagent.cli.refs import DEMO

    log = read_log(DEMO)
    assert (log.verdict, log.meta.name) == ("clean", "demo")
    text = DEMO.read_text()
    assert "/home/" not in text
    assert "/root/" not in text
    assert len(text) < 20_000


def test_replays_is_a_folder_of_logs(run: Run) -> None:
    code, out, _ = run("ls", str(REPLAYS))
    assert (code, len(out.splitlines())) == (0, 1 + len(list(REPLAYS.glob("*.jsonl"))))


async def test_money_is_told_where_the_log_has_prices_and_never_as_zero(
    run: Run, tmp_path: Path
) -> None:
    price = Price(input_usd=1000, output_usd=10_000)
    money: Any = {"limits": Limits(cost_usd_max=5), "prices": {"scripted": price}}
    async with open_log(tmp_path / "a", log_id="ab" * 16) as log:
        await Agent(model=scripted("Hi."), log=log, **money).run("x")
    recording = load(tmp_path / "a")
    usage = recording.usage
    told = summary_of(recording).cost_usd
    assert told == (usage.input_tokens * 1000 + usage.output_tokens * 10_000) / 1e6
    assert summary_of(load(REPLAYS / "one-tool.jsonl")).cost_usd is None
    _, out, _ = run("show", str(tmp_path / "a"))
    assert out.splitlines()[0].endswith(f" · ${told:,.4f}")


async def test_a_log_that_cannot_be_read_is_named_behind_the_others(
    run: Run, tmp_path: Path
) -> None:
    async with open_log(tmp_path / "whole") as log:
        await Agent(model=scripted("Yes."), log=log).run("Is it listed?")
    broken = tmp_path / "broken" / "00000001.jsonl"
    broken.parent.mkdir()
    broken.symlink_to(broken.name)  # of itself; for root, too, it cannot be opened
    code, out, _ = run("ls", str(tmp_path))
    assert code == 0
    *_, listed, told = out.splitlines()
    assert "Is it listed?" in listed
    assert told.startswith(f"! {broken.parent}  OSError: ")


def test_an_empty_log_has_no_age() -> None:
    empty = Summary(log="7f3a9c" + "0" * 26, where="a")
    assert list(table([empty], {}, 1000 * S))[1].split()[:3] == ["7f3a9c", "-", "empty"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files that are no UTF-8")
def test_a_name_that_is_no_text_is_written_out_in_json(run: Run, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/trip\xff"
    Path(os.fsdecode(path)).mkdir()
    whole = (REPLAYS / "one-tool.jsonl").read_bytes()
    Path(os.fsdecode(path), "00000001.jsonl").write_bytes(whole)
    code, out, _ = run("ls", str(tmp_path), "--json")
    assert (code, json.loads(out)["logs"][0]["where"]) == (0, f"{tmp_path}/trip\\udcff")
    code, out, _ = run("show", os.fsdecode(path), "--view", "events", "--json")
    assert (code, json.loads(out)["records"][0]["kind"]) == (0, "session.started")
    code, _, err = run("show", os.fsdecode(path + b"x"), "--json")
    assert (code, json.loads(err)["error"]) == (3, "LogNotFoundError")


def test_of_the_logs_of_a_large_folder_an_error_names_some(run: Run, tmp_path: Path) -> None:
    header = (REPLAYS / "one-tool.jsonl").read_bytes().splitlines(keepends=True)[0]
    for number in range(1100):
        (tmp_path / f"n{number:04}").mkdir()
        (tmp_path / f"n{number:04}" / "00000001.jsonl").write_bytes(header)
    code, _, err = run("show", "nowhere", "--dir", str(tmp_path))
    assert code == 3
    assert f"nowhere: there is no log (in {tmp_path}: n0000, n0001, " in err
    assert ", n0019, and 1,080 more)" in err
