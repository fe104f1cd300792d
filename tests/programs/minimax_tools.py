"""Three tools with contracts of their own; numbers may come as strings."""

import asyncio
import os
from typing import Any

from tinyagent import (
    Agent,
    AgentOptions,
    AgentTool,
    AgentToolResult,
    TextContent,
    ToolExecutionEndEvent,
    ToolExecutionUpdateEvent,
)
from tinyagent.alchemy_provider import OpenAICompatModel, stream_alchemy_openai_completions


def text(said: str, **details: Any) -> AgentToolResult:
    return AgentToolResult(content=[TextContent(text=said)], details=details)


async def add_numbers(call_id: str, args: Any, signal: Any, on_update: Any) -> AgentToolResult:
    total = float(args["a"]) + float(args["b"])
    return text(format(total, ".15g"), input=dict(args), output=total)


async def convert_temperature(
    call_id: str, args: Any, signal: Any, on_update: Any
) -> AgentToolResult:
    celsius = (float(args["value"]) - 32) / 1.8
    return text(f"{celsius:.1f} {args['unit']}")


async def build_trip_budget(
    call_id: str, args: Any, signal: Any, on_update: Any
) -> AgentToolResult:
    on_update(text("budget_calculation_started"))
    return text(str(float(args["days"]) * float(args["per_day"])))


def tool(name: str, execute: Any, **types: str) -> AgentTool:
    properties: Any = {key: {"type": kind} for key, kind in types.items()}
    schema = {"type": "object", "properties": properties, "required": list(types)}
    return AgentTool(name=name, description=name, parameters=schema, execute=execute, label=name)


async def main() -> None:
    key = os.environ["MINIMAX_API_KEY"]
    agent = Agent(
        AgentOptions(stream_fn=stream_alchemy_openai_completions, get_api_key=lambda provider: key)
    )
    agent.set_model(
        OpenAICompatModel(
            provider="minimax", id="MiniMax-M2.5", base_url=os.environ["MINIMAX_BASE_URL"]
        )
    )
    agent.set_tools(
        [
            tool("add_numbers", add_numbers, a="number", b="number"),
            tool("convert_temperature", convert_temperature, value="number", unit="string"),
            tool("build_trip_budget", build_trip_budget, days="number", per_day="number"),
        ]
    )
    async for event in agent.stream("Use all three tools."):
        if isinstance(event, ToolExecutionUpdateEvent) and event.partial_result is not None:
            print("update", event.tool_name, event.partial_result.content[0].text)  # type: ignore[union-attr] # a text
        if isinstance(event, ToolExecutionEndEvent) and event.result is not None:
            said = event.result.content[0].text  # type: ignore[union-attr] # a text
            print("end", event.tool_name, said, event.is_error, event.result.details)
    print(agent.state.messages[-1].content[0].text)  # type: ignore[union-attr] # a text


if __name__ == "__main__":
    asyncio.run(main())
