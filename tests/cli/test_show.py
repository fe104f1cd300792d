"""``tinyagent show``: a log as a transcript, as records, as a request, as a state. REFs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.recordings import REPLAYS, made_of

from tinyagent.cli import main
from tinyagent.events import encode, kinds as k
from tinyagent.runtime.log import pack, write_packed
from tinyagent.runtime.stores import LogMeta
from tinyagent.runtime.stores.memory import MemoryLog

LOG = str(REPLAYS / "one-tool.jsonl")
HOSTILE = "\x1b[2J\x07\u202egnp.exe\u200b\u0085\x7f\r<script>\U000e0041"


def test_the_transcript_of_a_log_up_to_a_record(run: Any) -> None:
    code, out, _ = run("show", f"{LOG}:9")
    assert code == 0
    assert out.splitlines() == [
        "one-tool · 234df16d · planner-1 · 3 turns · 0.02 s · 36 tokens",
        "    2  user      Weather in Paris?",
        '    3  model #1    3 ms      10 in    4 out  I look. → weather(city="Paris")',
        "    9  tool        1 ms  weather  Paris: 21 °C, “sunny”",
        "       6 other records: --view events",
    ]


def test_the_transcript_is_json_with_status_usage_and_doubts(run: Any) -> None:
    _, out, _ = run("show", LOG, "--json")
    told = json.loads(out)
    assert (told["schema"], told["view"]) == ("tinyagent.show/1", "transcript")
    assert (told["status"], told["in_doubt"], told["damage"]) == ("answered", [], None)
    assert told["usage"]["total_tokens"] == 36
    assert told["lines"][:2] == [
        {"seq": 2, "until": 2, "label": "user", "text": "Weather in Paris?"},
        {
            "seq": 3,
            "until": 6,
            "label": "model #1",
            "took_s": 0.003,
            "text": 'I look. → weather(city="Paris")',
            "input": 10,
            "output": 4,
        },
    ]


def test_records_of_one_kind_and_lines_that_match(run: Any) -> None:
    code, out, _ = run("show", LOG, "--only", "tool.finished")
    assert (code, len(out.splitlines())) == (0, 1)
    assert '{"call_id":"call_p","content":"Paris: 21 °C, “sunny”"' in out
    _, out, _ = run("show", LOG, "--grep", "Th.nks")
    assert out == "   16  user      Thanks.\n"
    _, out, _ = run("show", f"{LOG}:3", "--view", "events", "--json")
    records = json.loads(out)["records"]
    assert [record["seq"] for record in records] == [1, 2, 3]
    assert records[2]["event"] == {"n": 1}


def test_the_request_of_a_record_is_shown_and_is_json_to_the_byte(run: Any) -> None:
    code, out, _ = run("show", f"{LOG}:13", "--view", "context")
    assert (code, out.splitlines()[1]) == (0, "  digest f1ab3f935eddb03e, as recorded")
    _, out, _ = run("show", f"{LOG}:13", "--view", "context", "--json")
    request = json.loads(out)["request"]
    assert (request["seq"], request["before"], request["is_verified"]) == (11, 3, True)
    assert json.loads(request["body"])["messages"][3]["role"] == "tool"
    assert [part["path"] for part in request["added"]] == ["messages[2]", "messages[3]"]


def test_the_state_after_a_record_is_shown(run: Any) -> None:
    code, out, _ = run("show", f"{LOG}:8", "--view", "state")
    lines = out.splitlines()
    assert (code, lines[0]) == (0, "after record 8")
    assert "  agent     phase  acting" in lines
    assert "  settings  system  Be brief." in lines
    assert "  open      7 tool.requested call_p" in lines
    _, out, _ = run("show", LOG, "--view", "state", "--json")
    told = json.loads(out)
    assert (told["record"], told["state"]["agent"]["phase"]) == (21, "idle")


def test_a_decision_a_doubt_or_a_loss_is_never_folded(run: Any, tmp_path: Path) -> None:
    odd: list[k.Event] = [
        k.ApprovalRequested("c", "00"),
        k.LogLost(4, 4, 9),
        k.UnknownEvent("moon.risen", 9, b"{}"),
    ]
    path = written(tmp_path / "odd.jsonl", k.SessionStarted(), k.UserSaid("x"), *odd)
    _, out, _ = run("show", str(path))
    assert out.splitlines()[2:] == [
        '    3  note      approval.requested {"call_id":"c","args":"00"}',
        '    4  note      log.lost {"first":4,"last":4,"bytes":9}',
        "       2 other records: --view events",
        "! 5 records usable; records 4 to 4 are lost, it was repaired",
    ]


def written(path: Path, *events: k.Event, log_id: str = "ab" * 16, name: str | None = None) -> Path:
    """Write a packed log of *events*."""
    log = MemoryLog(meta=LogMeta(log=log_id, name=name))
    for r in made_of(*events).records:
        log.append(r.seq, r.at_ns // 1000, None, r.event.kind, 1, r.cause, encode(r.event))
    write_packed(log, path)
    return path


@pytest.mark.parametrize(
    "argv",
    [
        ["show"],
        ["show", "--view", "events"],
        ["show", "--view", "context"],
        ["show", "--view", "state"],
        ["show", "--json"],
        ["show", "--view", "events", "--json"],
        ["show", "--view", "context", "--json"],
        ["show", "--view", "state", "--json"],
        ["why"],
        ["why", "--impact"],
        ["why", "--json"],
        ["diff"],
        ["diff", "--json"],
        ["diff", "--state"],
        ["verify"],
        ["replay"],
        ["replay", "--loose"],
        ["replay", "--json"],
        ["show", "--view", "timeline"],
        ["show", "--view", "timeline", "--json"],
        ["tail"],
        ["tail", "--jsonl"],
        ["tail", "--json"],
        ["stats", "--by", "tool"],
        ["stats", "--by", "tool", "--json"],
        ["stats", "--by", "model", "--format", "prom"],
    ],
)
def test_nothing_that_a_log_says_reaches_the_terminal_as_a_command(
    run: Any, tmp_path: Path, argv: list[str]
) -> None:
    events: list[k.Event] = [
        k.SessionStarted(
            model={"api": "openai-completions", "id": HOSTILE, "provider": HOSTILE},
            system=HOSTILE,
            tools=[k.ToolSpec(HOSTILE, HOSTILE, {HOSTILE: HOSTILE})],
        ),
        k.UserSaid(HOSTILE),
        k.ModelRequested(1),
        k.ModelDelta([(0, "call", {"id": HOSTILE, "name": HOSTILE}, 0), (0, "args", HOSTILE, 0)]),
        k.ModelFinished("tools", [k.CallRef(HOSTILE, HOSTILE)]),
        k.ToolRequested(HOSTILE, HOSTILE + "?" * (argv[0] == "replay")),  # not what is decided
        k.ToolFailed(HOSTILE, k.Failure("host", HOSTILE)),
    ]
    path = written(tmp_path / "hostile.jsonl", *events, name=HOSTILE)
    seq = {"--impact": 2, "tail": 0}.get(argv[-1], 7) if argv[0] != "tail" else 0
    place = str(path) if argv[0] in ("verify", "stats") else f"{path}:{seq}"
    code, out, err = run(argv[0], place, *argv[1:])
    assert code == (1 if argv[0] in ("diff", "replay") else 0), err
    assert out
    assert not set("\x1b\x07\u202e\u200b\u0085\x7f\r\U000e0041") & set(out + err)
    if "--json" not in argv and "--jsonl" not in argv:
        assert run(argv[0], place, *argv[1:], "--color", "always")[1].count("\x1b[2J") == 0


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of logs: two whose ids begin alike, one packed."""
    said = k.SessionStarted(), k.UserSaid("hi")
    (tmp_path / "a").mkdir()
    written(tmp_path / "a" / "00000001.jsonl", *said, log_id="ab" + "0" * 30, name="trip")
    (tmp_path / "b").mkdir()
    written(tmp_path / "b" / "00000001.jsonl", *said, log_id="ac" + "0" * 30, name="twin")
    written(tmp_path / "c.jsonl", *said, log_id="cd" + "0" * 30, name="twin")
    (tmp_path / "note.jsonl").write_text("no log\n")
    monkeypatch.setenv("TINYAGENT_LOG_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("ref", "path"),
    [
        ("a", "a"),
        ("ab", "a"),
        ("AB0", "a"),
        ("@trip", "a"),
        ("cd", "c.jsonl"),
        ("c.jsonl", "c.jsonl"),
    ],
)
def test_a_log_is_named_by_path_prefix_or_name(run: Any, runs: Path, ref: str, path: str) -> None:
    for named in (ref, f"{ref}:2"):
        code, out, err = run("show", named, "--json")
        assert (code, json.loads(out)["where"], err) == (0, str(runs / path), "")


