"""Agent runs that others recorded with real providers, run again through ``Agent``.

A loopback server answers with the recorded bytes, tools return the recorded outputs. What the
agent asks must mean what was recorded; its log must replay with no network and no tool.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.actors.meaning import Json, asked_of, meaning, steps
from tests.corpus import APIS, folder

from tinyagent.actors.transports import Transport
from tinyagent.actors.transports.native import NativeTransport
from tinyagent.actors.transports.portable import PortableTransport
from tinyagent.agent import Agent, AgentOptions, extract_text
from tinyagent.agent_types import (
    AgentMessage,
    AgentState,
    AgentTool,
    AgentToolResult,
    TextContent,
    ThinkingBudgets,
)
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.events import Settings
from tinyagent.runtime.stores import Log
from tinyagent.testing import ProviderServer
from tinyagent.verbs import load, open_log, replay

SESSIONS = {
    "anthropic-calculator-parallel": "anthropic-messages",
    "anthropic-thinking-signature": "anthropic-messages",
    "deepseek-sequential-complex-args": "openai-completions",
    "gemini-calculator-loop-signatures": "google-generative-ai",
    "groq-sequential-complex-args": "openai-completions",
    "llamacpp-gptoss-reasoning": "openai-completions",
    "ollama-qwen3-two-user-turns": "openai-completions",
    "openai-chat-parallel-final-result": "openai-completions",
    "openai-responses-handoff-workflow": "openai-responses",
    "openai-responses-reasoning-two-user-turns": "openai-responses",
    "openrouter-kimi-chutes-parallel": "openai-completions",
    "zai-glm-reasoning-parallel": "openai-completions",
}
KNOWN_FAULTS = {
    # The recorded request lacks the first fragment of the reasoning that the stream delivered.
    "openrouter-kimi-chutes-parallel",
}
PATHS = {
    "openai-completions": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "anthropic-messages": "",
    "google-generative-ai": "/v1beta",
}
"""What ``base_url`` says behind the host, by protocol."""

SECRETS = {
    "anthropic-messages": r'"signature":\s*"([^"]+)"',
    "openai-responses": r'"encrypted_content":\s*"([^"]+)"',
    "google-generative-ai": r'"thoughtSignature":\s*"([^"]+)"',
}
"""What must go back byte for byte, as it stands in a recorded request."""


class Recorded:
    """One recorded run: what was asked, what was answered, what the tools gave."""

    def __init__(self, name: str) -> None:
        self.path = folder() / "sessions" / name
        self.session: Json = json.loads((self.path / "session.json").read_bytes())
        self.api = APIS[self.session["protocol"]]
        found = [step for step in steps(self.api) if step.name.partition("/")[0] == name]
        self.requests = [step.request for step in found]
        asked = [asked_of(step) for step in found]
        self.settings: list[Settings] = [settings for settings, _ in asked]
        self.outputs = {each["call_id"]: each["output"] for each in self.session["tool_outputs"]}
        # The calls after which the conversation went on under another prompt and other tools.
        self.handovers = {
            call["name"]
            for before, after, step in zip(
                self.settings, self.settings[1:], self.session["steps"], strict=False
            )
            if before != after
            for call in step["tool_calls"]
        }
        self.called: list[tuple[str, Json]] = []

    def answers(self) -> list[bytes]:
        return [(self.path / f"{step}.sse").read_bytes() for step in range(len(self.requests))]

    def prompts(self) -> list[str]:
        said = meaning(self.api, self.requests[-1])["messages"]
        return [text for message in said if (text := _asked(message))]

    def calls(self) -> list[tuple[str, Json]]:
        return [
            (call["name"], call["arguments"])
            for step in self.session["steps"]
            for call in step["tool_calls"]
        ]

    def tool(self, spec: Any) -> AgentTool:
        async def execute(call_id: str, args: Json, signal: Any, on_update: Any) -> AgentToolResult:
            self.called.append((spec.name, args))
            # Gemini gave its calls no ids; there the output is recorded under the tool's name.
            key = call_id if call_id in self.outputs else spec.name
            output = self.outputs.get(key, "done")
            is_last = key not in self.outputs or spec.name in self.handovers
            return AgentToolResult(content=[TextContent(text=_text(output))], terminate=is_last)

        return AgentTool(
            name=spec.name, description=spec.description, parameters=spec.schema, execute=execute
        )

    def agent(self, url: str, log: Log | None, transport: Transport | None = None) -> Agent:
        settings = self.settings[0]
        model = OpenAICompatModel(
            provider=settings.model["provider"],
            id=settings.model["id"] or self.session["model"],
            api=self.api,
            base_url=f"{url}{PATHS[self.api]}",
            auth="none",
            reasoning=settings.options.get("reasoning", False),
        )
        state = AgentState(
            system_prompt=settings.system,
            model=model,
            tools=[self.tool(spec) for spec in settings.tools],
        )
        return Agent(
            AgentOptions(
                initial_state=state,
                log=log,
                transport=transport,
                max_tokens=settings.options.get("max_tokens"),
                temperature=settings.options.get("temperature"),
                thinking_budgets=ThinkingBudgets(
                    thinking_budget=settings.options.get("thinking_budget_tokens")
                ),
            )
        )

    async def run(self, agent: Agent) -> AgentMessage:
        """Say what the user said, hand over where it was handed over; return the last answer."""
        last: AgentMessage | None = None
        for prompt in self.prompts():
            last = await agent.prompt(prompt)
        for before, after in zip(self.settings, self.settings[1:], strict=False):
            if before != after:
                agent.set_system_prompt(after.system)
                agent.set_tools([self.tool(spec) for spec in after.tools])
                last = await agent.continue_()
        assert last is not None
        return last


@pytest.fixture(params=SESSIONS)
def recorded(request: pytest.FixtureRequest) -> Recorded:
    return Recorded(request.param)


@pytest.fixture(params=["native", "portable"])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    made: Transport = (
        NativeTransport() if request.param == "native" else PortableTransport(time.monotonic)
    )
    yield made
    await made.aclose()


def test_every_recorded_run_is_run_here() -> None:
    found = sorted(path.name for path in (folder() / "sessions").iterdir())
    assert found == sorted(SESSIONS)
    assert len(found) == 12
    for name, api in SESSIONS.items():
        assert Recorded(name).api == api


async def test_a_recorded_run_goes_as_it_went_and_its_log_replays(
    recorded: Recorded, transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tmp_path / "log"
    async with ProviderServer(recorded.answers()) as server:
        async with open_log(where) as log:
            last = await recorded.run(recorded.agent(server.url, log, transport))
        asked = [request.json for request in server.requests]
        sent = [request.body for request in server.requests]

    assert recorded.called == recorded.calls()
    assert extract_text(last) == recorded.session["final_text"]
    assert len(asked) == len(recorded.requests)
    for ours, theirs in zip(asked, recorded.requests, strict=True):
        expected, found = (meaning(recorded.api, body) for body in (theirs, ours))
        if recorded.path.name in KNOWN_FAULTS:
            _drop_reasoning(expected)
            _drop_reasoning(found)
        assert found == expected
    for body, theirs in zip(sent, recorded.requests, strict=True):
        for secret in secrets_in(recorded.api, theirs):
            assert f'"{secret}"'.encode() in body

    read = load(where)
    numbers = [r.seq for r in read.records if r.event.kind == "model.requested"]
    assert [read.request_at(n).body for n in numbers] == sent

    def touched(*_: object) -> None:
        raise AssertionError("a replay ran a tool")

    monkeypatch.setattr(Recorded, "tool", lambda self, spec: _with(touched, spec))
    monkeypatch.setattr(socket.socket, "connect", touched)
    again = Recorded(recorded.path.name)
    report = await replay(where, lambda *, log: again.agent(server.url, log))
    assert report.ok, report.first_divergence
    assert report.requests == len(recorded.requests)
    assert load(where).damage is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("anthropic-thinking-signature", [0, 1]),
        ("openai-responses-reasoning-two-user-turns", [0, 1, 2, 3]),
        ("gemini-calculator-loop-signatures", [0, 1, 2, 3, 4]),
    ],
)
def test_the_recorded_requests_hold_secrets_to_look_for(name: str, expected: list[int]) -> None:
    run = Recorded(name)
    assert [len(set(secrets_in(run.api, body))) for body in run.requests] == expected


def secrets_in(api: str, request: Json) -> Iterator[str]:
    """Yield the signatures and encrypted items in *request*."""
    if api in SECRETS:
        yield from re.findall(SECRETS[api], json.dumps(request))


def _asked(message: Json) -> str:
    """Return what a user asked in *message*; empty if it is not a user's, or holds results."""
    if message.get("role") != "user":
        return ""
    parts = message.get("blocks") or message.get("parts") or [message]
    return "".join(part.get("text", "") for part in parts if "of" not in part)


def _text(output: Any) -> str:
    """Return a recorded output as the text that a tool gave."""
    match output:
        case str():
            return output
        case [{"text": str(text)}]:
            return text
        case {"result": result}:
            return str(result)
        case _:
            raise AssertionError(f"an output of a form that is not known: {output!r}")


def _with(execute: Any, spec: Any) -> AgentTool:
    return AgentTool(
        name=spec.name, description=spec.description, parameters=spec.schema, execute=execute
    )


def _drop_reasoning(said: Json) -> None:
    for message in said["messages"]:
        message.pop("reasoning", None)
