"""Tests that the plugin runs more than once, in somebody else's project: schedules, crashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.outside import Project

from tinyagent import load

BILLS = """\
import asyncio
import pytest
from tinyagent import Agent, AgentOptions, AgentState, AgentTool
from tinyagent.testing import scripted

BILL = {"type": "object", "properties": {"cents": {"type": "integer"}}, "required": ["cents"]}

def build(*, log=None, clock=None, order=None):
    async def pay(call_id, arguments, signal, on_update):
        await asyncio.sleep(0)
        if order is not None:
            order.append(arguments["cents"])
        return "paid"

    tool = AgentTool(name="pay", parameters=BILL, execute=pay, effect="write")
    model = scripted([("pay", {"cents": 30}), ("pay", {"cents": 20})], "Done.")
    state = AgentState(model=model, tools=[tool])
    return Agent(AgentOptions(initial_state=state, log=log, clock=clock))
"""
IN_ORDER = """
@pytest.mark.explore(schedules=200)
async def test_in_order(sim):
    order = []
    await build(log=sim.log(), clock=sim.clock, order=order).run("Pay both.")
    assert order == [30, 20]
"""
COUNTED = """
seen = []

@pytest.mark.explore
async def test_counted(sim, agent_log):
    assert agent_log.seq == 0
    await build(log=agent_log, clock=sim.clock).run("Pay both.")
    seen.append(sim.clock.monotonic_s())

def test_the_count():
    print("schedules", len(seen))
"""
CRASHES = """
cuts = []

@pytest.mark.crash(points="all")
async def test_everywhere(crashed):
    run = await crashed(build, "Pay both.")
    assert run.outcome in ("answered", "paused")
    cuts.append(run.after)

@pytest.mark.crash(points=["tool.started", 3])
async def test_here_and_there(crashed):
    assert (await crashed(build, "Pay both.")).kind in ("tool.started", "model.requested")

def test_the_count():
    assert cuts == [*range(1, len(cuts) + 1)]
    assert len(cuts) > 15
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_scenario_that_fails_prints_the_line_that_repeats_it_and_its_tape_is_run_first(
    project: Project,
) -> None:
    project.write("tests/test_bills.py", BILLS + IN_ORDER)
    said = project.run("--ta-keep=kept", passes=False)
    shown = re.search(
        r"scenario +test_in_order +seed (\d+) .* shrunk from (\d+) choices to \d\b", said
    )
    again = re.search(r"reproduce  pytest (\S+) --ta-tape (r1:\w+)", said)
    assert shown is not None
    assert again is not None
    assert again[1] == "tests/test_bills.py::test_in_order"
    assert "E       assert [20, 30] == [30, 20]" in said
    assert "schedule   in order, except choice " in said
    kept = project.root / "kept/tests-test_bills.py-test_in_order.jsonl"
    assert load(kept).replay().ok
    seeds = (project.root / "tests/seeds/test_in_order.txt").read_text()
    assert seeds.splitlines()[1:] == [f"{again[2]}  AssertionError: assert [20, 30] == [30, 20]"]

    # The line as it was printed; then the tape that is on file, before any seed; then the seed.
    assert "1 failed" in project.run(again[1], "--ta-tape", again[2], passes=False)
    assert "strategy tape" in project.run(passes=False)
    assert f"seed {shown[1]} " in project.run(f"--ta-seed={shown[1]}", passes=False)
    assert (project.root / "tests/seeds/test_in_order.txt").read_text() == seeds


def test_a_tape_that_is_mended_passes_and_so_does_a_seed_in_order(project: Project) -> None:
    project.write("tests/seeds/test_in_order.txt", "# found once\nr1:aagqe\n")
    project.write(
        "tests/test_bills.py", BILLS + IN_ORDER.replace("order ==", "sorted(order)[::-1] ==")
    )
    assert "1 passed" in project.run()
    project.write("tests/test_bills.py", BILLS + IN_ORDER)
    assert "1 passed" in project.run("--ta-seed=0")
    assert "a tape begins with 'r1:'" in project.run("--ta-tape=x", passes=False)


