"""The pytest plugin, as somebody else's project meets it: recorded once, replayed, diverging."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.outside import Project

from tinyagent import load

PROGRAM_8 = """\
import pytest
from myapp.agents import build
@pytest.mark.replay
async def test_a_day_in_paris_is_planned(recorded, transcript_snapshot):
    await build(log=recorded).run("Plan a day in Paris")
    assert recorded == transcript_snapshot
"""
BUILD = """\
from tinyagent import Agent, AgentTool
from tinyagent.testing import scripted

async def forecast(call_id, arguments, signal, on_update):
    return f"{arguments['city']}: sunny"

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = AgentTool(name="forecast", parameters=SCHEMA, execute=forecast, effect="read")
MODEL = scripted.calls("forecast", city="Paris").text("Take a boat.")

def build(*, log=None):
    return Agent(model=MODEL, system_prompt="Plan days.", tools=[TOOL], log=log)
"""
NOBODY = """
async def forecast(call_id, arguments, signal, on_update):
    raise SystemExit("a tool was run")

class Nobody(type(MODEL)):
    async def __tinyagent_stream__(self, model, context, options):
        raise SystemExit("a model was asked")

TOOL = AgentTool(name="forecast", parameters=SCHEMA, execute=forecast, effect="read")
MODEL = Nobody(script=MODEL.script)
"""
TWICE = """\
import pytest
from myapp.agents import build
@pytest.mark.replay
async def test_twice(recorded):
    agent = build(log=recorded)
    await agent.run("One?")
    await agent.run("Two?")
"""
SWALLOWED = """
async def test_that_hides_it(recorded):
    try:
        await build(log=recorded).run("Well?")
    except RuntimeError:
        return
"""
AT = "tests/replays/test_trip/test_a_day_in_paris_is_planned.jsonl"
TRANSCRIPT = """\
# serializer version: 1
# name: test_a_day_in_paris_is_planned
  '''
  user      Plan a day in Paris
  model     → forecast(city="Paris")
  tool      forecast Paris: sunny
  model     Take a boat.
  end       answered
  '''
