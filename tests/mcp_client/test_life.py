"""How servers begin and end: none outlives us, and none is started for nothing."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.mcp_client.serving import Calls, Make, running, until

from tinyagent import Agent, mcp_server
from tinyagent.runtime.errors import McpServerError
from tinyagent.testing import scripted

# Starts a server from a program that ends in some way of its own.
MUTE = "import sys; sys.stdin.read()"
BEGINNING = """
import asyncio, os, signal, sys
from tinyagent import Agent, mcp_server
from tinyagent.testing import scripted

server = mcp_server([sys.executable, sys.argv[1]], name="hotel", env=dict(os.environ))
agent = Agent(model=scripted.calls("stall").text("Done."), tools=[server])
async def connected():
    await server
"""
ENDINGS = {
    "its loop ends": "asyncio.run(connected())",
    "its loop is closed under it": """
loop = asyncio.new_event_loop()
loop.run_until_complete(connected())
loop.close()
""",
    "its loop is left behind": """
loop = asyncio.new_event_loop()
loop.run_until_complete(connected())
""",
    "somebody interrupts it": "agent.run_sync('Go.')",
    "it is killed": "agent.run_sync('Go.')",
}


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def pids(tmp_path: Path) -> Callable[[], list[int]]:
    """Returns the process ids of the servers so far."""
    path = tmp_path / "pids"
    path.touch()
    return lambda: [int(line) for line in path.read_text().split()]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """What a server must find, to write its process id."""
    return {"PID_FILE": str(tmp_path / "pids")}


Pids = Callable[[], list[int]]
Env = dict[str, str]


async def test_a_server_ends_with_the_block_and_leaves_nothing(
    piped: Make, pids: Pids, env: Env
) -> None:
    before = asyncio.all_tasks()
    async with piped(env=env):
        [pid] = pids()
        assert is_alive(pid)
    assert not is_alive(pid)
    assert asyncio.all_tasks() == before


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_server_ends_with_the_process_that_started_it(
    ending: str, pids: Pids, env: Env, calls: Calls, written: Path
) -> None:
    written_to = {**env, "CALLED_FILE": str(written)}
    with running(BEGINNING + ENDINGS[ending], env=written_to) as process:
        if "run_sync" in ENDINGS[ending]:
            await until(lambda: "stall" in calls())
            process.send_signal(signal.SIGKILL if ending == "it is killed" else signal.SIGINT)
        await asyncio.to_thread(process.wait)
    [pid] = pids()
    await until(lambda: not is_alive(pid))


async def test_a_server_ends_with_the_last_that_knows_of_it(
    piped: Make, pids: Pids, env: Env
) -> None:
    agent = Agent(model=scripted("Hello."), tools=[piped(env=env)])
    await agent.run("Hi.")
    [pid] = pids()
    assert is_alive(pid)
    del agent
    gc.collect()
    await until(lambda: not is_alive(pid))


async def test_a_server_that_does_not_want_to_end_is_made_to_with_all_it_started(
    piped: Make, pids: Pids, env: Env
) -> None:
    async with piped("--stubborn", env=env):
        both = pids()
        assert all(map(is_alive, both))
    await until(lambda: not any(map(is_alive, both)))


def test_a_server_is_connected_anew_in_each_loop(piped: Make, pids: Pids, env: Env) -> None:
    agent = Agent(
        model=scripted.calls("book", city="Oslo").text("Done.").text("Bye."),
        tools=[piped(env=env)],
    )
    assert agent.run_sync("Go.").text == "Done."
    assert agent.run_sync("And?").text == "Bye."
    assert len(pids()) == 2
    assert not any(map(is_alive, pids()))


def test_nothing_is_started_before_it_is_needed(piped: Make, pids: Pids, env: Env) -> None:
    agent = Agent(model=scripted("Hello."), tools=[piped(env=env)])
    assert agent.configuration().tools == []
    assert pids() == []


# What cannot be


async def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(McpServerError) as raised:
        await mcp_server("/nowhere/no-such-server --fast")
    assert str(raised.value) == (
        "MCP server no-such-server: no connection: No such file or directory: "
        "/nowhere/no-such-server\n"
        "  try       /nowhere/no-such-server by hand: it must speak MCP on its standard streams"
    )


async def test_a_program_that_ends_at_once_is_quoted() -> None:
    with pytest.raises(McpServerError) as raised:
        await mcp_server([sys.executable, "-c", "import no_such_module"], name="broken")
    assert "MCP server broken: no connection: " in str(raised.value)
    assert "exit status 1; it said: " in str(raised.value)
    assert "No module named 'no_such_module'" in str(raised.value)


async def test_a_program_that_says_nothing_is_not_waited_for_longer_than_it_may() -> None:
    with pytest.raises(McpServerError, match="no connection: it took too long"):
        await mcp_server([sys.executable, "-c", MUTE], name="mute", connect_timeout_s=0.5)


async def test_an_address_that_nobody_listens_at_is_named() -> None:
    with pytest.raises(McpServerError) as raised:
        await mcp_server("http://user:secret@127.0.0.1:9/mcp?key=secret")
    assert str(raised.value) == (
        "MCP server 127.0.0.1:9: no connection: All connection attempts failed\n"
        "  try       whether http://127.0.0.1:9/mcp?key=*** answers, and whether it is the MCP "
        "endpoint itself"
    )


async def test_names_that_the_server_does_not_have_are_refused_and_it_is_ended(
    piped: Make, pids: Pids, env: Env
) -> None:
    with pytest.raises(McpServerError, match="effects= names what it does not have: wether"):
        await piped(effects={"wether": "read"}, env=env)
    [pid] = pids()
    assert not is_alive(pid)
    with pytest.raises(McpServerError, match="only= names what it does not have: wether"):
        await piped(only=["wether"])


def test_effects_are_the_four() -> None:
    with pytest.raises(ValueError, match=r"effects\['a'\]='reed' is none of pure, read"):
        mcp_server("server", effects={"a": "reed"})  # type: ignore[dict-item] # what is refused


def test_without_the_extra_one_error_names_it() -> None:
    program = """
import sys
sys.modules["mcp"] = None
from tinyagent import Agent, mcp_server
from tinyagent.testing import scripted
try:
    Agent(model=scripted("Hello."), tools=[mcp_server("server")]).run_sync("Hi.")
except ModuleNotFoundError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("tools of MCP servers need the extra `mcp`: pip install '")
