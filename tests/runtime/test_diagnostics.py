"""Diagnostics: silent by default, about a record, and never what was said in it."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture
from tests.recordings import PARIS, REPLAYS, agent, made_of

from tinyagent import StructlogSink
from tinyagent.agent_types import AgentToolResult, TextContent
from tinyagent.events import kinds as k
from tinyagent.runtime.diagnostics import add_handled, handled, tell
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import chat
from tinyagent.verbs import load

LOGS = sorted(path.name for path in REPLAYS.glob("*.jsonl"))
SAID = ("Paris", "Rome", "sunny", "Service Unavailable", "story", "Be brief", "Celsius")


def test_nothing_is_printed_or_loaded_unless_the_application_asks() -> None:
    program = (
        "from tinyagent.runtime.diagnostics import tell\n"
        "import sys\n"
        "tell('proxy', 'something odd')\n"
        "assert 'structlog' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_a_diagnostic_says_which_record_was_handled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[dict[str, Any]] = []

    async def tool(*given: object) -> AgentToolResult:
        tell("tools", "it is slow today")
        seen.append(handled())
        return AgentToolResult(content=[TextContent(text="ok")])

    log = MemoryLog()
    answers = [chat(text="Welcome."), chat(calls=[PARIS]), chat(text="ok")]
    planner = agent(log, answers, execute=tool)
    await planner.prompt("Hello.")
    with caplog.at_level(logging.WARNING, logger="tinyagent"):
        await planner.prompt("Weather in Paris?")
    requested = next(r.seq for r in log.read() if r.kind == k.ToolRequested.kind)
    second = [r.seq for r in log.read() if r.kind == k.UserSaid.kind][1]
    where = {"session": log.meta.log, "run": second, "actor": "tools", "seq": requested}
    assert seen == [where]
    (told,) = (record for record in caplog.records if record.name == "tinyagent.tools")
    assert told.getMessage() == "it is slow today"
    assert {name: getattr(told, name) for name in where} == where
    assert handled() == {}


async def test_the_applications_own_lines_can_say_it_too() -> None:
    capture = LogCapture()
    logger = structlog.wrap_logger(None, processors=[add_handled, capture])

    async def tool(*given: object) -> AgentToolResult:
        logger.info("looked up", seq="mine")
        return AgentToolResult(content=[TextContent(text="ok")])

    await agent(MemoryLog(), [chat(calls=[PARIS]), chat(text="ok")], execute=tool).prompt("hi")
    (line,) = capture.entries
    assert (line["actor"], line["run"], line["seq"]) == ("tools", 2, "mine")


@pytest.mark.parametrize("name", LOGS)
def test_a_line_per_record_holds_nothing_that_was_said(name: str) -> None:
    capture = LogCapture()
    sink = StructlogSink(structlog.wrap_logger(None, processors=[capture]))
    records = load(REPLAYS / name).records
    for record in records:
        sink.write(record)
    assert [line["seq"] for line in capture.entries] == [record.seq for record in records]
    assert not [text for text in SAID if text in repr(capture.entries)]


def test_not_even_what_a_person_gave_as_a_reason() -> None:
    capture = LogCapture()
    sink = StructlogSink(structlog.wrap_logger(None, processors=[capture]))
    for record in made_of(
        k.CancelRequested("Ann is ill"),
        k.ApprovalDecided("c1", "x", False, why="Ann is ill"),
        k.ModelFinished("end"),
        causes=(0, 0, 0),
    ).records:
        sink.write(record)
    assert "Ann" not in repr(capture.entries)
    assert capture.entries[2]["reason"] == "end"


def test_with_content_the_line_is_the_whole_event() -> None:
    capture = LogCapture()
    sink = StructlogSink(structlog.wrap_logger(None, processors=[capture]), content=True)
    for record in load(Path(REPLAYS / "one-tool.jsonl")).records:
        sink.write(record)
    assert capture.entries[1]["content"] == "Weather in Paris?"
