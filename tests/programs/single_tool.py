"""One tool, an explicit api; prints the message."""

import asyncio
import os
from typing import Any

from tinyagent import Agent, AgentOptions, AgentTool, AgentToolResult, TextContent
from tinyagent.alchemy_provider import OpenAICompatModel, stream_alchemy_openai_completions


async def add(tool_call_id: str, args: Any, signal: Any, on_update: Any) -> AgentToolResult:
    return AgentToolResult(content=[TextContent(text=str(args["a"] + args["b"]))])


def get_api_key(provider: str) -> str | None:
    return os.environ.get(f"{provider.upper()}_API_KEY")


async def main() -> None:
    model = OpenAICompatModel(
        provider="chutes",
        id="Qwen/Qwen3-32B",
        api="openai-completions",
        base_url=os.environ["CHUTES_BASE_URL"],
        max_tokens=128,
    )
    agent = Agent(
        AgentOptions(stream_fn=stream_alchemy_openai_completions, get_api_key=get_api_key)
    )
    agent.set_model(model)
    numbers = {"a": {"type": "integer"}, "b": {"type": "integer"}}
    agent.set_tools(
        [
            AgentTool(
                name="add",
                description="Add two numbers",
                parameters={"type": "object", "properties": numbers, "required": ["a", "b"]},
                execute=add,
            )
        ]
    )
    print(await agent.prompt("What is 2 + 3?"))


if __name__ == "__main__":
    asyncio.run(main())
