"""Queues of an agent: their modes, what takes them back, how long they live."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.traces import MODEL, said, script, text

from tinyagent import Agent, AgentOptions, AgentState, ThinkingLevel, load
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import scripted


def make(*answers: str) -> Agent:
    state = AgentState(model=MODEL)
    given = [text(answer) for answer in answers]
    return Agent(AgentOptions(initial_state=state, stream_fn=script(*given)))


@pytest.mark.parametrize(
    ("mode", "kept"), [("all", "all"), ("one-at-a-time", "one-at-a-time"), ("", "one-at-a-time")]
)
def test_modes_are_kept_and_a_falsy_one_is_the_default(mode: str, kept: str) -> None:
    agent = make()
    agent.set_steering_mode(mode)
    agent.set_follow_up_mode(mode)
    assert (agent.get_steering_mode(), agent.get_follow_up_mode()) == (kept, kept)


async def test_a_mode_set_later_counts_from_the_next_run_on() -> None:
    agent = make("One.", "Two.")
    agent.set_steering_mode("all")
    agent.steer("a")
    agent.steer("b")
    await agent.prompt("hi")
    assert [said(m) for m in agent.state.messages] == ["hi", "a", "b", "One."]


@pytest.mark.parametrize("cleared", ["steering", "follow_up", "all"])
async def test_what_was_queued_can_be_taken_back_before_and_after_it_was_recorded(
    cleared: str,
) -> None:
    agent = make("One.", "Two.", "Three.")
    clear: dict[str, Any] = {
        "steering": agent.clear_steering_queue,
        "follow_up": agent.clear_follow_up_queue,
        "all": agent.clear_all_queues,
    }
    agent.steer("s")
    agent.follow_up("f")
    clear[cleared]()
    await agent.prompt("hi")
    texts = [said(m) for m in agent.state.messages]
    assert ("s" in texts) == (cleared == "follow_up")
    assert ("f" in texts) == (cleared == "steering")


async def test_the_run_in_progress_keeps_its_prompt_and_level() -> None:
    agent = make("One.", "Two.")
    agent.follow_up("more")

    def change(event: Any) -> None:
        agent.set_system_prompt("later")
        agent.set_thinking_level(ThinkingLevel.HIGH)

    agent.subscribe(change)
    await agent.prompt("hi")
    kinds = [stored.kind for stored in agent.log.read()]
    assert kinds.count("model.requested") == 2
    assert "config.changed" not in kinds


class _Late(MemoryLog):
    """Calls *late*, once, when the end of a run is on record and the run still closes."""

    def __init__(self, late: Callable[[], object]) -> None:
        super().__init__()
        self._late = [late]

    def append(
        self, seq: int, ts_us: int, actor: str | None, kind: str, v: int, cause: int, payload: bytes
    ) -> None:
        super().append(seq, ts_us, actor, kind, v, cause, payload)
        if kind == "run.ended" and self._late:
            asyncio.get_running_loop().call_soon(self._late.pop())


async def test_what_is_steered_while_the_run_closes_waits_for_the_next_one() -> None:
    log = _Late(lambda: agent.steer("Wait!"))
    agent = Agent(model=scripted("One.", "Two."), log=log)
    await agent.run("Go.")
    await agent.run("Again.")
    kinds = [record.kind for record in log.read()]
    assert (
        kinds.index("run.ended") < kinds.index("user.delivered") < kinds.index("model.requested", 9)
    )
    assert load(log).replay().ok
