"""What the documentation shows, against whatever binding there is."""

import asyncio
import importlib
import json
from typing import Any

from tinyagent import (
    Agent,
    AgentOptions,
    AgentTool,
    AgentToolResult,
    TextContent,
    ToolLoopControl,
    UserMessage,
    extract_text,
)
from tinyagent.agent_types import Context, Model, SimpleStreamOptions
from tinyagent.alchemy_provider import OpenAICompatModel, stream_alchemy_openai_completions
from tinyagent.caching import add_cache_breakpoints

binding: Any = importlib.import_module("_alchemy")
MODEL = OpenAICompatModel(
    provider="mine", id="m", base_url="http://127.0.0.1:9", headers={"a": "b"}
)


async def f(call_id: str, args: Any, signal: Any, on_update: Any) -> AgentToolResult:
    return AgentToolResult(content=[TextContent(text=f"f {args['a']}")])


def agent(*tools: AgentTool, **options: Any) -> Agent:
    made = Agent(AgentOptions(stream_fn=stream_alchemy_openai_completions, **options))
    made.set_model(MODEL)
    made.set_system_prompt("Be brief.")
    made.set_tools(list(tools))
    return made


async def main() -> None:
    first: Any = await agent().prompt("Hello?")
    print(first.content[0].text, first.usage["total_tokens"], first.provider)

    words: list[str] = []
    with_tool = agent(AgentTool(name="f", description="d", parameters={}, execute=f))
    async for event in with_tool.stream("Use f."):
        inner = getattr(event, "assistant_message_event", None)
        words.append(inner.type if inner is not None else str(event.type))
    print(",".join(words))

    print("|".join([part async for part in agent().stream_text("Hello?")]))

    heard: list[Any] = []
    listened = agent()
    unsubscribe = listened.subscribe(heard.append)
    await listened.prompt("Hello?")
    unsubscribe()
    print(heard[0].type, heard[-1].type, extract_text(listened.state.messages[-1]))

    async def before(call: Any, tool: Any, args: Any) -> ToolLoopControl | None:
        return ToolLoopControl(result=AgentToolResult(content=[TextContent(text="no")]))

    hooked = agent(AgentTool(name="f", execute=f), before_tool_call=before)
    await hooked.prompt("Use f.")
    print([extract_text(message) for message in hooked.state.messages])

    given = [UserMessage(content=[TextContent(text="hi")])]
    marked: Any = await add_cache_breakpoints(list(given))
    print(marked[0].content[0].cache_control.type, given[0].content[0])

    context = Context("S", list(given), [AgentTool(name="f", label="F")])
    options = SimpleStreamOptions(api_key="k", max_tokens=9)
    binding.asked.clear()
    plain = Model(provider=" ", id="m", api="minimax")
    for model in (MODEL, plain):
        response = await stream_alchemy_openai_completions(model, context, options)
        await response.result()
    print(json.dumps(binding.asked))


if __name__ == "__main__":
    asyncio.run(main())
