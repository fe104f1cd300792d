"""No registered secret is in any file, sink or message, and the log stays exact all the same."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.traces import MODEL, Scripted, calls, result, said, script, stream_of, text, tool

from tinyagent import (
    Agent,
    AgentOptions,
    AgentState,
    FileSink,
    Redact,
    SqliteSink,
    UserMessage,
    edits,
    fork,
    load,
    open_log,
    replay,
)
from tinyagent._config.redacting import redactor_for
from tinyagent.agent_types import AssistantMessageEvent, TextContent
from tinyagent.runtime.stores import Log

KEY = "sk-0123456789abcdef"
MASK = "«secret:openai:1»"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def files_with(folder: Path, secret: str) -> list[str]:
    """Return the files below *folder* that hold *secret*, or half of it."""
    half = len(secret) // 2 + 2
    parts = {secret[:half], secret[-half:]}
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(part.encode() in path.read_bytes() for part in parts)
    ]


def slowly(whole: str, size: int) -> Scripted:
    """Return an answer that arrives *size* characters at a time."""
    message = text(whole)
    events: list[AssistantMessageEvent] = []
    for event in stream_of(message):
        if event.type == "text_delta":
            continue
        events.append(event)
        if event.type == "text_start":
            for at in range(0, len(whole), size):
                partial = message.model_copy(
                    update={"content": [TextContent(text=whole[: at + size])]}
                )
                events.append(
                    AssistantMessageEvent(
                        type="text_delta",
                        content_index=0,
                        delta=whole[at : at + size],
                        partial=partial,
                    )
                )
    return Scripted(message, events=events)


def build(log: Log | None = None, **options: Any) -> Agent:
    async def leak(call_id: str, args: dict[str, Any], signal: Any, update: Any) -> Any:
        update(result(f"using {KEY}"))
        if args.get("fails"):
            raise ValueError(f"{KEY} was refused")
        return result(f"the key is {KEY}", details={"key": [KEY]})

    first = calls(("c1", "leak", {"with": KEY}), ("c2", "leak", {"fails": True}), says="Trying.")
    return Agent(
        AgentOptions(
            initial_state=AgentState(
                model=MODEL, system_prompt=f"The key is {KEY}.", tools=[tool("leak", leak)]
            ),
            stream_fn=script(first, slowly(f"It was {KEY}, I think.", 3), text("Still here.")),
            log=log,
            **options,
        )
    )


@pytest.fixture(params=["folder", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "log") if request.param == "folder" else f"sqlite:///{tmp_path}/log.db"


async def test_a_secret_is_in_no_file_whoever_said_it(place: str, tmp_path: Path) -> None:
    copy, mirror = FileSink(tmp_path / "copy"), SqliteSink(tmp_path / "mirror.db")
    async with open_log(place, sinks=[copy, mirror]) as log:
        agent = build(log)
        answer = await agent.prompt_text(f"What is {KEY}?")
        assert answer == f"It was {MASK}, I think."
        await agent.prompt("And now?")
    assert files_with(tmp_path, KEY) == []
    recording = load(place)
    assert load(tmp_path / "copy").messages == recording.messages
    assert load(f"sqlite:///{tmp_path}/mirror.db").messages == recording.messages
    messages = json.dumps([m.model_dump() for m in recording.messages], ensure_ascii=False)
    assert messages.count(MASK) == 6  # prompt, arguments, two in the result, failure, answer
    assert recording.settings.system == f"The key is {MASK}."
    assert [record.event.kind for record in recording.records].count("config.changed") == 0
    assert (await replay(place)).ok


async def test_everybody_reads_what_the_log_holds(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(context: Any, options: Any) -> Any:
        asked.append(" ".join(map(said, context.messages)))
        return text("Yes.")

    async with open_log(tmp_path / "log") as log:
        agent = build(log)
        agent.stream_fn = script(answer, answer)
        await agent.prompt(UserMessage(content=[TextContent(text=f"Is {KEY} mine?")]))
        await agent.prompt("Sure?")
        assert said(agent.state.messages[0]) == f"Is {MASK} mine?"
    assert asked == [f"Is {MASK} mine?", f"Is {MASK} mine? Yes. Sure?"]


async def test_the_events_of_an_answer_agree_with_its_record() -> None:
    agent = build()
    agent.stream_fn = script(slowly(f"So it is: {KEY}, clearly {KEY}.", 4))
    seen = ""
    async for event in agent.stream("Go"):
        shown = getattr(event, "message", None)
        assert shown is None or KEY not in str(shown.model_dump())
        if event.type == "message_update":
            inner = event.assistant_message_event
            if inner is not None and inner.type == "text_delta":
                seen += inner.delta or ""
                assert said(event.message) == seen
    assert seen == f"So it is: {MASK}, clearly {MASK}."


async def test_an_answer_that_ends_as_a_secret_begins_is_whole(place: str) -> None:
    ends_alike = f"It begins with {KEY[:9]}"
    async with open_log(place) as log:
        agent = build(log)
        agent.stream_fn = script(slowly(ends_alike, 2))
        seen = ""
        async for event in agent.stream("Go"):
            if event.type == "message_update":
                seen += getattr(event.assistant_message_event, "delta", None) or ""
        assert said(agent.state.messages[-1]) == ends_alike
    assert seen == ends_alike
    assert said(load(place).messages[-1]) == ends_alike
    assert (await replay(place)).ok


async def test_a_key_that_the_host_gives_is_registered_before_it_is_used(tmp_path: Path) -> None:
    given = "key-from-the-vault-0001"
    async with open_log(tmp_path / "log") as log:
        agent = build(log, get_api_key=lambda provider: given)
        agent.stream_fn = script(text(f"You use {given}."))
        assert await agent.prompt_text("Which?") == "You use «secret:test:1»."
    assert files_with(tmp_path, given) == []


async def test_named_variables_values_and_a_rule_are_masked_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_KEY", "stripe-0123456789")
    redact = Redact(
        env=["STRIPE_KEY", "NOT_SET"],
        values={"mail": "pass-word-of-mail"},
        rule=lambda words: words.replace("Ann", "A."),
    )
    async with open_log(tmp_path / "log", redact=redact) as log:
        agent = build(log, redact=Redact(values=["another-one"], patterns=True))
        agent.stream_fn = script(text("ok"))
        await agent.prompt(
            f"Ann: stripe-0123456789 pass-word-of-mail another-one {KEY} AKIA{'A' * 16}"
        )
        assert said(agent.state.messages[0]) == (
            f"A.: «secret:STRIPE_KEY:1» «secret:mail:1» «secret:value:1» {MASK} «secret:pattern:1»"
        )
    started: Any = load(tmp_path / "log").records[0].event
    assert started.versions["redact"].endswith(".<lambda>")


def test_keys_are_found_in_whatever_stands_for_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "")
    assert redactor_for().mask(f"it is {KEY}") == f"it is {MASK}"
    monkeypatch.setattr(os, "environ", {"GROQ_API_KEY": "gsk-0123456789"})
    assert redactor_for().mask(f"{KEY} gsk-0123456789") == f"{KEY} «secret:groq:1»"


async def test_what_a_fork_changes_is_masked_too(tmp_path: Path) -> None:
    async with open_log(tmp_path / "log") as log:
        agent = build(log)
        agent.stream_fn = script(text("ok"))
        await agent.prompt("Hi")
    edit = edits.user_said(f"What is {KEY}?")
    async with fork(tmp_path / "log", at=2, edit=edit, into=tmp_path / "child") as log:
        assert log.seq > 2
    assert files_with(tmp_path, KEY) == []
    assert MASK.encode() in (tmp_path / "child" / "00000001.jsonl").read_bytes()


async def test_another_token_in_a_log_opened_again_has_another_number(tmp_path: Path) -> None:
    for number, token in ((1, "AKIA" + "A" * 16), (2, "AKIA" + "B" * 16)):
        async with open_log(tmp_path / "log", redact=Redact(patterns=True)) as log:
            agent = build(log)
            agent.stream_fn = script(text("ok"))
            await agent.prompt(token)
            assert said(agent.state.messages[-2]) == f"«secret:pattern:{number}»"


async def test_provider_keys_can_be_left_as_they_are() -> None:
    agent = build(redact=Redact(provider_keys=False))
    agent.stream_fn = script(text(KEY))
    assert await agent.prompt_text("Say it") == KEY


async def test_a_log_opened_again_masks_alike(place: str, tmp_path: Path) -> None:
    for _ in range(2):
        async with open_log(place) as log:
            agent = build(log)
            agent.stream_fn = script(text(f"{KEY}!"))
            assert await agent.prompt_text(KEY) == f"{MASK}!"
    assert files_with(tmp_path, KEY) == []
    assert (await replay(place)).ok


async def test_a_large_value_with_a_secret_is_masked_before_it_goes_to_its_blob(
    place: str, tmp_path: Path
) -> None:
    async with open_log(place) as log:
        agent = build(log)
        agent.stream_fn = script(text("ok"))
        await agent.prompt("x" * 70_000 + KEY)
    assert files_with(tmp_path, KEY) == []
    if place.startswith("sqlite"):
        connection = sqlite3.connect(tmp_path / "log.db")
        [(body,)] = connection.execute("SELECT body FROM blob").fetchall()
        connection.close()
    else:
        [blob] = [path for path in (tmp_path / "log" / "blobs").rglob("*") if path.is_file()]
        body = blob.read_bytes()
    assert body.decode().endswith(f"x{MASK}")