# ---
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Program 8 and its agent; nothing is recorded yet."""
    made = Project(tmp_path)
    made.write("src/myapp/__init__.py", "")
    made.write("src/myapp/agents.py", BUILD)
    made.write("tests/test_trip.py", PROGRAM_8)
    return made


@pytest.fixture
def trip(project: Project) -> Project:
    """The same, recorded, and from now on with a model and tools that nobody may touch."""
    project.run("--ta-record=once", "--snapshot-update")
    project.write("src/myapp/agents.py", BUILD + NOBODY)
    return project


def test_program_8_is_recorded_once_and_then_touches_neither_model_nor_tools(trip: Project) -> None:
    recorded = (trip.root / AT).read_bytes()
    assert (trip.root / "tests/__snapshots__/test_trip.transcript").read_text() == TRANSCRIPT
    assert "1 passed" in trip.run()
    assert "1 passed" in trip.run("--ta-record=once")
    assert "1 passed" in trip.run("--ta-record=new")
    assert (trip.root / AT).read_bytes() == recorded
    assert load(trip.root / AT).replay().ok


def test_without_a_recording_nothing_live_is_asked_and_nobody_can_hide_that(
    project: Project,
) -> None:
    project.write("tests/test_trip.py", PROGRAM_8 + SWALLOWED)
    said = project.run(passes=False)
    assert "2 failed" in said
    assert "there is none at tests/replays/test_trip/test_that_hides_it.jsonl" in said
    assert f"needs a recording, and there is none at {AT}" in said
    assert "--ta-record=once asks live and records what is not there" in said
    assert not (project.root / "tests/replays").exists()


def test_a_changed_prompt_fails_with_the_leaf_that_differs(trip: Project) -> None:
    trip.write("src/myapp/agents.py", (BUILD + NOBODY).replace("Plan days", "Plan short days"))
    said = trip.run(passes=False)
    assert f"this request to the model is not recorded in {AT}" in said
    assert "  nearest   record 3, 1 value differs" in said
    assert '  recorded  system  "Plan days."' in said
    assert '  now       system  "Plan short days."' in said
    assert "testing/answering.py" not in said  # the report, not where it comes from


def test_another_result_of_a_tool_than_was_recorded_is_never_seen(trip: Project) -> None:
    trip.write("src/myapp/agents.py", BUILD.replace("sunny", "rain") + NOBODY)
    assert "1 passed" in trip.run()


def test_new_asks_live_for_what_is_not_there_and_records_it(trip: Project) -> None:
    before = (trip.root / AT).read_bytes()
    trip.write("src/myapp/agents.py", BUILD.replace("Plan days", "Plan short days"))
    assert f"recorded {trip.root / AT}" in trip.run("--ta-record=new", "-rP")
    assert (trip.root / AT).read_bytes() != before
    assert "1 passed" in trip.run()


def test_all_records_again_whatever_is_there(trip: Project) -> None:
    before = (trip.root / AT).read_bytes()
    trip.write("src/myapp/agents.py", BUILD)
    trip.run("--ta-record=all")
    assert (trip.root / AT).read_bytes() != before


def test_a_test_that_fails_records_nothing_and_shows_its_transcript(project: Project) -> None:
    project.write("tests/test_trip.py", PROGRAM_8.replace("assert recorded", "assert 0, recorded"))
    said = project.run("--ta-record=all", passes=False)
    assert not (project.root / "tests/replays").exists()
    assert 'model     → forecast(city="Paris")' in said


def test_allow_live_asks_live_and_records_nothing(project: Project) -> None:
    assert "1 passed" in project.run("--ta-allow-live", "--snapshot-update")
    assert not (project.root / "tests/replays").exists()


def test_less_than_was_recorded_fails_with_what_is_left(project: Project) -> None:
    model = 'scripted("One.", "Two.")'
    script = 'scripted.calls("forecast", city="Paris").text("Take a boat.")'
    project.write("src/myapp/agents.py", BUILD.replace(script, model))
    project.write("tests/test_trip.py", TWICE)
    project.run("--ta-record=once")
    project.write("tests/test_trip.py", TWICE.replace('    await agent.run("Two?")\n', ""))
    said = project.run(passes=False)
    assert "test_twice.jsonl holds more than was asked for today: the model call of record" in said


def test_a_replay_test_takes_the_log_that_answers(project: Project) -> None:
    project.write("tests/test_trip.py", "import pytest\n@pytest.mark.replay\ndef test_it(): ...\n")
    assert "a test marked 'replay' takes 'recorded': build(log=recorded)" in project.run(
        passes=False
    )


def test_a_name_of_the_marker_is_the_file_in_the_folder_of_the_setting(project: Project) -> None:
    project.write(
        "pytest.ini",
        (project.root / "pytest.ini").read_text() + "tinyagent_replays_dir = kept/sessions\n",
    )
    project.write("tests/test_trip.py", PROGRAM_8.replace("mark.replay", 'mark.replay("paris")'))
    project.run("--ta-record=once", "--snapshot-update")
    assert load(project.root / "kept/sessions/paris.jsonl").status == "answered"
    project.write(
        "tests/test_trip.py", PROGRAM_8.replace("mark.replay", 'mark.replay(name="paris")')
    )
    assert "1 passed" in project.run()


IN_CLASSES = """
import pytest
from tinyagent import Agent
from tinyagent.testing import scripted

class TestOne:
    @pytest.mark.replay
    async def test_it(self, recorded):
        await Agent(model=scripted("One."), log=recorded).run("One?")

class TestTwo:
    class TestDeeper:
        @pytest.mark.replay
        async def test_it(self, recorded):
            await Agent(model=scripted("Two."), log=recorded).run("Two?")
