"""The programs that the face was designed by, as they were written, run without a key or network.

``PROGRAMS`` is their text, word for word. Each runs in a folder of its own, beside an application
``myapp`` whose model is scripted.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tinyagent import load
from tinyagent.testing import scripted

PROGRAMS = (Path(__file__).parent / "programs" / "targets.txt").read_text(encoding="utf-8")
MYAPP = '''
import os
from pathlib import Path

from tinyagent import Agent, Ctx, tool
from tinyagent.agent_types import ToolResultMessage, UserMessage
from tinyagent.testing import scripted


@tool(effect="read")
async def weather(city: str) -> str:
    """The weather of a city."""
    return "13 °C, rain"


@tool
async def send_invoice(ctx: Ctx, to: str) -> str:
    """Send the invoice."""
    with Path("sent.txt").open("a") as ledger:
        ledger.write(ctx.idempotency_key + "\\n")
    if "CRASH" in os.environ:
        os._exit(9)
    return "sent"


def was_sent(key):
    return key in Path("sent.txt").read_text().split()


def first(context):
    asked = context.messages[0].content[0].text
    if "invoice" in asked:
        return ("send_invoice", {"to": "ann@example.org"})
    return ["Let me look.", ("weather", {"city": "Paris"})]


def last(context):
    return f"It is: {context.messages[-1].content[0].text}."


def build(*, log=None):
    return Agent(model=scripted(first, last), tools=[weather, send_invoice], log=log)
'''
INVOICE = """
import asyncio
from tinyagent import open_log
from myapp.agents import build

async def main():
    async with open_log("runs/invoices") as log:
        await build(log=log).run("Send the invoice")

asyncio.run(main())
"""


def program(number: int) -> str:
    """Return the text of one program."""
    begun = PROGRAMS.index(f"# {number}  ")
    return PROGRAMS[begun : PROGRAMS.index(f"# {number + 1}  ")]


def run(*numbers: int) -> dict[str, Any]:
    """Run programs as one, from the top to the bottom; return what they left behind."""
    left: dict[str, Any] = {"__name__": "program"}
    for number in numbers:
        exec(compile(program(number), f"program {number}", "exec"), left)
    return left


@pytest.fixture(autouse=True)
def _beside_myapp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "myapp").mkdir()
    (tmp_path / "myapp" / "__init__.py").write_text("")
    (tmp_path / "myapp" / "agents.py").write_text(MYAPP, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("myapp.agents", "myapp"):
        sys.modules.pop(name, None)


def test_program_1_says_hello_without_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    run(1)
    assert capsys.readouterr().out == "Paris.\n"


def test_program_2_makes_a_tool_of_a_function() -> None:
    agent = run(2)["agent"]
    agent.set_model(scripted(("forecast", {"city": "Oslo"}), "Sunny."))
    assert agent.run_sync("Weather?").text == "Sunny."
    call = agent.log.tool_calls["c1"]
    assert (call.effect, call.content) == ("read", "Oslo: sunny for 3 days")


def test_program_3_shows_a_run_as_it_happens(capsys: pytest.CaptureFixture[str]) -> None:
    show = run(3)["show"]
    agent = run(2)["agent"]
    agent.set_model(scripted(["One moment.", ("forecast", {"city": "Oslo", "days": 0})], "Done."))
    asyncio.run(show(agent))
    assert capsys.readouterr().out == (
        "One moment."
        "\n[forecast {'city': 'Oslo', 'days': 0}]\n"
        "\n[forecast failed: Invalid arguments for tool forecast:\n"
        "- $.days: 0 is less than the minimum of 1\n"
        'Received: {"city": "Oslo", "days": 0}]\n'
        "Done."
        "\nanswered, 39 tokens\n"
    )


def test_programs_4_to_6_record_replay_and_ask_what_if(
    capsys: pytest.CaptureFixture[str],
) -> None:
    programs = run(4, 5)
    asyncio.run(programs["record"]())
    recorded = load("runs/trip")
    assert capsys.readouterr().out == f"It is: 13 °C, rain. {recorded.ref}\n"

    asyncio.run(programs["check"]())
    assert load("runs/trip").records == recorded.records

    asyncio.run(run(6)["what_if"]())
    answer, *differences = capsys.readouterr().out.splitlines()
    assert answer == "It is: 21 °C, sunny. same up to 9, then"
    assert [line.strip() for line in differences[:3]] == [
        "10    tool.finished  content differs",
        '- "13 °C, rain"',
        '+ "21 °C, sunny"',
    ]
    assert load("runs/trip").records == recorded.records


def test_program_7_asks_the_ledger_after_a_crash_and_sends_nothing_twice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRASH", "1")
    monkeypatch.setenv("PYTHONPATH", f"{Path.cwd()}:{':'.join(sys.path)}")
    died = subprocess.run([sys.executable, "-c", INVOICE], check=False, capture_output=True)
    assert died.returncode == 9, died.stderr.decode()
    monkeypatch.delenv("CRASH")

    asyncio.run(run(7)["restart"]())
    assert capsys.readouterr().out == "It is: sent before the crash.\n"
    assert len(Path("sent.txt").read_text().split()) == 1


def test_the_programs_are_those_of_the_design() -> None:
    assert [program(number).splitlines()[0] for number in range(1, 8)] == [
        "# 1  hello, no key",
        "# 2  a tool",
        "# 3  watching: one vocabulary, the log's own",
        "# 4  record",
        "# 5  and replay: no network, no tools, no cost",
        "# 6  what if",
        "# 7  after a crash",
    ]
