"""The demonstration: a planner with three tools, and the provider that plays its model.

``build`` is a factory as replay wants it: ``tinyagent replay LOG --app tinyagent.demo:build``.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from tinyagent import testing as provider
from tinyagent.agent import Agent, AgentOptions
from tinyagent.agent_types import AgentState, AgentTool, AgentToolResult, TextContent
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.runtime.stores import Log
from tinyagent.verbs import open_log

QUESTION = "Plan a day in Paris for tomorrow, and book a table for two."
SUNNY = "Paris: sunny all day, 24 °C"
SYSTEM = "You plan trips. Look things up before you answer. Be brief."


def build(*, log: Log | None = None, url: str = "http://127.0.0.1/v1/chat/completions") -> Agent:
    """Return the planner. *url*: the endpoint to talk to."""
    model = OpenAICompatModel(
        provider="demo", id="planner-1", api="openai-completions", base_url=url
    )
    state = AgentState(system_prompt=SYSTEM, model=model, tools=[FORECAST, MUSEUMS, BOOK])
    return Agent(AgentOptions(initial_state=state, log=log, session_id="demo"))


def script() -> list[Any]:
    """Return the answers of the model, one per request, in chunks and at the pace of a real one."""
    pace = 0.012
    return [
        provider.paced(
            provider.chat(
                text="Let me look up the weather and what is open.",
                calls=[
                    ("call_w1", "forecast", {"city": "Paris", "days": 1}),
                    ("call_m1", "museums", {"city": "Paris"}),
                ],
                usage=_usage(212, 58),
            ),
            pace,
        ),
        provider.paced(
            provider.chat(
                text="Rain until noon, so a museum first. I book the table.",
                calls=[("call_b1", "book_table", {"place": "Le Petit Pont", "people": 2})],
                usage=_usage(305, 41),
            ),
            pace,
        ),
        provider.paced(
            provider.chat(
                text=(
                    "Morning: Musée d’Orsay while it rains (until about 12:00). "
                    "Lunch at Le Petit Pont, a table for two is booked for 12:30. "
                    "Afternoon: 21 °C and dry, so walk the Tuileries to the Louvre. Bon voyage!"
                ),
                usage=_usage(371, 63),
            ),
            pace,
        ),
    ]


def sunny_script() -> list[Any]:
    """Return what the model says where the forecast was another one."""
    calls = [("call_b1", "book_table", {"place": "Rosa Bonheur", "people": 2})]
    return [
        provider.chat(text="Sun all day: a garden table then.", calls=calls, usage=_usage(305, 30)),
        provider.chat(
            text="Start in the Tuileries, then Rosa Bonheur; the table is not booked.",
            usage=_usage(340, 25),
        ),
    ]


def doubt_answer() -> Any:
    """Return what the model says when nobody knows whether the table is booked."""
    told = "I do not know whether the table is booked: please call Le Petit Pont before you go."
    return provider.chat(text=told, usage=_usage(360, 28))


def book_for_ever(where: str, url: str) -> None:
    """Run the planner on a log at *where*, with a booking that never comes back."""

    async def booking(call_id: str, args: Any, signal: Any, on_update: Any) -> AgentToolResult:
        print("booking", flush=True)
        await asyncio.Event().wait()
        return _text("never")

    async def run() -> None:
        async with open_log(where, name="demo-killed") as log:
            agent = build(log=log, url=url)
            agent.set_tools([FORECAST, MUSEUMS, dataclasses.replace(BOOK, execute=booking)])
            await agent.prompt(QUESTION)

    asyncio.run(run())


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


async def _forecast(call_id: str, args: Any, signal: Any, on_update: Any) -> AgentToolResult:
    await asyncio.sleep(0.08)
    return _text(f"{args['city']}: rain until 12:00, then 21 °C and dry")


async def _museums(call_id: str, args: Any, signal: Any, on_update: Any) -> AgentToolResult:
    await asyncio.sleep(0.03)
    return _text("Orsay 9:30-18:00, Louvre 9:00-21:00, Cluny closed")


async def _book(call_id: str, args: Any, signal: Any, on_update: Any) -> AgentToolResult:
    await asyncio.sleep(0.02)
    return _text(f"{args['place']}: table for {args['people']} at 12:30, no. 4711")


def _text(text: str) -> AgentToolResult:
    return AgentToolResult(content=[TextContent(text=text)])


def _object(**properties: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": list(properties),
    }


FORECAST = AgentTool(
    name="forecast",
    description="Weather forecast of a city.",
    parameters=_object(city="string", days="integer"),
    execute=_forecast,
    effect="read",
)
MUSEUMS = AgentTool(
    name="museums",
    description="Museums of a city and their hours.",
    parameters=_object(city="string"),
    execute=_museums,
    effect="read",
)
BOOK = AgentTool(
    name="book_table",
    description="Book a table. Cannot be undone.",
    parameters=_object(place="string", people="integer"),
    execute=_book,
    effect="write",
)