"""


def test_tests_of_one_name_in_two_classes_have_a_file_each(project: Project) -> None:
    project.write("tests/test_trip.py", IN_CLASSES)
    assert "2 passed" in project.run("--ta-record=all")
    assert "2 passed" in project.run()
    kept = sorted(path.name for path in (project.root / "tests/replays/test_trip").iterdir())
    assert kept == ["TestOne.test_it.jsonl", "TestTwo.TestDeeper.test_it.jsonl"]


def test_a_refusal_is_said_once_and_again_only_where_the_test_fails_otherwise(
    project: Project,
) -> None:
    assert "tinyagent refused" not in project.run("-k", "planned", passes=False)
    swallowed = SWALLOWED.replace("return", "assert 0, 'no answer'")
    project.write("tests/test_trip.py", PROGRAM_8 + swallowed)
    said = project.run("-k", "hides", passes=False)
    assert "AssertionError: no answer" in said
    assert "- tinyagent refused -" in said


def test_without_syrupy_a_snapshot_names_what_to_install(project: Project) -> None:
    said = project.run("-p", "no:syrupy", passes=False)
    told = "snapshots of logs need the extra `testing`: pip install 'tinyagent-runtime[testing]'"
    assert told in said
    assert "During handling" not in said


FAILING = """
import pytest
from tinyagent import Agent
from tinyagent.testing import scripted

async def test_wrong(agent_log):
    await Agent(model=scripted("Five."), log=agent_log).run("Two and two?")
    assert 0

async def test_unasked(scripted_model):
    await Agent(model=scripted_model("One.", "Two.")).run("Well?")

async def test_awake(virtual_clock):
    await virtual_clock.advance(5)

async def test_left_asleep(virtual_clock):
    import asyncio
    sleeper = asyncio.create_task(virtual_clock.sleep(5))
    await asyncio.sleep(0)
    assert virtual_clock.sleeping == 1
    test_left_asleep.sleeper = sleeper
"""


def test_what_the_fixtures_stand_for_is_checked_and_a_failed_test_shows_its_log(
    project: Project,
) -> None:
    project.write("tests/test_trip.py", FAILING)
    said = project.run("--ta-html=pages", passes=False)
    assert "3 failed, 1 passed" in said
    assert "user      Two and two?\nmodel     Five.\nend       answered\n" in said
    assert "the model was never asked for turn 2 of 2" in said
    assert "testing/models.py" not in said  # the report, not where it comes from
    assert "1 still wait for the virtual clock" in said
    pages = [path.name for path in (project.root / "pages").iterdir()]
    assert pages == ["tests-test_trip.py-test_wrong.html"]
    assert b"Five." in (project.root / "pages" / pages[0]).read_bytes()


def test_other_plugins_keep_their_options_and_blocked_sockets_disturb_nothing(
    trip: Project,
) -> None:
    other = "import pytest\n@pytest.mark.vcr\n@pytest.mark.block_network\ndef test_it(): ...\n"
    trip.write("tests/test_other.py", other)
    said = trip.run("--record-mode=none", "--block-network", "--ta-record=none")
    assert "2 passed" in said


def test_a_test_that_runs_nothing_on_its_log_is_told_so(project: Project) -> None:
    project.write("tests/test_trip.py", PROGRAM_8.replace("log=recorded", ""))
    said = project.run("-k", "planned", "--snapshot-update", passes=False)
    assert "nothing was run on `recorded`: give it to the agent, build(log=recorded)" in said


def test_nothing_but_pytest_is_imported_until_a_fixture_is_used(tmp_path: Path) -> None:
    program = (
        "import sys, tinyagent; before = {*sys.modules}\n"
        "import pytest, tinyagent.testing.plugin\n"
        "ours = {name for name in sys.modules if name.startswith('tinyagent')} - before\n"
        "print(*sorted(ours), 'syrupy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == ["tinyagent.testing", "tinyagent.testing.plugin", "False"]
