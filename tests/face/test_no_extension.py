"""Where the extension cannot be loaded: scripted runs in memory work, the rest says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name == "tinyagent._alchemy":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""
RUNS = """
import asyncio, sys
from msgspec import Struct
from tinyagent import Agent, AgentOptions, load, replay, tool
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import VirtualClock, scripted

@tool(effect="read")
async def forecast(city: str, days: int = 3) -> str:
    '''Weather forecast.'''
    return f"{city}: sunny for {days} days, 21 °C"

class Plan(Struct):
    city: str
    days: int

script = scripted.calls("forecast", city="Paris").text("Sunny.").text("And on.")
script = script.calls("final_answer", city="Paris", days=2).chunks(3)

def build(log):
    options = AgentOptions(clock=VirtualClock())
    return Agent(options, model=script, system_prompt="Be brief.", tools=[forecast], log=log)

async def main():
    agent = build(MemoryLog(log_id="4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"))
    assert (await agent.run("Paris?")).text == "Sunny."
    assert [event.type async for event in agent.stream("Go on")]
    assert (await agent.run("A plan", output=Plan)).output == Plan("Paris", 2)
    for record in agent.log.records():
        print(record.seq, record.event.kind, record.payload.decode())
    assert (await replay(agent.log, build)).ok
    assert len(load(agent.log).request_at(3).body) > 10

asyncio.run(main())
"""
RAW = """
import asyncio
from tinyagent import Agent, AgentTool, AgentToolResult, TextContent
from tinyagent.testing import scripted

async def measure(*given):
    return AgentToolResult(content=[TextContent(text="21 °C")])

schema = {"type": "object", "properties": {"city": {"type": "string"}}}
raw = AgentTool("measure", parameters=schema, execute=measure, effect="read")
agent = Agent(model=scripted.calls("measure", city=1).text("Done."), tools=[raw])
assert agent.run_sync("Go").text == "Done."
print(*(record.event.message for record in agent.log.records(kinds=["diagnostic.reported"])))
"""
TYPED = """
from tinyagent import Agent, tool
from tinyagent.testing import scripted

@tool(effect="read")
async def forecast(city: str) -> str:
    '''Weather forecast.'''
    return "sunny"

agent = Agent(model=scripted.calls("forecast", city=1).text("Done."), tools=[forecast])
agent.run_sync("Go")
print(*(record.event.failure.message for record in agent.log.records(kinds=["tool.failed"])))
"""

DAMAGED = """
import tinyagent
tinyagent.__path__.insert(0, {folder!r})
"""
NEEDS_IT = """
import asyncio, sys
from tinyagent import Agent, fork, load, named_model, open_log, replay
from tinyagent.interchange import export
from tinyagent.runtime.errors import MissingExtensionError
from tinyagent.testing import scripted

def build(log=None):
    return Agent(model=scripted("Yes."), log=log)

agent = build()
agent.run_sync("Really?")

async def opened(open):
    async with open():
        raise AssertionError

async def main():
    for wanted, calls in {
        "a log on disk": (
            lambda: opened(lambda: open_log("there/log")),
            lambda: opened(lambda: open_log("sqlite:///there.db#log")),
            lambda: opened(lambda: fork(agent.log, at=3, into="there/fork")),
            lambda: replay("there", build),
            lambda: load("there"),
            lambda: export(load(agent.log), to="jsonl"),
        ),
        "asking a model": (
            lambda: Agent(model=named_model("vllm:q", base_url="http://127.0.0.1:9/v1")).run("Go"),
        ),
    }.items():
        for call in calls:
            try:
                await call()
            except MissingExtensionError as error:
                assert isinstance(error, ImportError) and error.name == "tinyagent._alchemy"
                assert f"It was wanted for {wanted}; scripted models and logs in mem" in str(error)
                assert "install the package again" in str(error)
                print(str(error).rpartition("tinyagent._alchemy: ")[2])

asyncio.run(main())
"""


def told_by(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_scripted_run_in_memory_leaves_the_same_log_to_the_digest() -> None:
    without = told_by(BLOCKED + RUNS)
    assert without == told_by(RUNS)
    assert without.count("run.ended") == 3


def test_arguments_that_only_the_extension_could_check_are_taken_and_that_is_on_record() -> None:
    assert told_by(BLOCKED + RAW) == (
        "the arguments of tool measure are not checked: what checks them cannot be loaded: "
        "No module named 'tinyagent._alchemy'\n"
    )


def test_types_are_held_to_without_it() -> None:
    assert told_by(BLOCKED + TYPED).splitlines()[1] == "- $.city: expected str, got int"


def test_what_needs_it_says_so_and_what_works_without_and_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "_alchemy.abi3.so").write_bytes(b"of another platform")
    absent = told_by(BLOCKED + NEEDS_IT)
    assert absent == "ModuleNotFoundError: No module named 'tinyagent._alchemy'\n" * 7
    damaged = told_by(DAMAGED.format(folder=str(tmp_path)) + NEEDS_IT).splitlines()
    assert len(damaged) == 7
    assert {line.partition(":")[0] for line in damaged} == {"ImportError"}
