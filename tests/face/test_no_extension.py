"""Where the extension cannot be loaded: scripted runs in memory work, the rest says so."""

from __future__ import annotations

import subprocess
import sys

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