@pytest.mark.parametrize("ref", ["@twin", "@twin:2"])
def test_a_name_of_two_logs_is_told_with_both(run: Any, runs: Path, ref: str) -> None:
    code, _, err = run("show", ref)
    assert code == 2
    assert err == f"RefError: @twin: which one? {runs / 'b'}, {runs / 'c.jsonl'}\n"


def test_the_folder_of_logs_can_be_given(run: Any, runs: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv("TINYAGENT_LOG_DIR")
    assert run("show", "@trip")[0] == 3
    assert run("show", "@trip", "--dir", str(runs))[0] == 0


def test_a_path_that_ends_like_a_record_number_is_a_path(run: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "odd:2", k.SessionStarted(), k.UserSaid("hi"), k.UserContinued())
    _, out, _ = run("show", str(path), "--view", "events")
    assert len(out.splitlines()) == 3
    _, out, _ = run("show", f"{path}:1", "--view", "events")
    assert len(out.splitlines()) == 1


def test_a_log_comes_through_standard_input(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog(meta=LogMeta(log="ab" * 16))
    log.append(1, 1, None, "session.started", 1, 0, b"{}")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(pack(log))))
    code, out, _ = run("show", "-", "--view", "events")
    assert (code, out) == (0, "    1  session.started      ← 0     {}\n")


