"""``tinyagent demo``: a real agent turn over a real HTTP stream: recorded, shown, replayed, forked,
killed in the midst of a tool, and resumed.

No key and no network but this machine's loopback.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing, nullcontext, redirect_stdout
from pathlib import Path

from tinyagent import edits
from tinyagent.agent import Agent
from tinyagent.agent_types import (
    AgentEvent,
    MessageUpdateEvent,
    ToolExecutionEndEvent,
    ToolExecutionStartEvent,
)
from tinyagent.cli import refs
from tinyagent.cli.answers import Demo
from tinyagent.cli.options import COMMON, Common
from tinyagent.cli.render import answer, emit
from tinyagent.cli.transcript import transcript
from tinyagent.continuing import fork, resume
from tinyagent.demo import QUESTION, SUNNY, build, doubt_answer, script, sunny_script
from tinyagent.runtime.clock import SystemClock
from tinyagent.runtime.stores import Log
from tinyagent.testing.provider import ProviderServer
from tinyagent.verbs import load, open_log, replay


def run(*, common: Common = COMMON) -> int:
    """Run the demonstration; return 1 if the replay is not the same."""
    where = _free(refs.folder(common.dir))
    with redirect_stdout(sys.stderr) if common.json else nullcontext():
        code = asyncio.run(_demo(where, common.color))
    if common.json:
        left = [where, *(where.with_name(f"{where.name}-{word}") for word in ("fork", "killed"))]
        answer(Demo(logs=[str(path) for path in left if path.exists()]))
    return code


async def _demo(where: Path, color: str) -> int:
    clock = SystemClock()
    started_s = clock.monotonic_s()
    print(f"> {QUESTION}\n")
    async with ProviderServer(script()) as server, open_log(where, name=where.name) as log:
        agent = build(log=log, url=server.chat_url)
        async with aclosing(agent.stream(QUESTION)) as events:
            async for event in events:
                _print(event)
        asked = len(server.requests)
    took_s = clock.monotonic_s() - started_s
    print(f"\n\n{asked} requests over HTTP in {took_s:.1f} s; every event is in {where}:\n")
    emit(transcript(load(where)), color=color)
    report = await replay(where, build)
    if report.first_divergence is not None:
        print(f"\nDivergenceError: {report.first_divergence}")
        return 1
    print(f"\nreplayed with the server gone and no tool run\nsame: {report.records} records")
    await _what_if(where, color)
    await _killed(where.with_name(f"{where.name}-killed"), color)
    print(
        "\nTry next, on this log or on the one in the package, which is @demo:\n"
        f"  {_self()} ls\n"
        f"  {_self()} show {where} --view timeline\n"
        f"  {_self()} why @demo:20\n"
        f"  {_self()} verify {where}\n"
        f"  {_self()} replay {where} --app tinyagent.demo:build\n"
        f"  jq -c 'select(.k == \"tool.finished\")' {where}/*.jsonl"
    )
    return 0


async def _what_if(parent: Path, color: str) -> None:
    """Fork where the forecast came, with another one; the booking waits for a person there."""
    into = parent.with_name(f"{parent.name}-fork")
    edit = edits.tool_result("call_w1", SUNNY)
    print(f"\nwhat if the forecast had been: {SUNNY}")
    async with (
        ProviderServer(sunny_script()) as server,
        fork(parent, edit=edit, into=into) as child,
    ):
        agent = build(log=child, url=server.chat_url)
        after = child.seq
        await agent.run()
        print("  book_table may change the world: in a fork it waits for an approval; refused")
        agent.deny("call_b1", why="this is only a what-if")
        await agent.run()
    emit(transcript(load(into), after=after), color=color)


async def _killed(where: Path, color: str) -> None:
    """Kill the process that runs the booking, and go on with its log."""
    program = f"from tinyagent.demo import book_for_ever; book_for_ever({str(where)!r}, %r)"
    async with ProviderServer([*script()[:2], doubt_answer()]) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program % server.chat_url, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        await process.stdout.readline()  # it says that it books
        process.kill()
        await process.wait()
        after = load(where).records[-1].seq
        print(f"\nkill -9 while the table was being booked; {where} ends with record {after}")
        asked = len(server.requests)

        def again(*, log: Log) -> Agent:
            return build(log=log, url=server.chat_url)

        async with resume(where, again, on_unknown=lambda call: call.tell()) as agent:
            await agent.run()
        paid = len(server.requests) - asked
    emit(transcript(load(where), after=after), color=color)
    print(f"resumed: {paid} more request, no second booking, and nobody was told a falsehood")


def _print(event: AgentEvent) -> None:
    match event:
        case MessageUpdateEvent(assistant_message_event=update) if update is not None:
            if update.type == "text_delta":
                print(update.delta, end="", flush=True)
        case ToolExecutionStartEvent(tool_name=name, args=args):
            shown = ", ".join(f"{key}={value!r}" for key, value in (args or {}).items())
            print(f"\n  → {name}({shown})", end="")
        case ToolExecutionEndEvent(tool_name=name, result=result) if result is not None:
            print(f"\n  ← {name}: {result.content[0].text}", end="")  # type: ignore[union-attr] # the demo's tools say text
        case _ if event.type == "turn_end":
            print()
        case _:
            pass


def _free(folder: Path) -> Path:
    number = 1
    while (folder / f"demo-{number}").exists():
        number += 1
    return folder / f"demo-{number}"


def _self() -> str:
    return f"{Path(sys.executable).parent.joinpath('tinyagent')}".replace(f"{Path.cwd()}/", "")
