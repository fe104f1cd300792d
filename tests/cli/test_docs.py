"""``docs/commands.md``: each command of it is run, and prints what is printed there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tinyagent.cli import COMMANDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"
pytestmark = [
    pytest.mark.skipif(not PAGE.is_file(), reason="docs/ is in the source tree only"),
    pytest.mark.skipif(sys.platform == "win32", reason="a terminal of POSIX"),
]
COLUMNS = 100


def session() -> list[tuple[str, str]]:
    """Return the commands of the page, each with what it prints there."""
    if not PAGE.is_file():
        return []
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = re.split(r"^\$ ", "".join(blocks), flags=re.MULTILINE)
    return [(told.partition("\n")[0], told.partition("\n")[2]) for told in lines[1:]]


@pytest.mark.parametrize(("command", "printed"), session(), ids=lambda text: text[:40])
def test_a_command_prints_what_the_page_says(command: str, printed: str, tmp_path: Path) -> None:
    name, *argv = shlex.split(command.partition("  #")[0])
    assert name == "tinyagent"
    master, terminal = os.openpty()
    env = {**os.environ, "COLUMNS": str(COLUMNS), "NO_COLOR": "1", "PAGER": "cat"}
    command_line = [sys.executable, "-m", "tinyagent", *argv]
    done = subprocess.run(command_line, stdout=terminal, env=env, cwd=tmp_path, check=False)
    os.close(terminal)
    shown = os.read(master, 1_000_000).decode().replace("\r\n", "\n")
    os.close(master)
    assert shown == printed
    assert done.returncode == (1 if "# exit 1" in command else 0)


def test_every_command_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"`tinyagent {name}" not in text] == []
