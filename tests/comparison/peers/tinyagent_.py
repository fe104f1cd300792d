"""This library: a log in a folder, `resume` with its default, which asks nobody."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from job import DO, FOLDER, PROMPT, SYSTEM, TURNS, URL, send_invoice, show

from tinyagent import Agent, LogError, load, named_model, open_log, resume, tool

SESSION = FOLDER / "session"
REPAIR = (sys.executable, "-m", "tinyagent", "repair", SESSION, "-o")


def build(*, log=None):
    model = named_model("vllm:m", base_url=URL)
    return Agent(model=model, system_prompt=SYSTEM, tools=[tool(send_invoice)], log=log)


async def main() -> None:
    if DO == "resume":
        async with resume(SESSION, build) as agent:
            print("outcome:", (await agent.run()).outcome)
            print("in doubt:", *[call.name for call in agent.log.in_doubt])
        return
    async with open_log(SESSION) as log:
        agent = build(log=log)
        for _ in range(TURNS if DO == "long" else 1):
            await agent.run(PROMPT)


if DO == "read":
    try:
        recording = load(SESSION)
        print("noticed:", recording.damage.verdict if recording.damage else "nothing")
    except LogError as error:
        print("noticed:", type(error).__name__)
        repaired = Path(tempfile.mkdtemp(dir=FOLDER)) / "repaired"
        subprocess.run([*REPAIR, repaired], check=True, stdout=subprocess.DEVNULL)
        recording = load(repaired)
    show(recording.messages)
else:
    asyncio.run(main())