def test_a_folder_that_takes_nothing_hides_no_failure(project: Project) -> None:
    project.write("tests/test_bills.py", BILLS + IN_ORDER)
    project.write("taken", "a file")
    folders = ("--ta-keep=taken", "--ta-html=taken", "-o", "tinyagent_seeds_dir=taken")
    said = project.run(*folders, passes=False)
    assert "1 failed" in said
    assert "E       assert [20, 30] == [30, 20]" in said
    assert re.search(r"reproduce  pytest \S+ --ta-tape r1:\w+", said)
    assert "the tape was not kept: " in said
    assert said.count("\nnot written: ") == 2


@pytest.mark.parametrize("plugin", ["asyncio_mode=auto", "asyncio_mode=strict", "none"])
def test_schedules_are_counted_under_any_plugin_for_asyncio(project: Project, plugin: str) -> None:
    project.write("tests/test_bills.py", BILLS + COUNTED)
    arguments = ("-o", plugin)
    if plugin == "none":
        project.write("pytest.ini", "[pytest]\n")
        arguments = ("-p", "no:asyncio")
    assert "schedules 12" in project.run(*arguments, "-s", "--ta-schedules=11")  # 0 is run twice


def test_a_session_is_cut_behind_every_record_or_behind_those_that_are_named(
    project: Project,
) -> None:
    project.write("tests/test_bills.py", BILLS + CRASHES)
    assert "3 passed" in project.run()
    project.write("tests/test_bills.py", BILLS + CRASHES.replace('("answered", "paused")', "[]"))
    said = project.run("--ta-html=pages", passes=False)
    assert "cut behind record 1: @pytest.mark.crash(points=[1])" in said
    assert [path.name for path in (project.root / "pages").iterdir()] == [
        "tests-test_bills.py-test_everywhere.html"
    ]


WRONG = """
@pytest.mark.crash
async def test_idle(crashed): ...

@pytest.mark.crash(points="tool.melted")
async def test_nowhere(crashed):
    await crashed(build, "Pay both.")

@pytest.mark.explore
def test_plain(sim): ...

@pytest.mark.explore
async def test_unseeded(): ...

@pytest.mark.explore(schedules=0)
async def test_unscheduled(sim): ...

@pytest.mark.explore(schedule=5)
async def test_misspelt(sim): ...

@pytest.mark.crash(points="all", point=3)
async def test_misspelt_too(crashed): ...

@pytest.mark.explore
@pytest.mark.crash
async def test_torn(sim, crashed): ...

@pytest.mark.explore
async def test_answered(sim, recorded): ...

async def test_unmarked(crashed):
    await crashed(build, "Pay both.")

def test_unmarked_too(sim): ...
"""


def test_a_marker_that_would_be_for_nothing_is_refused(project: Project) -> None:
    project.write("tests/test_bills.py", BILLS + WRONG)
    said = project.run(passes=False)
    assert "4 failed, 7 errors" in said
    assert "a crash test awaits what 'crashed' runs" in said
    assert "the session has no record that is one of 'tool.melted'" in said
    assert "of the kinds session.started, user.said, model.requested, model.delta, " in said
    assert "a test with the marker 'explore' is an async def" in said
    assert "a test marked 'explore' takes 'sim': build(log=sim.log(), clock=sim.clock)" in said
    assert "schedules is 1 or more, got 0" in said
    assert "@pytest.mark.explore takes schedules, strategy; not schedule" in said
    assert "@pytest.mark.crash takes points; not point" in said
    assert "a test is marked 'explore' or 'crash', not both" in said
    assert "marked 'explore' is run many times, 'recorded' is the log of one: build(log=" in said
    assert "a test that takes 'crashed' is marked @pytest.mark.crash" in said
    assert "a test that takes 'sim' is marked @pytest.mark.explore" in said
    assert "testing/plugin.py" not in said  # what is wrong, not who says so


