"""``tinyagent export`` and ``import``: what is written, where, and what is told of it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.schemas import faults
from tests.cli.test_show import HOSTILE, written
from tests.recordings import REPLAYS

from tinyagent import load
from tinyagent.events import kinds as k
from tinyagent.interchange import EXPORTERS
from tinyagent.runtime.log import write_packed
from tinyagent.runtime.stores.memory import MemoryLog

Run = Callable[..., tuple[int, str, str]]
LOG = str(REPLAYS / "one-tool.jsonl")
PI = str(Path(__file__).parents[1] / "interchange" / "pi.jsonl")
SIGNS = {
    "html": b"<!doctype html>",
    "md": b"#",
    "jsonl": b'{"tinyagent_log":1',
    "atif": b"{",
    "pi": b'{"type":"session"',
    "openai-chat": b'{"messages":',
    "sharegpt": b'{"',
    "otel": b'{"resourcespans":',
}


def test_there_is_a_sign_for_each_format() -> None:
    assert set(SIGNS) == set(EXPORTERS)


@pytest.mark.parametrize("form", EXPORTERS)
def test_each_format_is_written_into_a_file_and_told(run: Run, tmp_path: Path, form: str) -> None:
    to = tmp_path / "new" / "out"
    code, out, err = run("export", LOG, "--to", form, "-o", str(to))
    assert (code, err) == (0, "")
    assert to.read_bytes().lower().startswith(SIGNS[form])
    first = out.splitlines()[0]
    assert first.startswith(f"{to}  ")
    assert first.endswith(" KB, 21 records")
    assert ("Holds the full conversation" in out) == (form != "otel")
    code, out, _ = run("export", LOG, "--to", form, "-o", str(to), "--json")
    told = json.loads(out)
    assert (code, told["format"], told["bytes"]) == (0, form, to.stat().st_size)
    assert faults(told, json.loads(run("schema", "export")[1])) == []


def test_a_pipe_gets_the_bytes(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tinyagent", "export", LOG, "--to", "jsonl"]
    done = subprocess.run(argv, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (Path(LOG).read_bytes(), b"")


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of POSIX")
def test_a_terminal_is_shown_what_a_pipe_is_sent(tmp_path: Path) -> None:
    path = written(
        tmp_path / "hostile.jsonl", k.SessionStarted(), k.UserSaid(HOSTILE), name=HOSTILE
    )
    master, terminal = os.openpty()
    argv = [sys.executable, "-m", "tinyagent", "export", str(path), "--to", "jsonl"]
    env = {**os.environ, "PAGER": "cat", "NO_COLOR": "1", "COLUMNS": "999"}
    subprocess.run(argv, stdout=terminal, env=env, check=True)
    os.close(terminal)
    shown = os.read(master, 100_000).decode()
    os.close(master)
    assert "tinyagent_log" in shown
    assert not set("\x1b\x07\u202e\u200b\u0085\x7f\U000e0041") & set(shown)


def test_what_a_format_cannot_hold_and_what_was_masked_are_told(run: Run, tmp_path: Path) -> None:
    said = k.UserSaid("my key is «secret:openai:1», and «secret:openai:1» again")
    path = written(tmp_path / "log.jsonl", k.SessionStarted(), said)
    _, out, _ = run("export", str(path), "--to", "md", "-o", str(tmp_path / "out.md"))
    assert out.splitlines()[0].endswith("2 records, 2 values masked when recorded")
    here = ("-o", str(tmp_path / "out.json"), "--dir", str(tmp_path))
    _, out, _ = run("export", "@demo", "--to", "sharegpt", *here)
    assert "  not in it, for the format cannot hold it: 2 text beside calls" in out.splitlines()


def test_large_values_go_beside_the_file(run: Run, tmp_path: Path) -> None:
    log = MemoryLog(log_id="ab" * 16)
    log.append(1, 1, None, "session.started", 1, 0, b"{}")
    log.append(2, 2, None, "user.said", 1, 0, b'{"content":"%s","at_ms":1}' % (b"x" * 300_000))
    write_packed(log, tmp_path / "log.jsonl")
    code, out, err = run("export", str(tmp_path / "log.jsonl"), "--to", "jsonl")
    assert (code, out) == (2, "")
    assert "large values (1) go beside it: say -o FILE" in err
    to = tmp_path / "out" / "copy.jsonl"
    code, out, _ = run("export", str(tmp_path / "log.jsonl"), "--to", "jsonl", "-o", str(to))
    assert (code, ", 1 large value beside it" in out) == (0, True)
    assert [r.payload for r in load(to).records] == [
        r.payload for r in load(tmp_path / "log.jsonl").records
    ]


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (["export", LOG], 2, "--to"),
        (["export", LOG, "--to", "docx"], 2, "--to docx: formats are atif, html, jsonl"),
        (["export", LOG, "--to", "pi", "-o", "/"], 3, "IsADirectoryError: /: Is a directory"),
        (["replay", LOG, "--junit", "no/where.xml"], 3, "no/where.xml: No such file"),
        (["export", LOG, "--to", "pi", "--failed"], 2, "--to pi takes no --failed"),
        (["export", LOG, "--to", "md", "--json"], 2, "say -o FILE"),
        (["export", "nowhere", "--to", "md"], 3, "LogNotFoundError"),
        (["import"], 2, "import what?"),
        (["import", "nowhere.jsonl"], 3, "nowhere.jsonl: No such file"),
        (["import", PI, "--from", "docx"], 2, "docx"),
        (["import", PI, PI, "--into", "x"], 2, "--into is for one file"),
        (["import", __file__], 3, "ForeignFormatError"),
    ],
)
def test_wrong_use_is_told(run: Run, tmp_path: Path, argv: list[str], code: int, told: str) -> None:
    found, out, err = run(*argv, "--dir", str(tmp_path))
    assert (found, out, told in err) == (code, "", True), err
    assert list(tmp_path.iterdir()) == []


def test_options_of_formats_reach_them(run: Run, tmp_path: Path) -> None:
    to = tmp_path / "page.html"
    run("export", LOG, "--to", "html", "-o", str(to))
    assert "Weather in Paris?" in to.read_text()
    _, out, _ = run("export", LOG, "--to", "html", "--no-content", "-o", str(to))
    assert "Weather in Paris?" not in to.read_text()
    assert "Holds the full conversation" not in out


def test_sessions_of_others_become_logs_that_are_known_to_be_imported(
    run: Run, tmp_path: Path
) -> None:
    code, out, err = run("import", PI, "--dir", str(tmp_path))
    assert (code, err) == (0, "")
    log = load(tmp_path / "pi")
    assert out.splitlines()[:2] == [
        f"{log.meta.log[:6]}  from pi, {len(log.records)} records, 4 not understood and kept; "
        f"in {tmp_path / 'pi'}. Show, diff, export, fork: yes. Replay: no.",
        f"        a branch of it: {tmp_path / 'pi-2'}",
    ]
    assert "        1 × teleport" in out.splitlines()
    assert run("show", str(tmp_path / "pi"))[0] == 0
    code, _, err = run("replay", str(tmp_path / "pi"))
    assert (code, "RefusedError" in err, "imported" in err) == (4, True, True)
    code, out, _ = run("import", PI, "--dir", str(tmp_path), "--json")
    [told] = json.loads(out)["logs"]
    assert (told["where"], told["replays"]) == (str(tmp_path / "pi-3"), False)
    assert told["foreign"]["teleport"] == 1
    assert faults(json.loads(out), json.loads(run("schema", "import")[1])) == []


def test_our_own_log_comes_back_through_a_pipe_and_replays(
    run: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(LOG).read_bytes())))
    code, out, _ = run("import", "-", "--into", str(tmp_path / "back"))
    assert (code, out.endswith("Replay: yes.\n")) == (0, True)
    assert run("replay", str(tmp_path / "back"))[0] == 0
    assert run("diff", LOG, str(tmp_path / "back"))[0] == 0


def test_a_hostile_session_is_imported_and_shown(run: Run, tmp_path: Path) -> None:
    lines = Path(PI).read_text().replace("teleport", json.dumps(HOSTILE)[1:-1])
    (tmp_path / "evil.jsonl").write_text(lines)
    code, out, err = run("import", str(tmp_path / "evil.jsonl"), "--dir", str(tmp_path / "runs"))
    assert (code, err) == (0, "")
    assert "\\u202e" in out
    assert not set("\x1b\x07\u202e\u200b\u0085\x7f\r\U000e0041") & set(out)
