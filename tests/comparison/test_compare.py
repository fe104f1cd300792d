"""What docs/comparison.md says of this library is what `make compare` finds today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "comparison.md"


def ours(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| tinyagent")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_our_rows_of_the_comparison_are_what_it_finds_today() -> None:
    compare = (sys.executable, str(HERE / "compare.py"), "--only", "tinyagent")
    done = subprocess.run(compare, capture_output=True, text=True, timeout=280, check=True)
    *crashes, storage, flipped, cut = ours(done.stdout)
    assert [*crashes, flipped, cut] == [
        ["tinyagent, before its effect", "0", "1 + 0", "outcome paused; in doubt send_invoice"],
        ["tinyagent, after its effect", "1", "1 + 0", "outcome paused; in doubt send_invoice"],
        ["tinyagent, one bit of a tool's result flipped", "CorruptLogError", "199", "49"],
        ["tinyagent, the last 100 bytes of its file missing", "CorruptLogError", "200", "50"],
    ]
    assert float(storage[-1]) < 1.4
    *told, told_storage, told_flipped, told_cut = ours(PAGE.read_text(encoding="utf-8"))
    assert [*told, told_flipped, told_cut] == [*crashes, flipped, cut]
    assert float(told_storage[-1]) < 1.4
