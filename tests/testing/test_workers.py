"""The plugin beside pytest-xdist, whose workers print nothing themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import needed
from tests.outside import Project

SESSIONS = """\
import os
import pytest
from tinyagent import Agent
from tinyagent.testing import scripted

@pytest.mark.replay
@pytest.mark.parametrize("number", range(6))
async def test_one(recorded, number):
    await Agent(model=scripted("One.", "Two."), log=recorded).run(f"Say {number}.")

async def test_other(agent_log):
    await Agent(model=scripted("One."), log=agent_log).run("Say it.")
    assert 0
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    needed.workers()
    made = Project(tmp_path)
    made.write("tests/test_it.py", SESSIONS)
    return made


def test_states_that_workers_made_anew_are_counted_together(project: Project) -> None:
    for workers in ((), ("-n", "2")):
        said = project.run("--ta-rebuild-every=1", "--ta-allow-live", *workers, passes=False)
        assert "--ta-rebuild-every=1: 14 states were made from their logs" in said


def test_workers_record_replay_and_keep_what_failed(project: Project) -> None:
    assert "6 passed" in project.run("-n", "2", "--ta-record=once", "--ta-keep=kept", passes=False)
    kept = sorted(path.name for path in (project.root / "tests/replays/test_it").iterdir())
    assert kept == [f"test_one-{number}.jsonl" for number in range(6)]
    assert [path.name for path in (project.root / "kept").iterdir()] == [
        "tests-test_it.py-test_other.jsonl"
    ]
    said = project.run("-n", "2", passes=False)
    assert "6 passed" in said
    assert "user      Say it.\nmodel     One.\nend       answered\n" in said
