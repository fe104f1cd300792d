"""The context edited, all the way: what the model is sent, what people see, replay, undoing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.agents import C1, heard, make, recorded, reported
from tests.crashing import cut
from tests.traces import calls, text, tool

from tinyagent import (
    Agent,
    AgentOptions,
    AgentTool,
    Compaction,
    edits,
    fork,
    load,
    named_model,
    open_log,
    replay,
    resume,
)
from tinyagent.events import kinds as k
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import ProviderServer, chat

ADD = ("add", {"a": 1})
LONG = {"prompt_tokens": 900, "completion_tokens": 100, "total_tokens": 1000}


async def done(call_id: str, args: Any, signal: Any, on_update: Any) -> str:
    return "done"


def texts(body: Any) -> list[str]:
    """Return what a chat request says, message by message: text, or the ids of the calls."""
    return [_said(message) for message in body["messages"]]


def _said(message: Any) -> str:
    if message.get("tool_calls"):
        return ",".join(call["id"] for call in message["tool_calls"])
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


class Shop:
    """An agent on a server that answers with a script; ``asked`` is what the server was sent."""

    def __init__(self, server: ProviderServer, **options: Any) -> None:
        self.server = server
        self.options = options

    def build(self, *, log: Any) -> Agent:
        model = named_model("openai:gpt-4o", base_url=f"{self.server.url}/v1", auth="none")
        tools = [AgentTool(name="add", execute=done, effect="read")]
        return Agent(AgentOptions(**self.options), model=model, tools=tools, log=log)

    @property
    def asked(self) -> list[list[str]]:
        return [texts(request.json) for request in self.server.requests]


def request_digests(agent: Agent) -> list[str]:
    return [event.request for event in recorded(agent, "model.finished")]


async def test_an_edit_shapes_the_next_request_and_nothing_that_people_see() -> None:
    script = [chat(text="One."), chat(text="Two."), chat(text="Three.")]
    async with ProviderServer(script) as server:
        shop, log = Shop(server), MemoryLog()
        agent = shop.build(log=log)
        await agent.run("first")
        await agent.run("second")
        told = [s.seq for s in log.read() if s.kind in ("user.said", "model.finished")]
        first, answered = told[:2]
        made = agent.edit_context([edits.replace(first, "1st"), edits.drop(answered)])
        assert [edit.moved for edit in made] == ["", ""]
        await agent.run("third")
        assert shop.asked[2] == ["1st", "second", "Two.", "third"]
    said = [message.content[0].text for message in agent.state.messages]  # type: ignore[union-attr] # texts
    assert said == ["first", "One.", "second", "Two.", "third", "Three."]
    assert len(load(log).messages) == 6
    report = load(log).replay()
    assert report.ok, report.first_divergence
    assert report.requests == 3


async def test_undoing_every_edit_restores_the_digest_of_the_request() -> None:
    digests: list[str] = []
    for is_edited in (False, True):
        async with ProviderServer([chat(text="One."), chat(text="Two.")]) as server:
            agent = Shop(server).build(log=None)
            await agent.run("first")
            if is_edited:
                made = agent.edit_context([edits.replace(2, "1st"), edits.drop(2)])
                made.append(agent.compact(keep_turns=1))
                for edit in made:
                    agent.edit_context([edits.undo(edit.seq)])
            await agent.run("second")
            digests.append(request_digests(agent)[1])
            assert load(agent.log).replay().ok
    assert digests[0] == digests[1] != ""


async def test_an_edit_that_would_part_a_call_from_its_result_says_what_it_moved_to() -> None:
    script = [chat(calls=[("c1", *ADD)]), chat(text="One."), chat(text="Two.")]
    async with ProviderServer(script) as server:
        shop, log = Shop(server), MemoryLog()
        agent = shop.build(log=log)
        await agent.run("first")
        asked, ended = (
            next(s.seq for s in log.read() if s.kind == kind)
            for kind in ("model.requested", "tool.finished")
        )
        (made,) = agent.edit_context([edits.drop(ended)])
        assert made.moved == (
            f"drop {ended} is about {asked} too: a call and its result are not parted"
        )
        assert reported(agent) == [("context.moved", made.moved)]
        await agent.run("second")
        assert shop.asked[2] == ["first", "One.", "second"]
    assert load(log).replay().ok


async def test_an_answer_is_known_by_any_record_of_it() -> None:
    async with ProviderServer([chat(text="One."), chat(text="Two.")]) as server:
        shop, log = Shop(server), MemoryLog()
        agent = shop.build(log=log)
        await agent.run("first")
        delta = next(s.seq for s in log.read() if s.kind == "model.delta")
        agent.edit_context([edits.drop(delta)])
        await agent.run("second")
        assert shop.asked[1] == ["first", "second"]


async def test_compact_shows_the_last_turns_and_what_is_pinned() -> None:
    script = [chat(text=f"Answer {n}.") for n in range(5)]
    async with ProviderServer(script) as server:
        shop, log = Shop(server), MemoryLog()
        agent = shop.build(log=log)
        for n in range(4):
            await agent.run(f"question {n}")
        pinned = [s.seq for s in log.read() if s.kind == "user.said"][1]
        agent.edit_context([edits.pin(pinned)])
        agent.compact(keep_turns=1)
        await agent.run("question 4")
        assert shop.asked[4] == ["question 1", "question 3", "Answer 3.", "question 4"]
    assert load(log).replay().ok


async def test_a_run_whose_context_grows_too_long_compacts_itself_and_replays(
    tmp_path: Path,
) -> None:
    script = [chat(calls=[(f"c{n}", *ADD)], usage=LONG) for n in range(3)]
    async with ProviderServer([*script, chat(text="Done.")]) as server:
        shop = Shop(server, compaction=Compaction(at_tokens=1000, keep_turns=1))
        async with open_log(tmp_path / "log") as log:
            agent = shop.build(log=log)
            assert (await agent.run("go")).text == "Done."
        assert shop.asked == [
            ["go"],
            ["go", "c0", "done"],
            ["go", "c1", "done"],
            ["go", "c2", "done"],
        ]
        found = recorded(agent, "context.edited")
        assert found == [k.ContextEdited([["compact", 1]], "compact")] * 3
        assert len(agent.state.messages) == 8
        report = await replay(tmp_path / "log", shop.build)
        assert report.ok, report.first_divergence
        by_agent = [r for r in load(tmp_path / "log").records if r.event.kind == "context.edited"]
        assert [record.actor for record in by_agent] == ["agent"] * 3
        assert all(record.cause for record in by_agent)


async def test_a_short_context_is_left_alone() -> None:
    async with ProviderServer([chat(text="One.", usage=LONG), chat(text="Two.")]) as server:
        agent = Shop(server, compaction=Compaction(at_tokens=1001)).build(log=None)
        await agent.run("first")
        await agent.run("second")
    assert recorded(agent, "context.edited") == []


async def test_edits_outlive_the_process_and_are_shared_by_a_fork(tmp_path: Path) -> None:
    script = [chat(text=f"Answer {n}.") for n in range(4)]
    async with ProviderServer(script) as server:
        shop = Shop(server)
        async with open_log(tmp_path / "log") as log:
            agent = shop.build(log=log)
            await agent.run("first")
            (made,) = agent.edit_context([edits.drop(2)])
        async with resume(tmp_path / "log", shop.build) as agent:
            await agent.run("second")
        async with fork(tmp_path / "log", into=tmp_path / "fork") as child:
            agent = shop.build(log=child)
            agent.edit_context([edits.undo(made.seq)])
            await agent.run("third")
        assert shop.asked[1] == ["Answer 0.", "second"]
        assert shop.asked[2] == ["first", "Answer 0.", "second", "Answer 1.", "third"]
    assert load(tmp_path / "log").replay().ok
    assert load(tmp_path / "fork").replay().ok


async def test_a_fork_can_pin() -> None:
    async with ProviderServer([chat(text="One."), chat(text="Two."), chat(text="3.")]) as server:
        shop, log = Shop(server), MemoryLog()
        agent = shop.build(log=log)
        await agent.run("first")
        await agent.run("second")
        async with fork(log, edit=edits.pin(2)) as child:
            agent = shop.build(log=child)
            agent.compact(keep_turns=1)
            await agent.run("third")
        assert shop.asked[2] == ["first", "second", "Two.", "third"]


async def test_a_function_of_the_hosts_is_shown_the_same_and_so_is_its_transform() -> None:
    seen: list[int] = []

    async def transform(messages: list[Any], signal: Any) -> list[Any]:
        seen.append(len(messages))
        return messages

    asked: list[Any] = []

    def answers(context: Any, options: Any) -> Any:
        asked.append([said.content[0].text for said in context.messages])
        return text("Two.")

    agent = make(text("One."), answers, transform_context=transform)
    await agent.run("first")
    agent.edit_context([edits.replace(2, "1st"), edits.drop(2)])
    agent.edit_context([edits.undo(recorded_seq(agent, "context.edited")[1])])
    await agent.run("second")
    assert asked == [["1st", "One.", "second"]]
    assert seen == [1, 3]
    assert load(agent.log).replay().ok


def recorded_seq(agent: Agent, kind: str) -> list[int]:
    return [stored.seq for stored in agent.log.read() if stored.kind == kind]


async def test_an_edit_about_nothing_is_refused_and_leaves_no_record() -> None:
    agent = make(text("One."))
    await agent.run("first")
    for edit, told in (
        (edits.drop(1), r"record 1 said no message of the conversation \(those that did: 2, "),
        (edits.pin(99), "record 99 said no message"),
        (edits.undo(2), "record 2 is no edit of the context: nothing to undo"),
    ):
        with pytest.raises(LookupError, match=told):
            agent.edit_context([edits.drop(2), edit])
    with pytest.raises(ValueError, match=r"edits\.model is for a fork"):
        agent.edit_context([edits.model("openai:gpt-4o")])
    with pytest.raises(ValueError, match="at least 1 turn must be kept"):
        agent.compact(keep_turns=0)
    assert recorded(agent, "context.edited") == []


def test_a_compaction_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        Compaction(at_tokens=1000, keep_turns=0)


async def test_in_a_run_an_edit_counts_from_the_next_call_on() -> None:
    agent = make(calls(C1), text("Done."))
    events = heard(agent)
    agent.subscribe(
        lambda event: (
            event.type == "tool_execution_start"
            and agent.edit_context([edits.replace(2, "in the middle")])
        )
    )
    assert (await agent.run("first")).text == "Done."
    asked = load(agent.log).request_at(recorded_seq(agent, "model.requested")[1]).body
    assert b"in the middle" in asked
    assert b'"first"' not in asked
    assert events[-1].type == "agent_end"
    assert load(agent.log).replay().ok


async def test_cut_off_at_any_record_a_compacting_run_comes_to_the_same_end() -> None:
    def answers() -> list[Any]:
        made = [calls((f"c{n}", "f", {})) for n in range(3)]
        for answer in made:
            answer.usage = {"input": 900, "output": 100}
        return [*made, text("Done.")]

    options: dict[str, Any] = {"compaction": Compaction(at_tokens=1000, keep_turns=1)}
    options["tools"] = [tool("f", done, effect="read")]
    whole = make(*answers(), **options)
    await whole.run("go")
    wanted = lengths(whole)
    assert wanted == [1, 3, 3, 3]
    for after in range(2, whole.log.seq):
        rest = cut(whole.log, after)
        made = sum(s.kind == "model.finished" for s in rest.read())
        agent = make(*answers()[made:], log=rest, **options)
        assert (await agent.run()).outcome == "answered"
        assert lengths(agent) == wanted, after
        assert load(rest).replay().ok


def lengths(agent: Agent) -> list[int]:
    """Return of how many messages each request was made."""
    log = load(agent.log)
    bodies = [log.request_at(seq).body for seq in recorded_seq(agent, "model.requested")]
    return [len(json.loads(body)["messages"]) for body in bodies]
