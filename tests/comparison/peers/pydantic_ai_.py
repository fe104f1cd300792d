"""pydantic-ai: `all_messages_json()` of each run in a file; going on is a run with that history."""

from __future__ import annotations

from job import DO, FOLDER, PROMPT, SYSTEM, TURNS, URL, send_invoice, show
from pydantic_ai import Agent, ModelMessagesTypeAdapter
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

model = OpenAIChatModel("m", provider=OpenAIProvider(base_url=URL, api_key="none"))
agent = Agent(model, system_prompt=SYSTEM, tools=[send_invoice])
session = FOLDER / "session.json"
history = ModelMessagesTypeAdapter.validate_json(session.read_bytes()) if session.exists() else []
if DO == "read":
    show(history)
else:
    for _ in range(TURNS if DO == "long" else 1):
        result = agent.run_sync("Go on." if DO == "resume" else PROMPT, message_history=history)
        history = result.all_messages()
        session.write_bytes(result.all_messages_json())
    print("outcome:", result.output[:5])