@pytest.mark.parametrize("name", ["''", "3"])
def test_a_recording_has_a_name(project: Project, name: str) -> None:
    project.write(
        "tests/test_it.py",
        f"import pytest\n@pytest.mark.replay(name={name})\nasync def test_it(recorded): ...\n",
    )
    said = project.run(passes=False)
    assert f"replay(name=) is the name of a file without its ending, got {name}" in said


def test_a_kept_tape_that_is_none_is_named_with_its_file(project: Project) -> None:
    project.write("tests/test_bills.py", BILLS + IN_ORDER)
    path = project.write("tests/seeds/test_in_order.txt", "<<<<<<< HEAD\n")
    said = project.run(passes=False)
    assert f"test_in_order is not explored: {path}: a tape begins with 'r1:', got '<<<<<<<'" in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--ta-schedules=0", "--ta-schedules is 1 or more, got 0"),
        ("--ta-seed=0 --ta-tape=r1:aagqe", "--ta-seed and --ta-tape each name the one schedule"),
        ("--ta-rebuild-every=-1", "a state is rebuilt every 1, 2, 3 ... inputs, got -1"),
    ],
)
def test_options_that_would_try_nothing_are_wrong_usage(
    project: Project, arguments: str, told: str
) -> None:
    project.write("tests/test_bills.py", BILLS + IN_ORDER)
    said = project.run(*arguments.split(), passes=False)
    assert f"ERROR: {told}" in said.replace("--ta-rebuild-every: ", "")
    assert "Traceback" not in said


def test_one_place_of_a_crash_may_be_a_number(project: Project) -> None:
    one = BILLS + CRASHES.replace('["tool.started", 3]', "3")
    project.write("tests/test_bills.py", one)
    assert "1 passed" in project.run("-k", "here_and_there")


LIVE = """
import pytest
from tinyagent import Agent, AgentTool
from tinyagent.testing import scripted

ran = []

async def count(call_id, arguments, signal, on_update):
    ran.append(call_id)
    return "counted"

TOOL = AgentTool(name="count", execute=count, effect="read")

@pytest.mark.replay(tools="live")
async def test_it(recorded):
    model = scripted.calls("count").text("Once.")
    assert (await Agent(model=model, tools=[TOOL], log=recorded).run("Count.")).text == "Once."
    assert ran == ["c1"]
"""


def test_with_live_tools_the_model_alone_answers_from_the_file(project: Project) -> None:
    project.write("tests/test_count.py", LIVE)
    project.run("--ta-record=once")
    project.write(
        "tests/test_count.py",
        LIVE.replace('scripted.calls("count").text("Once.")', "scripted()"),
    )
    assert "1 passed" in project.run()
    project.write("tests/test_count.py", LIVE.replace('"counted"', '"twice"'))
    said = project.run(passes=False)
    assert re.search(r'now +\S+  "twice"', said), said
    project.write("tests/test_count.py", LIVE.replace('tools="live"', 'tools="some"'))
    assert "replay(tools=) is 'recorded' or 'live', got 'some'" in project.run(passes=False)


FORGETFUL = """
from tinyagent.actors import agent
from tinyagent.testing import scripted
from tinyagent import Agent
import msgspec

async def test_plain():
    assert (await Agent(model=scripted("Hi.")).run("?")).text == "Hi."

async def test_that_keeps_something_beside_the_log(monkeypatch):
    agent = Agent(model=scripted("Hi."))
    agent.configuration()
    machine = agent._engine().binding.session.machine
    machine.state = msgspec.structs.replace(machine.state, guarded=True)
    await agent.run("?")
"""


def test_states_are_made_from_the_log_again_and_one_that_it_does_not_lead_to_is_found(
    project: Project,
) -> None:
    project.write("tests/test_state.py", FORGETFUL)
    assert "2 passed" in project.run()
    said = project.run("--ta-rebuild-every=1", passes=False)
    assert "1 failed, 1 passed" in said
    assert "the agent is in a state that its log does not lead to" in said
    assert re.search(r"--ta-rebuild-every=1: \d+ states were made from their logs", said)
    assert "every 1, 2, 3 ... inputs, got 0" in project.run("--ta-rebuild-every=0", passes=False)
