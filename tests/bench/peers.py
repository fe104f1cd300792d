"""Who is measured beside us, and how one run of one of them is made.

Peers are no part of this repository. ``TINYAGENT_PEERS`` names a folder that has them: ``venvs/``
with an environment for each, ``clients/`` and ``node/`` with programs that take a scenario and a
URL and print one line of JSON, as ``client.py`` does. Who is not there is left out.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
OURS = "tinyagent"
RUN_S_MAX = 150
CLIENT_CORE, PROVIDER_CORE = "0", "1"
QUIET = {
    "LANGSMITH_TRACING": "false",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OTEL_SDK_DISABLED": "true",
    "PYTHONWARNINGS": "ignore",
    "BENCH_ALARM": str(RUN_S_MAX),
}


class Client(NamedTuple):
    """One that is measured. ``python`` imports it with ``statement``, if it is Python."""

    name: str
    about: str
    command: tuple[str, ...]
    env: dict[str, str] = {}
    python: str = ""
    statement: str = ""
    only: frozenset[str] = frozenset()


def ours() -> list[Client]:
    """Return ourselves: as one is told to use it, and with what costs more, or less."""
    command = (sys.executable, str(HERE / "client.py"))
    tools = frozenset({"tools", "ptools", "burst"})
    bare = frozenset({"tools", "text"})
    return [
        Client(
            OURS,
            "log on disk, tool that reads",
            command,
            python=sys.executable,
            statement="from tinyagent import Agent",
        ),
        Client(
            f"{OURS}+write",
            "the same, tool that may change the world: its start is on disk first",
            command,
            {"TINYAGENT_BENCH_EFFECT": "write"},
            only=tools,
        ),
        Client(
            f"{OURS}+memory",
            "the same, log in memory",
            command,
            {"TINYAGENT_BENCH_LOG": "memory"},
            only=bare,
        ),
    ]


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
    folder = os.environ.get("TINYAGENT_PEERS")
    if not folder:
        return []
    root, found = Path(folder).resolve(), list[Client]()
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
    if client.only and scenario not in client.only:
        return ""
    if scenario == "import":
        return import_cost(client)
    command = [*on_core(CLIENT_CORE), *client.command, scenario, url]
    environment = {**_outside(client), **QUIET, **client.env}
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


def _outside(client: Client) -> dict[str, str]:
    """Return the environment; without what leads Python to our sources, if *client* is a peer."""
    is_ours = client.name.startswith(OURS)
    return {
        name: value
        for name, value in os.environ.items()
        if is_ours or name not in ("PYTHONPATH", "PYTHONSAFEPATH")
    }


def import_cost(client: Client) -> dict[str, float] | str:
    """Return the CPU of a fresh interpreter that imports *client*, milliseconds."""
    if not client.statement:
        return ""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [*on_core(CLIENT_CORE), client.python, "-c", client.statement]
    done = subprocess.run(command, env=_outside(client), capture_output=True, timeout=RUN_S_MAX)
    if done.returncode:
        return done.stderr.decode()[-400:]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"import_cpu_ms": used_s * 1e3}


def on_core(core: str) -> tuple[str, ...]:
    """Return what keeps a command on one core, where there are two and a way to choose."""
    has_cores = hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1
    return ("taskset", "-c", core) if has_cores else ()


@contextlib.contextmanager
def provider() -> Generator[str]:
    """Run the provider and yield its URL."""
    command = [*on_core(PROVIDER_CORE), sys.executable, str(HERE / "provider.py"), "7200"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def busy_s() -> float:
    """Return the time that all cores together have worked since the machine began, seconds."""
    try:
        with open("/proc/stat") as file:
            ticks = [int(word) for word in file.readline().split()[1:]]
    except OSError:
        return time.process_time()
    idle, waiting = ticks[3], ticks[4]
    return (sum(ticks[:8]) - idle - waiting) / os.sysconf("SC_CLK_TCK")
