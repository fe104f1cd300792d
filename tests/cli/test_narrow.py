"""A narrow terminal: tables are cut, what says what to do next is whole, a chain is wrapped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.recordings import REPLAYS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a terminal of POSIX")
LOG = str(REPLAYS / "one-tool.jsonl")


def shown(columns: int, *argv: str) -> list[str]:
    """Return what a terminal of *columns* is sent."""
    master, terminal = os.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1", "TINYAGENT_PAGER": ""}
    command = [sys.executable, "-m", "tinyagent", *argv]
    subprocess.run(command, stdout=terminal, env=env, check=False, timeout=60)
    os.close(terminal)
    text = os.read(master, 100_000).decode()
    os.close(master)
    return text.splitlines()


def test_a_chain_of_causes_is_wrapped_and_nothing_of_it_is_cut() -> None:
    narrow, wide = shown(40, "why", f"{LOG}:11"), shown(200, "why", f"{LOG}:11")
    assert max(map(len, narrow)) <= 40
    assert len(narrow) > len(wide)
    assert "".join(narrow) == "".join(wide)


@pytest.mark.parametrize(
    ("argv", "end"),
    [
        (["doctor", "--dir", "{open}"], "chmod 700 {open}"),
        (["verify", "{torn}"], "opening to append sets it aside"),
        (["replay", LOG, "--app", "tinyagent.demo:build"], "--app tinyagent.demo:build --run"),
        (["export", LOG, "--to", "md", "-o", "{open}/x.md"], "guard it like the log."),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else "",
)
def test_what_to_do_next_is_never_cut(argv: list[str], end: str, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "torn").mkdir()
    whole = Path(LOG).read_bytes().splitlines(keepends=True)
    torn = tmp_path / "torn" / "00000001.jsonl"
    torn.write_bytes(b"".join([*whole[:4], whole[4][:20]]))
    places = {"open": str(tmp_path / "open"), "torn": str(tmp_path / "torn")}
    lines = shown(40, *(word.format_map(places) for word in argv))
    assert any(line.endswith(end.format_map(places)) for line in lines), lines
    assert max(map(len, lines)) > 40
