"""A provider that saw a conversation grow writes what one writes that never saw it before."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tinyagent.actors.providers import provider_for
from tinyagent.actors.providers.content import Mark
from tinyagent.actors.providers.history import Body, History
from tinyagent.events.codec import digest
from tinyagent.events.messages import Assistant, Block, Custom, Message, Result, User
from tinyagent.events.settings import Settings, changed

APIS = {
    "openai-completions": "openrouter",
    "minimax-completions": "minimax",
    "anthropic-messages": "anthropic",
    "openai-responses": "openai",
    "google-generative-ai": "google",
}
MARKED = {"type": "text", "text": "kept", "cache_control": {"type": "ephemeral"}}
IMAGE = {"type": "image", "mime_type": "image/png", "url": "aGk="}


def settings(api: str, **options: Any) -> Settings:
    said = {"provider": APIS[api], "id": "anthropic/claude-x", "api": api, "base_url": "http://x"}
    return Settings(model=said, system="S", options=options)


def any_message(chance: Random, seq: int) -> Message:
    """Return what may come next: also results that are late, doubled, or of no call."""
    call_id = chance.choice("abc")
    calls = [Block("call", "{}", each, "add") for each in chance.sample("abc", 2)]
    messages: list[Message] = [
        User(seq, f"u{seq}"),
        User(seq, [MARKED, {"type": "text", "text": f"u{seq}"}]),
        Assistant(seq, (Block("text", f"t{seq}"),), {}),
        Assistant(seq, (Block("text", "x"), *calls), {}, chance.choice(["ok", "cancelled"])),
        Assistant(seq, (), {}),
        Result(seq, call_id, "add", f"r{seq}"),
        Result(seq, call_id, "add", [MARKED, IMAGE]),
        Result(seq, call_id, "add", f"r{seq}", ok=False),
        Custom(seq, {"role": "note"}),
    ]
    return chance.choice(messages)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("caching", [False, True])
def test_however_a_conversation_grew_or_was_edited_and_whoever_is_asked_the_body_is_the_same(
    api: str, caching: bool
) -> None:
    for seed in range(40):
        chance = Random(seed)
        kept, said = provider_for(api), settings(api, prompt_caching=caching)
        built = Body()
        other = changed(said, {"model": {**said.model, "provider": "mistral", "id": "claude-y"}})
        messages: list[Message] = []
        for seq in range(1, 40):
            messages = [*messages, any_message(chance, seq)]
            if chance.random() < 0.1:  # somebody edits it
                del messages[chance.randrange(len(messages))]
            if chance.random() < 0.1:  # somebody asks another model
                said, other = other, said
            if chance.random() < 0.6:
                built.take(kept.parts(said, messages))
                assert built.whole == provider_for(api).body(said, list(messages)), (seed, seq)
                assert built.digest == digest(built.whole), (seed, seq)


def test_after_a_message_that_cannot_be_encoded_nothing_is_left_half_done() -> None:
    def encode(message: Message, mark: Mark) -> bytes:
        assert message.seq != 3, "cannot be encoded"
        return b"%d" % message.seq

    kept = History[bytes]()
    good: list[Message] = [User(1, "a"), User(2, "b")]
    kept.turns(good, encode, list, style=1)
    with pytest.raises(AssertionError, match="cannot be encoded"):
        kept.turns([*good, User(4, "d"), User(3, "c")], encode, list, style=1)
    assert kept.turns([*good, User(5, "e")], encode, list, style=1) == [b"1", b"2", b"5"]
