"""Requests that real providers took: ours say the same, also about answers decoded by us."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.actors.meaning import Step, asked_of, meaning, steps
from tests.corpus import APIS, Recording, folder, recordings

from tinyagent._alchemy import Decoder
from tinyagent.actors.providers import provider_for
from tinyagent.events import Conversation, Event, Message, Record, kinds as k
from tinyagent.events.messages import Assistant, Block
from tinyagent.events.settings import Settings

FAULTY = {"openrouter-kimi-chutes-parallel/1"}
"""Its recorder lost the first fragment of the reasoning; the stream is right."""


@pytest.mark.parametrize("api", APIS.values())
def test_a_recorded_conversation_is_asked_for_as_it_was_recorded(api: str) -> None:
    seen = 0
    for step in steps(api):
        settings, messages = asked_of(step)
        body = provider_for(step.api).body(settings, messages)
        assert meaning(step.api, body) == meaning(step.api, step.request), step.name
        seen += 1
    assert seen >= 5


@pytest.mark.parametrize("api", APIS.values())
def test_what_was_asked_before_changes_no_byte(api: str) -> None:
    for step in steps(api):
        settings, messages = asked_of(step)
        provider = provider_for(step.api)
        for length in range(len(messages)):
            provider.body(settings, messages[:length])
        expected = provider_for(step.api).body(settings, messages)
        assert provider.body(settings, messages) == expected, step.name


@pytest.mark.parametrize("api", APIS.values())
def test_an_answer_goes_back_as_it_was_streamed(api: str) -> None:
    try:
        Decoder(api)
    except ValueError as error:
        pytest.skip(str(error))
    for step in steps(api):
        settings, messages = asked_of(step)
        streamed = with_streams(step, settings, messages)
        found = meaning(api, provider_for(api).body(settings, streamed))
        if step.name not in FAULTY:
            assert found == meaning(api, step.request), step.name


@pytest.mark.parametrize("protocol", APIS)
def test_what_a_provider_must_see_again_goes_back_byte_for_byte(protocol: str) -> None:
    seen = 0
    for recording in recordings(protocol):
        if "+rig/" in recording.name:
            continue  # its recorder put other words in the place of signatures
        said = {"provider": "p", "id": "m", "api": recording.api}
        answer = answer_of(recording.api, recording.body, said)
        body = provider_for(recording.api).body(Settings(model=said), [answer])
        if b'"call' not in body and not any(block.text for block in answer.blocks):
            continue  # of an answer of thoughts alone nothing is sent
        for secret in secrets_in(recording):
            assert json.dumps(secret)[1:-1].encode() in body, recording.name
            seen += 1
    assert seen >= 5


def secrets_in(recording: Recording) -> Iterator[str]:
    """Yield the signatures and encrypted items that *recording* must be answered with."""
    stream = recording.body.decode()
    if recording.protocol == "gemini":
        # The reference answer only counts them.
        yield from re.findall(r'"thoughtSignature":\s*"([^"]+)"', stream)
    elif recording.protocol == "openai-responses":
        # Encrypted anew in every event; that of the item counts.
        items = re.findall(r'^data: .*"response.output_item.done".*$', stream, re.MULTILINE)
        yield from re.findall(r'"encrypted_content":\s*"([^"]+)"', "".join(items))
    elif recording.protocol == "anthropic-messages":
        yield from recording.expected.get("signatures") or ()
    elif isinstance(details := recording.expected.get("reasoning_details"), list):
        for detail in details:
            yield from (detail[name] for name in ("data", "signature") if detail.get(name))


def with_streams(step: Step, settings: Settings, messages: list[Message]) -> list[Message]:
    """Return *messages* with each answer as its stream gives it."""
    session = folder() / "sessions" / step.name.partition("/")[0]
    out: list[Message] = []
    for message in messages:
        if isinstance(message, Assistant):
            number = sum(isinstance(each, Assistant) for each in out)
            heard = answer_of(step.api, (session / f"{number}.sse").read_bytes(), settings.model)
            message = named(heard, message)
        out.append(message)
    return out


def answer_of(api: str, stream: bytes, model: dict[str, Any]) -> Assistant:
    """Return the answer that *stream* is, folded as the log folds it."""
    decoder = Decoder(api)
    pieces = [*decoder.feed(stream), *decoder.close()]
    conversation = Conversation()
    conversation.settings = Settings(model=model)
    delta = k.ModelDelta([(block, op, data, 0) for block, op, data in pieces])
    events: list[Event] = [k.ModelRequested(1), delta, k.ModelFinished("end")]
    for seq, event in enumerate(events, 1):
        conversation.evolve(Record(seq=seq, at_ns=0, cause=0, actor="", event=event))
    (answer,) = conversation.messages
    assert isinstance(answer, Assistant)
    return answer


def named(heard: Assistant, recorded: Assistant) -> Assistant:
    """Return *heard* with the ids of *recorded* where the stream gave none (Gemini)."""
    ids = iter([block.id for block in recorded.blocks if block.op == "call"])
    blocks: list[Block] = []
    for block in heard.blocks:
        if block.op == "call":
            recorded_id = next(ids)
            block = msgspec.structs.replace(block, id=block.id or recorded_id)
        blocks.append(block)
    return msgspec.structs.replace(heard, blocks=tuple(blocks))
