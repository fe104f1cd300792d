"""Both type checkers accept the programs of ``api.py``, and reject what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = [Path(__file__).parent / name for name in ("api.py", "modern.py")]
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
WRONG_MODERN = """
from typing import assert_never

from tinyagent import Agent, Ctx, Event, ModelDelta, RunEnded, UnknownEvent, tool


def word(event: Event) -> str:
    match event:
        case ModelDelta() | RunEnded() | UnknownEvent():
            return event.kind
        case _:
            assert_never(event)


@tool(effect="reading")
async def forecast(ctx: Ctx[int], city: str) -> str:
    return city + ctx.deps


@tool
def look(where: str) -> str:
    return where


look(5)
Agent(tools=[word])
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
@pytest.mark.parametrize("source", PROGRAMS, ids=lambda path: path.stem)
def test_the_programs_are_accepted(checker: str, source: Path, tmp_path: Path) -> None:
    program = tmp_path / source.name
    program.write_text(source.read_text())
    done = check(checker, program)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_match_that_leaves_an_event_out_and_wrong_arguments_are_rejected(
    checker: str, tmp_path: Path
) -> None:
    assert rejected(checker, WRONG, tmp_path) >= {12, 15, 16}


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_match_that_leaves_a_kind_out_and_tools_used_wrongly_are_rejected(
    checker: str, tmp_path: Path
) -> None:
    assert rejected(checker, WRONG_MODERN, tmp_path) >= {12, 15, 17, 25, 26}


@pytest.mark.parametrize("checker", CHECKERS)
def test_one_kind_left_out_is_rejected(checker: str, tmp_path: Path) -> None:
    program = PROGRAMS[1].read_text()
    assert program.count(" | BudgetExceeded():") == 1
    never = next(
        number
        for number, line in enumerate(program.splitlines(), 1)
        if "assert_never(event)" in line
    )
    assert rejected(checker, program.replace(" | BudgetExceeded():", ":"), tmp_path) >= {never}


def rejected(checker: str, text: str, tmp_path: Path) -> set[int]:
    """Return the lines of a program that *checker* complains about."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text(text)
    done = check(checker, wrong)
    assert done.returncode == 1, done.stdout
    return {int(line.split(":")[1]) for line in done.stdout.splitlines() if "wrong.py:" in line}