def test_only_and_another_view_do_not_go_together(run: Any) -> None:
    code, _, err = run("show", LOG, "--view", "state", "--only", "user.said")
    assert (code, err) == (2, "RefError: --only picks records: leave out --view state\n")


def test_a_kind_that_nobody_knows_is_told_with_the_nearest(run: Any) -> None:
    code, out, err = run("show", LOG, "--only", "tool.finish")
    assert (code, out) == (2, "")
    assert err.endswith("no such kind of record; did you mean tool.finished?\n")
    assert run("show", LOG, "--only", "tool.in_doubt")[:2] == (0, "")


def test_a_pattern_that_is_none_is_told(run: Any) -> None:
    code, out, err = run("show", LOG, "--grep", "(")
    assert (code, out) == (2, "")
    assert err.startswith("RefError: --grep (: ")


def test_a_pipe_that_is_closed_ends_quietly(tmp_path: Path) -> None:
    path = written(tmp_path / "long.jsonl", *[k.UserSaid("word " * 3000)] * 11)
    program = "from tinyagent.cli import main; raise SystemExit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", program, "show", str(path), "--view", "events"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as shown:
        assert shown.stdout is not None
        assert shown.stderr is not None
        shown.stdout.read(10)
        shown.stdout.close()
        assert shown.stderr.read() == b""
        assert shown.wait(30) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of POSIX")
@pytest.mark.parametrize("view", ["transcript", "events", "timeline", "context", "state"])
def test_lines_are_cut_on_a_terminal_and_whole_in_a_pipe(view: str) -> None:
    program = "from tinyagent.cli import main; raise SystemExit(main())"
    argv = [sys.executable, "-c", program, "show", f"{LOG}:9", "--view", view]
    piped = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    master, terminal = os.openpty()
    env = {**os.environ, "COLUMNS": "40", "NO_COLOR": "1", "TINYAGENT_PAGER": ""}
    subprocess.run(argv, stdout=terminal, env=env, check=True)
    os.close(terminal)
    shown = os.read(master, 100_000).decode().splitlines()
    os.close(master)
    assert max(map(len, shown)) == 40
    assert len(shown) == len(piped)
    assert max(map(len, piped)) > 60


def test_our_own_bug_has_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdin", None)  # reading it is an AttributeError
    assert main(["show", "-"]) == 70
    assert "AttributeError" in capsys.readouterr().err
