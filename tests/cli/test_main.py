"""``tinyagent`` itself: what it imports, what it says without its extra, colours, help, usage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.recordings import REPLAYS

from tinyagent.cli import COMMANDS, EXTRA

Run = Callable[..., tuple[int, str, str]]
LOG = str(REPLAYS / "one-tool.jsonl")
MAIN = "import sys; from tinyagent.cli import main; code = main(sys.argv[1:]); "
ENDED = "raise SystemExit(code)"


def program(before: str, after: str, *argv: str, **environment: str) -> tuple[int, str, str]:
    """Run the command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"{before}; {MAIN}{after}", *argv],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout, done.stderr


def test_the_version_is_told_before_anything_is_imported() -> None:
    heavy = "[name for name in ('cyclopts', 'rich', 'msgspec', 'httpx') if name in sys.modules]"
    code, out, err = program("pass", f"print({heavy}); {ENDED}", "--version")
    assert (code, out, err) == (0, "tinyagent 0.1.0\n[]\n", "")


def test_a_command_is_imported_when_it_is_used_and_no_other() -> None:
    loaded = "[name for name in sys.modules if name.startswith(('tinyagent.cli.', 'rich.'))]"
    _, out, _ = program("pass", f"print(*sorted({loaded})); {ENDED}", "--help")
    assert "tinyagent.cli.show" not in out.splitlines()[-1].split()
    _, out, _ = program("pass", f"print(*sorted({loaded})); {ENDED}", "why", f"{LOG}:2")
    assert "rich.console" not in out.splitlines()[-1].split()
    used = set(out.splitlines()[-1].split()) & {f"tinyagent.cli.{name}" for name in COMMANDS}
    assert used == {"tinyagent.cli.why"}


@pytest.mark.parametrize(
    ("missing", "argv"),
    [*((name, ["show", LOG]) for name in EXTRA), ("rich", ["--help"]), ("cyclopts", ["demo"])],
)
def test_without_the_extra_one_line_names_it(missing: str, argv: list[str]) -> None:
    code, out, err = program(f"import sys; sys.modules[{missing!r}] = None", ENDED, *argv)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(
        "MissingExtraError: the command line needs the extra `cli`: pip install '"
    )
    assert "[cli]'" in err


def test_without_the_extension_one_line_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "_alchemy.abi3.so").write_bytes(b"of another platform")
    absent = "import sys; sys.modules['tinyagent._alchemy'] = None"
    damaged = f"import tinyagent; tinyagent.__path__.insert(0, {str(tmp_path)!r})"
    for before in (absent, damaged):
        code, out, err = program(before, ENDED, "show", LOG)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("ImportError: the extension cannot be loaded: ")
        assert err.endswith("install the package again, for this Python and platform\n")
        code, out, err = program(before, ENDED, "doctor", "--dir", str(REPLAYS))
        assert (code, err) == (1, "")
        assert "! extension" in out


def test_help_lists_every_command_with_its_line(run: Run) -> None:
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for name, what in COMMANDS.items():
        assert f" {name} " in out
        assert what.split()[0] in out
    assert "REF: a log's folder" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_of_its_own(run: Run, command: str) -> None:
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: tinyagent {command}")
    assert "--json" in out
    assert "--no-json" not in out


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["shwo"], "no command 'shwo'; did you mean show?"),
        (["run"], "no command 'run'"),
        (["show", LOG, LOG], "Unused Tokens"),
        (["show", LOG, "--view", "moon"], 'Invalid value "moon" for --view'),
        (["show", "--grap", "x"], "unknown option --grap; did you mean --grep?"),
        (["why"], "REF:N"),
        (["repair", LOG], "-o"),
    ],
)
def test_wrong_use_is_told_as_text_and_as_json(run: Run, argv: list[str], told: str) -> None:
    code, out, err = run(*argv)
    assert (code, out, told in err) == (2, "", True), err
    assert "Traceback" not in err
    code, out, err = run(*argv, "--json")
    document = json.loads(err)
    assert (code, out, document["schema"]) == (2, "", "tinyagent.error/1")
    assert told in document["message"]


def test_what_is_typed_wrong_is_shown_and_not_sent(run: Run) -> None:
    for argv in (["\x1b[2J"], ["show", "\x1b[2J"], ["show", LOG, "--view", "\x1b[2J"]):
        _, out, err = run(*argv)
        assert "\x1b" not in out + err
        assert "1b[2J" in err


COLORED = "\x1b[1mone-tool\x1b[0m"


@pytest.mark.parametrize(
    ("argv", "environment", "is_colored"),
    [
        ([], {}, False),
        ([], {"FORCE_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "always"], {"TERM": "dumb"}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
    ],
)
def test_a_pipe_is_colored_only_if_somebody_says_so(
    run: Run, monkeypatch: Any, argv: list[str], environment: dict[str, str], is_colored: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    _, out, _ = run("show", LOG, *argv)
    assert (COLORED in out, "\x1b" in out) == (is_colored, is_colored)


posix = pytest.mark.skipif(sys.platform == "win32", reason="a terminal of POSIX")


def on_a_terminal(*argv: str, **environment: str) -> str:
    """Run the command line on a terminal of 24 lines and return what it wrote there."""
    master, terminal = os.openpty()
    cleared = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    env = {**cleared, "TERM": "xterm", "COLUMNS": "100", "PAGER": "cat", **environment}
    command = [sys.executable, "-m", "tinyagent", *argv]
    subprocess.run(command, stdout=terminal, env=env, check=False)
    os.close(terminal)
    try:
        return os.read(master, 1_000_000).decode()
    except OSError:  # nothing was written
        return ""
    finally:
        os.close(master)


@posix
@pytest.mark.parametrize(
    ("environment", "is_colored"),
    [({}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)],
)
def test_a_terminal_is_colored_unless_somebody_says_no(
    environment: dict[str, str], is_colored: bool
) -> None:
    written = on_a_terminal("show", LOG, **environment)
    assert "one-tool" in written
    assert (COLORED in written, "\x1b" in written) == (is_colored, is_colored)


@posix
def test_a_terminal_has_a_pager_and_a_pipe_has_none(run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\ncat > {kept}\n")
    pager.chmod(0o755)
    assert on_a_terminal("show", LOG, TINYAGENT_PAGER=str(pager), NO_COLOR="1") == ""
    assert kept.read_text().startswith("one-tool · ")
    kept.unlink()
    for argv in (["show", LOG, "--no-pager"], ["why", f"{LOG}:2"]):
        assert on_a_terminal(*argv, TINYAGENT_PAGER=str(pager)) != ""
    assert run("show", LOG)[0] == 0
    assert not kept.exists()


@posix
def test_a_pager_that_ends_early_or_is_none_does_no_harm() -> None:
    assert on_a_terminal("show", LOG, TINYAGENT_PAGER="true") == ""
    assert "one-tool" in on_a_terminal("show", LOG, TINYAGENT_PAGER="no-such-pager-anywhere")


@posix
def test_wide_characters_are_cut_by_cells(tmp_path: Path) -> None:
    written = on_a_terminal("show", LOG, NO_COLOR="1", COLUMNS="30").splitlines()
    assert max(map(len, written)) == 30
    plain = on_a_terminal("show", str(REPLAYS / "plain-text.jsonl"), NO_COLOR="1", COLUMNS="66")
    [line] = [line for line in plain.splitlines() if "model #1" in line]
    assert line.endswith("Köln 🙂, …")
