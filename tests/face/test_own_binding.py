"""A module ``_alchemy`` of the user's own: when it is asked, and what it is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

STAND_IN = Path(__file__).resolve().parents[1] / "programs" / "stand_in"
ASK = """
import asyncio, json, sys
if {absent}:
    sys.modules["tinyagent._alchemy"] = None
import _alchemy
from tinyagent import Agent, AgentOptions, AgentState, Context, Model, SimpleStreamOptions
from tinyagent.alchemy_provider import OpenAICompatModel, stream_alchemy_openai_completions
from tinyagent.rust_binding_provider import RustBindingModel, stream_rust_binding

async def by_hand(stream, model):
    response = await stream(model, Context(), SimpleStreamOptions())
    return type(response).__name__, (await response.result()).content[0].text

async def by_agent(stream, model):
    agent = Agent(AgentOptions(initial_state=AgentState(model=model), stream_fn=stream))
    return await agent.prompt_text("hi")

print(json.dumps([asyncio.run({way}({stream}, {model})), _alchemy.asked]))
"""
LEFT, RIGHT = "stream_alchemy_openai_completions", "stream_rust_binding"


def asked(
    way: str, stream: str, model: str, keys: dict[str, str], *, absent: bool = False
) -> tuple[Any, Any]:
    """Return what came, and what the user's module was given."""
    program = ASK.format(way=way, stream=stream, model=model, absent=absent)
    paths = os.pathsep.join([str(STAND_IN), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": paths, **keys},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    came, given = json.loads(done.stdout)
    return came, given


def test_what_nobody_knows_of_a_plain_model_is_none() -> None:
    came, [(model, context, options)] = asked("by_hand", LEFT, "Model(provider='mine', id='m')", {})
    assert came == ["AlchemyStreamResponse", "Hello!"]
    assert model == {
        "id": "m",
        "provider": "mine",
        "api": "openai-completions",
        "base_url": "https://api.openai.com/v1/chat/completions",
        "name": None,
        "headers": None,
        "reasoning": False,
        "context_window": None,
        "max_tokens": None,
    }
    assert context == {"system_prompt": "", "messages": [], "tools": None}
    assert options == {"api_key": None, "temperature": None, "max_tokens": None}


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("Model(provider='OpenAI', id='m')", "of-openai"),
        ("OpenAICompatModel(provider='Groq', base_url='http://127.0.0.1:9')", "of-groq"),
        ("OpenAICompatModel(provider='groq', base_url='http://127.0.0.1:9', auth='none')", None),
        ("Model(provider='groq', id='m')", None),  # at the URL of OpenAI
    ],
)
def test_the_key_of_the_environment_goes_along_where_it_belongs(
    model: str, key: str | None
) -> None:
    keys = {"OPENAI_API_KEY": "of-openai", "GROQ_API_KEY": "of-groq"}
    _, [(_, _, options)] = asked("by_hand", LEFT, model, keys)
    assert options["api_key"] == key


@pytest.mark.parametrize("way", ["by_hand", "by_agent"])
def test_the_other_function_asks_it_where_ours_cannot_be_loaded(way: str) -> None:
    came, [(model, context, options)] = asked(
        way, RIGHT, "RustBindingModel(provider='Kimi', id='m')", {"KIMI_API_KEY": "k"}, absent=True
    )
    assert came == (["RustBindingStreamResponse", "Hello!"] if way == "by_hand" else "Hello!")
    assert model == {
        "id": "m",
        "provider": "Kimi",
        "api": "anthropic-messages",
        "base_url": "https://api.kimi.com/coding",
        "reasoning": False,
        "context_window": 128000,
        "max_tokens": 4096,
    }
    assert "tools" not in context
    assert options == {"api_key": "k"}
