"""Who is measured beside us, and how one run of one of them is made.

Peers are no part of this repository. ``TINYAGENT_PEERS`` names a folder that has them: ``venvs/``
with an environment for each, ``clients/`` and ``node/`` with programs that take a scenario and a
URL and print one line of JSON, as ``client.py`` does. Who is not there is left out, and a part of a
goal that needs them is not measured: ``logs`` has pydantic and eventsourcing, ``mailbox`` pykka and
autogen-core, ``openhands`` openhands-sdk (CPython 3.12); ``floor`` has the interpreter of all.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

from tests.bench.environment import sizes
from tests.bench.flat import LINES
from tests.bench.kept import OURS

HERE = Path(__file__).resolve().parent
RUN_S_MAX = 150
IMPORTS = 3
CLIENT_CORE, PROVIDER_CORE = "0", "1"
QUIET = {
    "LANGSMITH_TRACING": "false",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OTEL_SDK_DISABLED": "true",
    "PYTHONWARNINGS": "ignore",
    "BENCH_ALARM": str(RUN_S_MAX),
}


AGENTS = frozenset(
    {"text", "tools", "ttfd", "ptools", "burst", "conc", "idle", "import", "install"}
)
"""What is measured of whole agents; everything else is measured of parts."""


class Client(NamedTuple):
    """One that is measured, in the scenarios ``only``, in the first rounds of each, ``rounds_max``.

    ``python`` imports it with ``statement``, if it is Python.
    """

    name: str
    about: str
    command: tuple[str, ...]
    env: dict[str, str] = {}
    python: str = ""
    statement: str = ""
    only: frozenset[str] = AGENTS
    rounds_max: int = 100


def ours(python: str) -> list[Client]:
    """Return ourselves: as one is told to use it, and with what costs more, or less."""
    command = (python, str(HERE / "client.py"))
    bare = frozenset({"tools", "text"})
    return [
        Client(
            OURS,
            "``events``, log on disk, tool that reads",
            command,
            python=python,
            statement="from tinyagent import Agent",
            only=AGENTS | {"counts"},
        ),
        Client(
            f"{OURS}+openai",
            "the same: its provider and the extension imported too, as of the peers",
            command,
            python=python,
            statement="import tinyagent.alchemy_provider, tinyagent._alchemy, tinyagent.agent",
            only=frozenset({"import"}),
        ),
        Client(
            f"{OURS}+stream",
            "the same by the compatible face, which makes a message of each delta",
            command,
            {"TINYAGENT_BENCH_FACE": "stream"},
            only=frozenset({"tools", "text", "ttfd", "ptools", "burst", "conc"}),
        ),
        Client(
            f"{OURS}+write",
            "the same, tool that may change the world: its start is on disk first",
            command,
            {"TINYAGENT_BENCH_EFFECT": "write"},
            only=frozenset({"tools", "ptools", "burst"}),
        ),
        Client(
            f"{OURS}+memory",
            "the same, log in memory",
            command,
            {"TINYAGENT_BENCH_LOG": "memory"},
            only=bare,
        ),
        Client(
            f"{OURS}+off",
            "the same without a log, and nothing is encoded for it",
            command,
            {"TINYAGENT_BENCH_LOG": "off"},
            only=bare,
        ),
    ]


_STANDARD = {
    OURS: "append by64 each read restore letter ask",
    "raw-file": "append by64 each",
    "sqlite3": "append each",
    "json.loads": "read",
    "msgspec": "read",
    "asyncio.Queue": "letter",
    "deque": "ask",
    "fdatasync": "tools",
}
_RIVALS = (
    ("pydantic", "logs", "read", 100),
    ("eventsourcing", "logs", "restore", 100),
    ("openhands", "openhands", "restore", 2),
    ("pykka", "mailbox", "ask", 100),
    ("autogen-core", "mailbox", "ask", 100),
)


def parts(python: str) -> list[Client]:
    """Return our log and mailboxes, what the standard library can do, and the rivals there are."""
    floors = (python, str(HERE / "floors.py"))
    found = [
        Client(name, "", (*floors, name), only=frozenset(scenarios.split()))
        for name, scenarios in _STANDARD.items()
    ]
    growing = frozenset(line.scenario for line in LINES)
    found.append(Client(OURS, "", (python, str(HERE / "growth.py"), OURS), only=growing))
    for name, venv, scenario, rounds_max in _RIVALS:
        theirs = _folder() / "venvs" / venv / "bin/python"
        if theirs.exists():
            command = (str(theirs), str(HERE / "rivals.py"), name)
            found.append(
                Client(name, "", command, only=frozenset({scenario}), rounds_max=rounds_max)
            )
    return found


def _folder() -> Path:
    """Return the folder of the peers; one that is not there if none is named."""
    return Path(os.environ.get("TINYAGENT_PEERS") or "/nowhere").resolve()


_PYTHON: tuple[tuple[str, str, str, dict[str, str], str, str], ...] = (
    ("rawasyncio", "floor", "rawasyncio", {}, "import asyncio, msgspec", "floor: asyncio, msgspec"),
    ("rawevents", "floor", "rawevents", {}, "", "floor: three actors, every delta in a log"),
    ("rawevents-fsync", "floor", "rawevents", {"FSYNC": "1"}, "", "floor: the same, synced"),
    (
        "tiny-agent-os",
        "tinyagentos",
        "tinyagentos",
        {},
        "import tinyagent, tinyagent.alchemy_provider, tinyagent._alchemy",
        "1.2.28, no log",
    ),
    (
        "openai-agents",
        "oaiagents",
        "oaiagents",
        {},
        "from agents import Agent, Runner, OpenAIChatCompletionsModel",
        "no log",
    ),
    (
        "langgraph",
        "langgraph",
        "langgraph_",
        {},
        "from langchain.agents import create_agent; from langchain_openai import ChatOpenAI",
        "no checkpointer",
    ),
    (
        "pydantic-ai",
        "pydanticai",
        "pydanticai",
        {},
        "from pydantic_ai import Agent; from pydantic_ai.models.openai import OpenAIChatModel",
        "no log",
    ),
)


def peers() -> list[Client]:
    """Return the peers that are there."""
    root, found = _folder(), list[Client]()
    for name, venv, program, env, statement, about in _PYTHON:
        python, file = root / "venvs" / venv / "bin/python", root / "clients" / f"{program}.py"
        if python.exists() and file.exists():
            command = (str(python), str(file))
            found.append(Client(name, about, command, env, str(python), statement))
    pi = root / "node/pi"
    if (pi / "node_modules").exists():
        node = ("node", "--expose-gc", str(pi / "pi.mjs"))
        found.append(Client("pi-agent-core", "Node, no log", node))
    return found


def run(client: Client, scenario: str, url: str) -> dict[str, float] | str:
    """Return what *scenario* cost *client* in a process of its own, or why there is nothing.

    A cost of several runs in that process is their median.
    """
    if scenario == "import":
        return import_cost(client)
    if scenario == "install":
        return sizes(client.python) if client.statement else ""
    command = [*on_core(CLIENT_CORE), *client.command, scenario, url]
    environment = {**_outside(), **QUIET, **client.env}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=RUN_S_MAX
        )
    except subprocess.TimeoutExpired:
        return f"took longer than {RUN_S_MAX} s"
    line = next((at for at in done.stdout.splitlines() if at.startswith('{"client"')), None)
    if line is None:
        return (done.stderr or done.stdout)[-400:] or f"exit {done.returncode}"
    costs = json.loads(line)
    return {
        name: value["med"] if isinstance(value, dict) else value
        for name, value in costs.items()
        if name not in ("client", "scenario")
    }


def _outside() -> dict[str, str]:
    """Return the environment, without what leads Python to our sources."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONSAFEPATH")
    }


