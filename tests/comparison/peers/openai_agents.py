"""OpenAI Agents SDK: `SQLiteSession`; going on is another `Runner.run` with the same session."""

from __future__ import annotations

import asyncio

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    Runner,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)
from job import DO, FOLDER, PROMPT, SYSTEM, TURNS, URL, send_invoice, show
from openai import AsyncOpenAI

set_tracing_disabled(True)
session = SQLiteSession("session", FOLDER / "session.db")
model = OpenAIChatCompletionsModel("m", AsyncOpenAI(base_url=URL, api_key="none"))
agent = Agent("keeper", instructions=SYSTEM, model=model, tools=[function_tool(send_invoice)])


async def main() -> None:
    if DO == "read":
        show(await session.get_items())
        return
    prompt = "Go on." if DO == "resume" else PROMPT
    for _ in range(TURNS if DO == "long" else 1):
        result = await Runner.run(agent, prompt, session=session)
    print("outcome:", result.final_output[:5])


asyncio.run(main())
