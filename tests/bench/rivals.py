"""Libraries beside our log and our mailboxes: one of them in a process, with its own Python.

``python rivals.py WHO SCENARIO`` prints what it cost, as ``floors.py`` does. Each library is
imported by its own measure alone; no type checker reads this file, for they are not there.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.line import lines_in, read_lines

RUNS = 3
READ, ASKED = 10_000, 2_000
RECORDS = 10_000
ON_DISK = 1_000
"""OpenHands writes a file for each event and syncs it: a tenth of the records, ten times."""


def least_s(work: Callable[[], object]) -> float:
    """Return the least CPU time that *work* took in a few runs."""
    took_s: list[float] = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        took_s.append(time.process_time() - start)
    return min(took_s)


def pydantic() -> float:
    """A line as a discriminated union of models, CPU µs."""
    from typing import Annotated, Literal

    from pydantic import BaseModel, Field, TypeAdapter

    class Pieces(BaseModel):
        pieces: list[tuple[int, str, str, int]]

    class Said(BaseModel):
        content: str

    class Line(BaseModel):
        seq: int
        ts: int
        v: int
        c: int
        a: str | None = None

    class Delta(Line):
        k: Literal["model.delta"]
        e: Pieces

    class User(Line):
        k: Literal["user.said"]
        e: Said

    read = TypeAdapter(Annotated[Delta | User, Field(discriminator="k")]).validate_json

    with tempfile.TemporaryDirectory() as folder:
        file = lines_in(Path(folder), READ)
        return least_s(lambda: read_lines(file, read)) / READ * 1e6


def eventsourcing() -> float:
    """An aggregate of 10,000 events out of SQLite, CPU ms."""
    from eventsourcing.application import Application
    from eventsourcing.domain import Aggregate, event

    class Session(Aggregate):
        @event("Logged")
        def log(self, text: str) -> None:
            self.last = text

    with tempfile.TemporaryDirectory() as folder:
        module = "eventsourcing.sqlite"
        base = str(Path(folder) / "events")
        app = Application(env={"PERSISTENCE_MODULE": module, "SQLITE_DBNAME": base})
        session = Session()
        for number in range(RECORDS):
            session.log("x" * 170)
            if number % 500 == 499:
                app.save(session)
        app.save(session)
        assert app.repository.get(session.id).version == RECORDS + 1
        cost = least_s(lambda: app.repository.get(session.id))
        app.close()
    return cost * 1e3


def openhands() -> float:
    """10,000 events out of a file each, CPU ms."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else its import asks the network
    os.environ["OPENHANDS_SUPPRESS_BANNER"] = "1"
    from openhands.sdk.conversation.event_store import EventLog
    from openhands.sdk.event import MessageEvent
    from openhands.sdk.io import LocalFileStore
    from openhands.sdk.llm import Message, TextContent

    with tempfile.TemporaryDirectory() as folder:
        log = EventLog(LocalFileStore(folder))
        message = Message(role="assistant", content=[TextContent(text="x" * 100)])
        for _ in range(ON_DISK):
            log.append(MessageEvent(source="agent", llm_message=message))
        assert len(list(EventLog(LocalFileStore(folder)))) == ON_DISK
        cost = least_s(lambda: list(EventLog(LocalFileStore(folder))))
    return cost * 1e3 * RECORDS / ON_DISK


def pykka() -> float:
    """A question to an actor of pykka, and its answer, CPU µs."""
    import pykka

    class Echo(pykka.ThreadingActor):
        def on_receive(self, message: object) -> object:
            return message

    actor = Echo.start()
    cost = least_s(lambda: [actor.ask(number) for number in range(ASKED)])
    actor.stop()
    return cost / ASKED * 1e6


def autogen() -> float:
    """A question to an actor of autogen-core, and its answer, CPU µs."""
    return asyncio.run(_autogen())


@dataclass
class Letter:
    """What is asked; autogen reads its type out of a module, so it is here."""


async def _autogen() -> float:
    from autogen_core import (
        AgentId,
        MessageContext,
        RoutedAgent,
        SingleThreadedAgentRuntime,
        message_handler,
    )

    globals().update(MessageContext=MessageContext)

    class Echo(RoutedAgent):
        def __init__(self) -> None:
            super().__init__("echo")

        @message_handler
        async def on(self, message: Letter, ctx: MessageContext) -> Letter:
            return message

    runtime = SingleThreadedAgentRuntime()
    await Echo.register(runtime, "echo", Echo)
    runtime.start()
    there = AgentId("echo", "default")
    took_s: list[float] = []
    for _ in range(RUNS):
        start = time.process_time()
        for _ in range(ASKED):
            await runtime.send_message(Letter(), there)
        took_s.append(time.process_time() - start)
    await runtime.stop()
    return min(took_s) / ASKED * 1e6


MEASURES = {
    ("pydantic", "read"): ("cpu_us", pydantic),
    ("eventsourcing", "restore"): ("cpu_ms", eventsourcing),
    ("openhands", "restore"): ("cpu_ms", openhands),
    ("pykka", "ask"): ("cpu_us", pykka),
    ("autogen-core", "ask"): ("cpu_us", autogen),
}


if __name__ == "__main__":
    who, scenario = sys.argv[1:3]
    name, measure = MEASURES[who, scenario]
    print(json.dumps({"client": who, "scenario": scenario, name: measure()}))
