"""Hooks at four seams: what they see, what they change, what is on record, what a replay calls."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.agents import live, recorded
from tests.crashing import cut
from tests.face.test_exact_requests import anthropic, spoken

from tinyagent import (
    Agent,
    AgentOptions,
    AgentToolResult,
    Hooks,
    RunFailedError,
    ToolLoopControl,
    UserMessage,
    current_ctx,
    extract_text,
    load,
    named_model,
    open_log,
    replay,
    tool,
)
from tinyagent.events import Failure, kinds as k
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import ProviderServer, chat, scripted, status


@tool(effect="read")
def look(where: str) -> str:
    """Look somewhere."""
    return f"seen {where}"


def touched(*given: Any) -> Any:
    """A hook that must not be called."""
    raise AssertionError(f"a replay called a hook with {given}")


UNTOUCHED = Hooks(
    message=touched,
    request=touched,
    before_tool_call=touched,
    after_tool_call=touched,
    append=touched,
)


def shouted(message: Any) -> str:
    """Say it louder."""
    return extract_text(message).upper()


async def shouted_later(message: Any) -> UserMessage:
    """Say it louder, by a coroutine."""
    await asyncio.sleep(0)
    return UserMessage(content=[{"type": "text", "text": shouted(message)}])  # type: ignore[list-item] # as the public types take it


def colder(body: dict[str, Any]) -> None:
    """Ask for the likeliest answer, and say please."""
    body["temperature"] = 0
    body["messages"].insert(0, {"role": "system", "content": "Please."})


async def warmer(body: dict[str, Any]) -> dict[str, Any]:
    """Ask for another answer."""
    return {**body, "temperature": body["temperature"] + 1}


def said(agent: Agent) -> list[Any]:
    """Return what users said, as it is on record."""
    return [event.content for event in recorded(agent, "user.said")]


def asked(agent: Agent) -> list[Any]:
    """Return what was asked of hooks and answered, in short."""
    found = recorded(agent, "host.asked", "host.answered", "host.failed")
    return [f"{event.kind} {event.hook}" for event in found]


# Requests


def answer(body: Any) -> Any:
    """Look once, then be done."""
    if any(message["role"] == "tool" for message in body["messages"]):
        return chat(text="Done.")
    return chat(calls=[("look", '{"where": "here"}')])


async def posted(*hooks: Hooks, log: Any = None) -> tuple[Agent, list[Any]]:
    """Run an agent with *hooks* on a server; return it, and the bodies that the server got."""
    async with ProviderServer(answer) as server:
        agent = live(server.chat_url, look, hooks=list(hooks), log=log)
        await agent.run("hi")
        return agent, [request.json for request in server.requests]


async def test_a_request_hook_changes_what_is_sent_and_the_log_says_what() -> None:
    agent, bodies = await posted(Hooks(request=colder), Hooks(request=warmer))
    assert [body["temperature"] for body in bodies] == [1, 1]
    assert [body["messages"][0]["content"] for body in bodies] == ["Please.", "Please."]
    please = {"role": "system", "content": "Please."}
    assert [event.ops for event in recorded(agent, "host.answered")] == [
        [["splice", ["messages"], 0, 0, [please]], ["set", ["temperature"], 1]]
    ] * 2
    recording = load(agent.log)
    requests = [r.seq for r in recording.records if isinstance(r.event, k.ModelRequested)]
    for seq, body in zip(requests, bodies, strict=True):
        request = recording.request_at(seq)
        assert request.is_verified
        assert json.loads(request.body) == body


async def test_a_request_hook_that_changes_nothing_leaves_every_byte() -> None:
    agent, _ = await posted(Hooks(request=lambda body: dict(body)))
    other, _ = await posted()
    digests = [[e.request for e in recorded(each, "model.finished")] for each in (agent, other)]
    assert digests[0] == digests[1]


async def test_a_request_hook_that_raises_ends_the_run_before_anything_is_sent() -> None:
    def refuse(body: dict[str, Any]) -> None:
        raise ValueError("too much")

    async with ProviderServer([chat(text="Hi.")]) as server:
        agent = live(server.chat_url, hooks=[Hooks(request=refuse)])
        with pytest.raises(RunFailedError, match="too much"):
            await agent.run("hi")
        assert server.requests == []
    assert recorded(agent, "model.requested") == []
    assert recorded(agent, "host.failed") == [k.HostFailed("request", Failure("host", "too much"))]
    assert load(agent.log).replay().ok


async def test_what_a_stream_function_is_asked_cannot_be_changed_and_that_is_said() -> None:
    agent = Agent(model=scripted("Hi."), hooks=[Hooks(request=lambda body: {"messages": []})])
    assert (await agent.run("hi")).text == "Hi."
    (told,) = recorded(agent, "diagnostic.reported")
    assert told.name == "hooks.request"
    assert load(agent.log).replay().ok


@pytest.mark.parametrize(("second", "temperature"), [("openai", 0), ("anthropic", None)])
async def test_another_model_is_sent_the_same_changes_if_it_speaks_the_same_protocol(
    second: str, temperature: int | None
) -> None:
    says = chat(text="Here.") if second == "openai" else anthropic(spoken("Here."))
    down, up = ProviderServer(status(503, "busy")), ProviderServer([says])
    async with down, up:
        first, other = (
            named_model(f"{name}:m", base_url=f"{server.url}/v1")
            for name, server in (("openai", down), (second, up))
        )
        agent = Agent(
            AgentOptions(get_api_key=lambda _: "k", retries_max=0),
            model=first,
            fallback=[other],
            hooks=[Hooks(request=lambda body: {**body, "temperature": 0})],
        )
        assert (await agent.run("hi")).text == "Here."
        assert down.requests[0].json["temperature"] == 0
        assert up.requests[0].json.get("temperature") == temperature
    report = load(agent.log).replay()
    assert report.ok, report.first_divergence


# Tools


def halved(call: Any, message: Any) -> ToolLoopControl:
    """Show the first half of a result."""
    text = extract_text(message)
    return ToolLoopControl(result=text[: len(text) // 2])  # type: ignore[arg-type] # a text will do


def marked(call: Any, message: Any) -> None:
    """Mark a result."""
    message.content[0].text += "."


async def test_tool_hooks_answer_in_the_tools_place_or_change_its_result() -> None:
    def guard(call: Any, tool: Any, arguments: dict[str, Any]) -> ToolLoopControl | None:
        if arguments["where"] == "there":
            return ToolLoopControl(result=AgentToolResult(content="not there"))  # type: ignore[arg-type] # a text will do
        return None

    model = scripted([("look", {"where": "here!"}), ("look", {"where": "there"})], "Well.")
    hooks = [
        Hooks(before_tool_call=lambda *_: None),
        Hooks(before_tool_call=guard, after_tool_call=halved),
        Hooks(before_tool_call=lambda *_: None, after_tool_call=marked),
    ]
    agent = Agent(model=model, tools=[look], hooks=hooks)
    await agent.run("go")
    results = [extract_text(m) for m in agent.state.messages if m.role == "tool_result"]
    assert results == ["seen .", "not ."]
    assert load(agent.log).replay().ok


async def test_the_hooks_of_the_options_are_called_before_those_of_the_list() -> None:
    order: list[str] = []
    options = AgentOptions(before_tool_call=lambda *_: order.append("options"))
    hooks = [Hooks(before_tool_call=lambda *_: order.append("list"))]
    model = scripted(("look", {"where": "here"}), "Well.")
    await Agent(options, model=model, tools=[look], hooks=hooks).run("go")
    assert order == ["options", "list"]


# Records


async def test_an_append_hook_sees_every_record_and_what_it_raises_is_on_record() -> None:
    seen: list[str] = []
    agent = Agent(model=scripted("Hi."), hooks=[Hooks(append=lambda r: seen.append(r.event.kind))])
    await agent.run("hi")
    assert seen == [record.event.kind for record in agent.log.records]
    agent = Agent(model=scripted("Hi."), hooks=[Hooks(append=touched)])
    await agent.run("hi")
    (failed,) = recorded(agent, "sink.failed")
    assert "a replay called a hook" in failed.failure.message


def test_an_append_hook_is_a_plain_function() -> None:
    async def see(record: Any) -> None: ...

    with pytest.raises(TypeError, match="append is called in a thread; give it a plain function"):
        Hooks(append=see)


# All of them


def build(url: str, *, log: Any, hooks: Hooks) -> Agent:
    """Return an agent with *hooks*, on a server at *url*."""
    return live(url, look, log=log, hooks=[hooks])


WORKING = Hooks(
    message=shouted_later,
    request=colder,
    before_tool_call=lambda *_: None,
    after_tool_call=marked,
    append=lambda record: None,
)


async def test_a_replay_calls_no_hook(tmp_path: Path) -> None:
    async with open_log(tmp_path / "log") as log:
        agent, _ = await posted(WORKING, log=log)
    url = agent.log.settings.model["base_url"]
    report = await replay(tmp_path / "log", lambda *, log: build(url, log=log, hooks=UNTOUCHED))
    assert report.ok, report.first_divergence
    assert report.requests == 2
    report = await replay(tmp_path / "log", lambda *, log: live(url, look, log=log))
    assert not report.ok  # without them


async def test_cut_off_at_any_record_a_run_goes_on_with_its_hooks() -> None:
    async with ProviderServer(answer) as server:
        whole = build(server.chat_url, log=MemoryLog(), hooks=WORKING)
        await whole.run("hi")
        begun = next(r.seq for r in whole.log.records if r.event.kind == "user.said")
        for after in range(begun, whole.log.seq):
            agent = build(server.chat_url, log=cut(whole.log.store, after), hooks=WORKING)
            result = await agent.run()
            assert (result.outcome, result.text) == ("answered", "Done."), after
            report = load(agent.log).replay()
            assert report.ok, (after, report.first_divergence)
        assert {request.json["temperature"] for request in server.requests} == {0}


async def test_a_hook_is_given_the_context_that_tools_get() -> None:
    found: list[Any] = []
    hook = Hooks(message=lambda _: found.append(current_ctx().deps), request=lambda _: None)
    await Agent(model=scripted("Hi."), hooks=[hook], deps="the deps").run("hello")
    assert found == ["the deps"]


def above(log: Any) -> Agent:
    """Return an agent with another one below it, each with hooks of its own."""
    hooks = [Hooks(message=shouted, request=lambda body: None)]
    below = Agent(model=scripted("Found."), hooks=hooks)
    tools = [below.as_tool("research", "Finds things.")]
    model = scripted(("research", {"task": "dig"}), "Done.")
    return Agent(model=model, tools=tools, hooks=hooks, log=log)


async def test_an_agent_below_has_hooks_of_its_own_after_a_crash_too() -> None:
    whole = above(MemoryLog())
    await whole.run("go")
    begun = next(r.seq for r in whole.log.records if r.event.kind == "user.said")
    for after in range(begun, whole.log.seq):
        agent = above(cut(whole.log.store, after))
        assert (await agent.run()).text == "Done.", after
        assert said(agent) == ["GO", "DIG"], after
        report = load(agent.log).replay()
        assert report.ok, (after, report.first_divergence)