def import_cost(client: Client) -> dict[str, float] | str:
    """Return the CPU of a fresh interpreter that imports *client*, milliseconds."""
    if not client.statement:
        return ""
    command = [*on_core(CLIENT_CORE), client.python, "-c", client.statement]
    took_s: list[float] = []
    for _ in range(IMPORTS):
        before_s = children_s()
        done = subprocess.run(command, env=_outside(), capture_output=True, timeout=RUN_S_MAX)
        if done.returncode:
            return done.stderr.decode()[-400:]
        took_s.append(children_s() - before_s)
    return {"import_cpu_ms": statistics.median(took_s) * 1e3}


def on_core(core: str) -> tuple[str, ...]:
    """Return what keeps a command on one core, where there are two and a way to choose."""
    has_cores = hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1
    return ("taskset", "-c", core) if has_cores else ()


@contextlib.contextmanager
def provider() -> Generator[tuple[str, int]]:
    """Run the provider; yield its URL, and the number of its process."""
    command = [*on_core(PROVIDER_CORE), sys.executable, str(HERE / "provider.py"), "7200"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}/v1", server.pid
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def children_s() -> float:
    """Return the CPU time of the processes that were waited for, seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def others_s(provider: int) -> float:
    """Return the CPU time that all but ourselves have had, and what a hypervisor took, seconds."""
    try:
        ticks = [int(word) for word in _first_line("/proc/stat").split()[1:9]]
        mine = [int(word) for word in _first_line(f"/proc/{provider}/stat").split()[13:15]]
    except OSError:  # not Linux: nothing is known of others
        return 0.0
    idle, waiting = ticks[3], ticks[4]
    busy_s = (sum(ticks) - idle - waiting - sum(mine)) / os.sysconf("SC_CLK_TCK")
    return busy_s - children_s() - time.process_time()


def governor() -> str:
    """Return how the cores are clocked, as far as the system says."""
    try:
        return _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip()
    except OSError:
        return "not told"


def _first_line(path: str) -> str:
    with open(path) as file:
        return file.readline()
