"""How each public error comes about."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from tests.children import said_by_child
from tests.disks import small_disk

import tinyagent
from tinyagent import Agent, RunFailedError, load, open_log, tool
from tinyagent._alchemy import crc32c, header_line
from tinyagent.actors.agent import step
from tinyagent.actors.children import agent_machine
from tinyagent.actors.closing import close_run
from tinyagent.actors.state import State
from tinyagent.events import Record, kinds as k
from tinyagent.interchange import import_
from tinyagent.runtime import errors, extension
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.load import read_log
from tinyagent.runtime.loops import Machine
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.prune import prune
from tinyagent.runtime.replay import replay
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import VirtualClock, scripted

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"


def opened(path: Path, **options: Any) -> FileLog:
    return FileLog(path, now_us=lambda: 1795420800000000, log_id=ID, **options)


def append(log: Any, text: str = "hello") -> None:
    payload = b'{"content":"%s"}' % text.encode()
    log.append(log.seq + 1, 1795420800000000, None, "user.said", 1, 0, payload)


def out_of_order(at: Path) -> None:
    log = opened(at)
    try:
        log.append(5, 1, None, "user.said", 1, 0, b"{}")
    finally:
        asyncio.run(log.close())


def closed(at: Path) -> None:
    log = opened(at)
    asyncio.run(log.close())
    append(log)


def owned(at: Path) -> None:
    log = opened(at)
    try:
        opened(at)
    finally:
        asyncio.run(log.close())


async def fenced(at: Path) -> None:
    old = opened(at)
    append(old)
    await old.durable(1)
    (at / "LOCK").unlink()
    new = opened(at)
    append(new)
    append(old)
    try:
        await old.durable(2)
    finally:
        await new.close()


def behind(at: Path) -> None:
    log = opened(at, queue_bytes_hard_max=0)
    try:
        for _ in range(10_000):
            append(log)
    finally:
        asyncio.run(log.close())


def limited(at: Path) -> None:
    log = opened(at)
    try:
        append(log, "x" * ((256 << 20) + 1))
    finally:
        asyncio.run(log.close())


def failed(at: Path) -> None:
    at.write_bytes(b"")
    opened(at / "log")


def not_found(at: Path) -> None:
    load(at)


def full(at: Path) -> None:
    with small_disk(at, "2m"):
        log = opened(at / "log")
        append(log, "x" * 60_000)
        asyncio.run(log.durable(1))
        (at / "ballast").write_bytes(b"x" * (free(at) - 8192))
        for _ in range(10):
            append(log, "x" * 30_000)
        asyncio.run(log.durable(log.seq))


def free(at: Path) -> int:
    found = os.statvfs(at)
    return found.f_bavail * found.f_bsize


def not_in_log(at: Path) -> None:
    log = opened(at)
    append(log)
    asyncio.run(log.close())
    load(at).request_at(7)


def imported(at: Path) -> None:
    at.mkdir()
    source = at / "session.jsonl"
    first = {
        "type": "session",
        "version": 3,
        "id": "a",
        "timestamp": "2026-11-27T00:00:00Z",
        "cwd": "/",
    }
    source.write_text(json.dumps(first) + "\n")
    import_(source, into=at / "log")
    load(at / "log").replay()


def foreign(at: Path) -> None:
    at.write_text("not a session at all")
    import_(at)


def pruned(at: Path) -> None:
    asyncio.run(opened(at).close())
    for _ in range(3):
        log = opened(at)
        append(log)
        asyncio.run(log.close())
    prune(at, 3)
    load(at).replay()


def version(at: Path) -> None:
    head = header_line(ID, seg=1, epoch=1, first=1, tail=0, at_us=1, by="tinyagent 9.0")
    body = head[:-17].replace(b'{"tinyagent_log":1', b'{"tinyagent_log":2')
    at = at.with_suffix(".jsonl")
    at.write_bytes(body + b',"x":"%08x"}\n' % crc32c(bytes.fromhex(ID) + body))
    read_log(at)


def corrupt(at: Path) -> None:
    log = opened(at)
    for _ in range(3):
        append(log)
    asyncio.run(log.close())
    [segment] = at.glob("0*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"hello", b"hallo", 1))
    opened(at)


def unfinished(at: Path) -> None:
    started = asyncio.Event()

    @tool(effect="read")
    async def hang() -> str:
        """Hang."""
        started.set()
        await asyncio.Event().wait()
        return ""

    async def begin() -> None:
        log = opened(at)
        agent = Agent(model=scripted(("hang", {})), tools=[hang], log=log)
        running = asyncio.ensure_future(agent.run("Go"))
        await started.wait()
        await log.durable(log.seq)
        shutil.copytree(at, at.parent / "left", ignore=shutil.ignore_patterns("LOCK"))
        running.cancel()
        await asyncio.wait({running})
        await log.close()

    async def begin_again() -> None:
        async with open_log(at.parent / "left") as left:
            await Agent(model=scripted("Yes."), tools=[hang], log=left).run("Again")

    asyncio.run(begin())
    asyncio.run(begin_again())


def forked(at: Path) -> None:
    log = opened(at)

    def act() -> str:
        try:
            append(log)
        except errors.ForkedProcessError as error:
            return str(error)
        return ""

    pid, said = said_by_child(act)
    asyncio.run(log.close())
    raise errors.ForkedProcessError(said.replace(str(pid), "CHILD"))


def stuck(at: Path) -> None:
    box = Mailbox("face", None, capacity=2)
    for seq in (1, 2, 3):
        box.post(Record(seq=seq, at_ns=0, cause=0, actor="", event=k.UserSaid("a")))


async def provider(at: Path) -> None:
    try:
        await run_failed(at)
    except RunFailedError as error:
        raise error.__cause__ or error from None


async def run_failed(at: Path) -> None:
    agent = Agent(model=scripted("x").fails("overloaded"))
    await agent.run("Go")
    await agent.run("Go")


async def no_output(at: Path) -> None:
    print((await Agent(model=scripted("x")).run("Go")).output)


def diverged(at: Path) -> None:
    async def main() -> None:
        async with open_log(at) as log:
            await Agent(model=scripted("Yes."), system_prompt="Be brief.", log=log).run("Really?")
        report = await tinyagent.replay(
            at, lambda log: Agent(model=scripted("Yes."), system_prompt="Be long.", log=log)
        )
        report.check()

    asyncio.run(main())


def effect(at: Path) -> None:
    def act(state: int, record: Record) -> tuple[int, tuple[()]]:
        Path(os.devnull).read_bytes()
        return state, ()

    said = Record(seq=1, at_ns=0, cause=0, actor="", event=k.UserSaid("a"))
    kinds = frozenset({"user.said"})
    replay("runs/x", [said], [Machine("agent", act, 0, inputs=kinds, decisions=frozenset())])


def unknown_model(at: Path) -> None:
    Agent(model="nobody:gpt")


def tool_definition(at: Path) -> None:
    @tool
    def forecast(when) -> str:  # type: ignore[no-untyped-def] # that is what is wrong with it
        """Weather."""
        return ""


def unexpected(at: Path) -> None:
    step(State(), Record(seq=3, at_ns=0, cause=0, actor="", event=k.ModelFinished("end", [])))


async def invariant(at: Path) -> None:
    writing = Journal(MemoryLog(log_id=ID), VirtualClock())
    machine = agent_machine()
    machine.state = State(phase="thinking")
    await close_run(machine, Mailbox("agent", machine.inputs), writing, 1)


def extension_missing(at: Path) -> None:
    # As it is where the file is not for this platform; what was loaded stays so for the others.
    loaded = sys.modules["tinyagent._alchemy"]
    sys.modules["tinyagent._alchemy"] = cast("ModuleType", None)
    extension.__dict__.pop("LogWriter", None)
    try:
        opened(at)
    finally:
        sys.modules["tinyagent._alchemy"] = loaded


PROVOKED: dict[str, Callable[[Path], Any]] = {
    "OutOfOrderError": out_of_order,
    "LogClosedError": closed,
    "LogOwnedError": owned,
    "LogFencedError": fenced,
    "LogBehindError": behind,
    "LogLimitError": limited,
    "LogFullError": full,
    "LogFailedError": failed,
    "LogNotFoundError": not_found,
    "NotInLogError": not_in_log,
    "ImportedLogError": imported,
    "ForeignFormatError": foreign,
    "PrunedLogError": pruned,
    "LogVersionError": version,
    "CorruptLogError": corrupt,
    "RunUnfinishedError": unfinished,
    "ForkedProcessError": forked,
    "MailboxFullError": stuck,
    "ProviderError": provider,
    "RunFailedError": run_failed,
    "NoOutputError": no_output,
    "DivergenceError": diverged,
    "EffectInReplayError": effect,
    "MissingExtensionError": extension_missing,
    "UnknownModelError": unknown_model,
    "ToolDefinitionError": tool_definition,
    "UnexpectedEventError": unexpected,
    "InvariantError": invariant,
}
