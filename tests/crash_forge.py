"""Processes that are killed, and processes that take up what those left. A program.

It reads jobs as JSON from its standard input, one a line, and forks a process for each: forked
before anything is opened, that costs milliseconds where a fresh interpreter costs most of a second.
A killed process dies of a real SIGKILL, its own or its parent's, at a place that the job names.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from tinyagent import Agent, AgentOptions, AgentState, current_ctx, open_log, resume
from tinyagent.agent_types import AgentTool
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.runtime.stores import Durability, Log

Point = Literal["requested", "started", "during", "returned", "finished"]
"""Where a process dies: ``tool.requested`` is written; ``tool.started`` is, and the tool is at its
first instruction; the effect is done and the tool waits; the tool has returned; ``tool.finished``
is written."""


class Job(msgspec.Struct, frozen=True):
    """One process.

    Attributes:
        folder: of the log. ``<folder>.effects`` holds a line for each effect, ``<folder>.json``
            what a process that lived had to say.
        url: of the provider. answer: what ``reconcile`` of the tool says; empty without one.
        point: where the process dies; empty for one that resumes and lives.
        decision: what a person decides about a doubtful call; empty if nobody is there.
    """

    folder: str
    url: str
    effect: str
    answer: str
    mode: Durability
    point: Point | Literal[""]
    decision: str


class Told(msgspec.Struct, frozen=True):
    """What a process that lived found out."""

    outcome: str
    asked: list[dict[str, Any]]


class Deadly:
    """A log whose process is killed when one kind of record comes, before it or behind it."""

    def __init__(self, log: Log, kind: str, *, is_behind: bool) -> None:
        self._log = log
        self._kind = kind
        self._is_behind = is_behind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def append(
        self, seq: int, ts_us: int, actor: str | None, kind: str, v: int, cause: int, payload: bytes
    ) -> None:
        """Append the record, unless the end is before it."""
        if kind == self._kind and not self._is_behind:
            self._die()
        self._log.append(seq, ts_us, actor, kind, v, cause, payload)
        if kind == self._kind:
            self._die()

    def _die(self) -> None:
        for _ in self._log.read():
            pass  # reading waits until what was accepted is written
        die()


def die() -> None:
    """End this process as the kernel's killer does: nothing is flushed, nothing closed."""
    os.kill(os.getpid(), signal.SIGKILL)


def agent_of(job: Job, log: Log, ready: int) -> Agent:
    """Return the agent of *job*; its tool has one effect: a line at the end of a file."""

    async def book(call_id: str, args: Any, on_signal: Any, on_update: Any) -> str:
        if job.point == "started":
            die()
        ctx = current_ctx()
        file = os.open(f"{job.folder}.effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{ctx.idempotency_key} {ctx.attempt} {args['what']}\n".encode())
        os.close(file)
        if job.point == "during":
            os.write(ready, b".")
            await asyncio.Event().wait()
        return "booked"

    async def reconcile(ctx: Any, args: Any) -> Any:
        return {"done": f"{args['what']} was booked", "not_done": False}.get(job.answer)

    tool = AgentTool(
        "book",
        "",
        {"type": "object"},
        execute=book,
        effect=job.effect,
        reconcile=reconcile if job.answer else None,
    )
    model = OpenAICompatModel(provider="demo", id="m", base_url=job.url)
    return Agent(
        AgentOptions(
            initial_state=AgentState(model=model, tools=[tool]),
            get_api_key=lambda provider: "none",
            log=log,
            retries_max=0,
        )
    )


async def crash(job: Job, ready: int) -> None:
    """Begin a run, and die in it."""
    async with open_log(job.folder, durability=job.mode) as log:
        deadly: Any = log
        if job.point == "requested":
            deadly = Deadly(log, "tool.started", is_behind=False)
        elif job.point == "returned":
            deadly = Deadly(log, "tool.finished", is_behind=False)
        elif job.point == "finished":
            deadly = Deadly(log, "tool.finished", is_behind=True)
        await agent_of(job, deadly, ready).prompt("Book the trip.")


async def take_up(job: Job) -> Told:
    """Go on with what a killed process left, and tell how it went."""
    asked: list[dict[str, Any]] = []

    def decide(call: Any) -> Any:
        asked.append(msgspec.to_builtins(call))
        match job.decision:
            case "done":
                return call.done("It was booked.")
            case "failed":
                return call.failed("It was not booked.")
            case decision:
                return getattr(call, decision)()

    def build(log: Log) -> Agent:
        return agent_of(job, log, -1)

    decision = decide if job.decision else None
    async with resume(job.folder, build, on_unknown=decision, durability=job.mode) as agent:
        result = await agent.run()
    return Told(result.outcome, asked)


def perform(job: Job) -> int:
    """Do *job* in a process of its own; return its wait status."""
    if not job.point:
        told = Path(f"{job.folder}.json")
        return forked(lambda: told.write_bytes(msgspec.json.encode(asyncio.run(take_up(job)))))
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        child(lambda: asyncio.run(crash(job, writing)))
    os.close(writing)
    if job.point == "during" and os.read(reading, 1):
        os.kill(pid, signal.SIGKILL)
    os.close(reading)
    return os.waitpid(pid, 0)[1]


def forked(work: Callable[[], object]) -> int:
    """Do *work* in a process of its own; return its wait status."""
    pid = os.fork()
    if not pid:
        child(work)
    return os.waitpid(pid, 0)[1]


def child(work: Callable[[], object]) -> None:
    """Do *work* and end this process with it."""
    try:
        work()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Perform every job; print the status of each process."""
    for line in sys.stdin.buffer:
        status = perform(msgspec.json.decode(line, type=Job))
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
