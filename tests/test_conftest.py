"""The suite's own promise: a session that does not replay fails the test that recorded it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests import needed

HERE = Path(__file__).parent
TESTS = """
import asyncio
import msgspec
import pytest
from tinyagent import Agent, AgentOptions, AgentState, AssistantMessage, TextContent
from tinyagent.agent_types import Model
from tinyagent.runtime.stores.memory import MemoryLog


class Lying(MemoryLog):
    def read(self, first=1, last=None):
        for stored in super().read(first, last):
            if stored.kind == "run.ended":
                payload = stored.payload.replace(b"answered", b"stopped")
                stored = msgspec.structs.replace(stored, payload=payload)
            yield stored


class Answer:
    def __aiter__(self):
        return self

    async def __anext__(self):
        raise StopAsyncIteration

    async def result(self):
        return AssistantMessage(content=[TextContent(text="Hi.")], stop_reason="stop")


async def stream(model, context, options):
    return Answer()


def run(log):
    state = AgentState(model=Model(provider="p", id="m", api="a"))
    asyncio.run(Agent(AgentOptions(initial_state=state, stream_fn=stream, log=log)).prompt("Hi"))


@pytest.mark.parametrize("number", [1, 2])
def test_true(number):
    run(MemoryLog())


def test_lying():
    run(Lying())


@pytest.mark.diverges
def test_lying_on_purpose():
    run(Lying())
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_test_whose_session_does_not_replay_fails_and_says_where(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    if workers:
        needed.workers()
    for name in ("conftest.py", "replay_all.py"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "test_them.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = diverges\n    replays_itself\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *workers, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "1 failed, 3 passed" in done.stdout
    assert "FAILED test_them.py::test_lying - Failed: a session of this test does" in done.stdout
    assert 'recorded  outcome  "stopped"' in done.stdout
    assert done.stdout.count("2 recorded sessions replayed") == 2
