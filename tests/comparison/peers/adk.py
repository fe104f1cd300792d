"""Google ADK: `SqliteSessionService`, a resumable `App`; going on names the invocation."""

from __future__ import annotations

import asyncio

from google.adk.agents import LlmAgent
from google.adk.apps import App, ResumabilityConfig
from google.adk.models.lite_llm import LiteLlm
from google.adk.runners import Runner
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai import types
from job import DO, FOLDER, PROMPT, SYSTEM, TURNS, URL, send_invoice, show

ids = {"user_id": "user", "session_id": "session"}
model = LiteLlm("openai/m", api_base=URL, api_key="none")
agent = LlmAgent(name="keeper", model=model, instruction=SYSTEM, tools=[send_invoice])
app = App(
    name="invoices",
    root_agent=agent,
    resumability_config=ResumabilityConfig(is_resumable=True),
)


async def main() -> None:
    service = SqliteSessionService(str(FOLDER / "session.db"))
    if DO in ("run", "long"):
        await service.create_session(app_name=app.name, **ids)
    session = await service.get_session(app_name=app.name, **ids)
    if DO == "read":
        show([each.content for each in session.events if each.content])
        return
    runner = Runner(app=app, session_service=service)
    said = types.Content(role="user", parts=[types.Part(text=PROMPT)])
    given = {"new_message": said}
    if DO == "resume":
        given = {"invocation_id": session.events[-1].invocation_id}
    for _ in range(TURNS if DO == "long" else 1):
        async for event in runner.run_async(**ids, **given):
            if event.content and event.content.parts[0].text:
                outcome = event.content.parts[0].text
    print("outcome:", outcome[:5])


asyncio.run(main())
