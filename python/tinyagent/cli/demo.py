"""``tinyagent demo``: a real agent turn over a real HTTP stream, recorded, shown and replayed.

No key and no network but this machine's loopback.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from tinyagent.agent_types import (
    AgentEvent,
    MessageUpdateEvent,
    ToolExecutionEndEvent,
    ToolExecutionStartEvent,
)
from tinyagent.cli import refs, show
from tinyagent.demo import QUESTION, build, script
from tinyagent.runtime.clock import SystemClock
from tinyagent.testing.provider import ProviderServer
from tinyagent.verbs import load, open_log, replay


def run(argv: Sequence[str]) -> int:
    """Run the demonstration; return 1 if the replay is not the same."""
    where = _free(refs.folder())
    return asyncio.run(_demo(where))


async def _demo(where: Path) -> int:
    clock = SystemClock()
    started_s = clock.monotonic_s()
    print(f"> {QUESTION}\n")
    async with ProviderServer(script()) as server, open_log(where, name="demo") as log:
        agent = build(log=log, url=server.chat_url)
        async for event in agent.stream(QUESTION):
            _print(event)
        asked = len(server.requests)
    took_s = clock.monotonic_s() - started_s
    print(f"\n\n{asked} requests over HTTP in {took_s:.1f} s; every event is in {where}:\n")
    for line in show.transcript(load(where)):
        print(line)
    report = await replay(where, build)
    if report.first_divergence is not None:
        print(f"\nDivergenceError: {report.first_divergence}")
        return 1
    print(f"\nreplayed with the server gone and no tool run\nsame: {report.records} records")
    print(
        f"\nTry next:\n"
        f"  {_self()} show {where} --view events\n"
        f"  {_self()} verify {where}\n"
        f"  {_self()} replay {where} --app tinyagent.demo:build\n"
        f"  jq -c 'select(.k == \"tool.finished\")' {where}/*.jsonl"
    )
    return 0


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
