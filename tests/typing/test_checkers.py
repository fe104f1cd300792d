"""Both type checkers accept the programs of ``api.py``, and reject what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

API = Path(__file__).parent / "api.py"
pytestmark = pytest.mark.slow

WRONG = """
from typing import assert_never

from tinyagent import Agent, AgentEndEvent, AgentEvent, AgentOptions, AgentStartEvent


def word(event: AgentEvent) -> str:
    match event:
        case AgentStartEvent() | AgentEndEvent():
            return event.type
        case _:
            assert_never(event)


Agent(AgentOptions(steering_mode=5))
Agent().prompt_text(5)
"""
CHECKERS = {
    "mypy": ["mypy", "--strict", "--no-error-summary"],
    "basedpyright": ["basedpyright", "--pythonpath", sys.executable],
}


def check(checker: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run *checker* on one file, away from the project's configuration."""
    (path.parent / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    return subprocess.run(
        [sys.executable, "-m", *CHECKERS[checker], str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=path.parent,
    )


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_programs_are_accepted(checker: str, tmp_path: Path) -> None:
    program = tmp_path / "api.py"
    program.write_text(API.read_text())
    done = check(checker, program)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_match_that_leaves_an_event_out_and_wrong_arguments_are_rejected(
    checker: str, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    done = check(checker, wrong)
    assert done.returncode == 1
    lines = {int(line.split(":")[1]) for line in done.stdout.splitlines() if "wrong.py:" in line}
    assert lines >= {12, 15, 16}, done.stdout
