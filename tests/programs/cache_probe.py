"""Two prompts with caching on, then one JSON document that says what was cached."""

import asyncio
import json
import os
from typing import Any

from tinyagent import Agent, AgentOptions, AssistantMessage, extract_text
from tinyagent.alchemy_provider import OpenAICompatModel, stream_alchemy_openai_completions

PROMPTS = ["Remember the number 7.", "Which number?"]


async def main() -> None:
    env = os.environ
    model = OpenAICompatModel(
        provider=env["CACHE_PROBE_PROVIDER"],
        id=env["CACHE_PROBE_MODEL"],
        api=env.get("CACHE_PROBE_API", ""),
        base_url=env["CACHE_PROBE_BASE_URL"],
    )
    session_id = env.get("CACHE_PROBE_SESSION_ID")

    async def stream_fn(model: Any, context: Any, options: Any) -> Any:
        options.api_key = env["CACHE_PROBE_API_KEY"]
        options.max_tokens = int(env.get("CACHE_PROBE_MAX_TOKENS", "64"))
        return await stream_alchemy_openai_completions(model, context, options)

    agent = Agent(
        AgentOptions(stream_fn=stream_fn, session_id=session_id, enable_prompt_caching=True)
    )
    agent.set_model(model)
    agent.set_system_prompt("Be brief.")
    records: list[dict[str, Any]] = []
    for turn, prompt in enumerate(PROMPTS, 1):
        message = await agent.prompt(prompt)
        assert isinstance(message, AssistantMessage)
        records.append(
            {
                "turn": turn,
                "prompt": prompt,
                "text": extract_text(message),
                "usage": message.usage,
                "provider": message.provider,
                "model": message.model,
                "api": message.api,
                "stop_reason": message.stop_reason,
            }
        )
    document = {
        "provider": model.provider,
        "model": model.id,
        "api": model.api,
        "base_url": model.base_url,
        "enable_prompt_caching": True,
        "session_id": agent.session_id,
        "records": records,
    }
    print(json.dumps(document, indent=2, sort_keys=True))


if __name__ == "__main__":
    asyncio.run(main())
