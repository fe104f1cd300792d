"""The binding called directly until its end, and the same by the asynchronous function."""

import asyncio
import os
import time
from typing import Any

from tinyagent._alchemy import openai_completions_stream
from tinyagent.agent_types import Context, SimpleStreamOptions, TextContent, UserMessage
from tinyagent.alchemy_provider import OpenAICompatModel, stream_alchemy_openai_completions

MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "text", "text": "Say hello."}]},
    {"role": "assistant", "content": [{"type": "text", "text": "Hello."}], "stop_reason": "stop"},
    {"role": "user", "content": [{"type": "text", "text": "Again."}]},
]


def blocking(provider: str, api: str, url: str) -> None:
    started_s = time.perf_counter()
    handle = openai_completions_stream(
        {
            "id": "m",
            "provider": provider,
            "api": api,
            "base_url": url,
            "name": None,
            "headers": None,
            "reasoning": False,
            "context_window": None,
            "max_tokens": None,
        },
        {"system_prompt": "", "messages": MESSAGES, "tools": None},
        {"api_key": "k", "temperature": None, "max_tokens": 32},
    )
    words: list[str] = []
    while True:
        event = handle.next_event()
        if event is None:
            break
        words.append(event["type"])
    message = handle.result()
    assert time.perf_counter() - started_s < 60
    print(provider, ",".join(words), message["content"][0]["text"], message["stop_reason"])


async def asynchronous(url: str) -> None:
    response = await stream_alchemy_openai_completions(
        OpenAICompatModel(provider="openrouter", id="m", base_url=url),
        Context(messages=[UserMessage(content=[TextContent(text="Say hello.")])]),
        SimpleStreamOptions(api_key="k"),
    )
    words = [str(event.type) async for event in response]
    message = await response.result()
    print("async", ",".join(words), message.content[0].text)  # type: ignore[union-attr] # a text


if __name__ == "__main__":
    root = os.environ["SMOKE_URL"]
    blocking("openrouter", "openai-completions", f"{root}/v1/chat/completions")
    blocking("minimax", "minimax-completions", f"{root}/v1/chat/completions")
    blocking("kimi", "anthropic-messages", root)
    asyncio.run(asynchronous(f"{root}/v1/chat/completions"))
