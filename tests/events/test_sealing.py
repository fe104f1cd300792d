"""Sealed payloads: opened to the same, unreadable without a key, folded all the same."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from tests.recordings import REPLAYS

from tinyagent.actors.session import agent_machine
from tinyagent.events import Conversation, Fact, UnknownEvent
from tinyagent.events.children import is_below
from tinyagent.events.sealing import ENC, HIDDEN, is_sealed, sealed, unsealed
from tinyagent.runtime.load import read_log
from tinyagent.runtime.stores import Stored, as_record

LOGS = sorted(REPLAYS.glob("*.jsonl"))


def seal(path: str, value: Any) -> Any:
    return {ENC: {"kid": path, "n": "", "ct": msgspec.json.encode(value).hex()}}


def unseal(path: str, body: Any) -> Any:
    assert body["kid"] == path
    return msgspec.json.decode(bytes.fromhex(body["ct"]))


def sealed_log(log: Any) -> list[Stored]:
    return [
        msgspec.structs.replace(one, payload=sealed(one.kind, one.payload, seal))
        for one in read_log(log).records
    ]


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_what_is_sealed_is_opened_to_the_same_in_the_same_place(log: Any) -> None:
    for old, new in zip(read_log(log).records, sealed_log(log), strict=True):
        again = unsealed(new.kind, new.payload, unseal)
        assert msgspec.json.decode(again) == msgspec.json.decode(old.payload)


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_without_a_key_every_record_is_an_event_of_its_kind_and_folds(log: Any) -> None:
    then, now = Conversation(), Conversation()
    for old, new in zip(read_log(log).records, sealed_log(log), strict=True):
        record, shown = as_record(old), as_record(new)
        if isinstance(record.event, UnknownEvent):
            continue
        assert isinstance(shown.event, Fact)
        assert type(shown.event) is type(record.event)
        assert shown.payload == new.payload
        then.evolve(record)
        now.evolve(shown)
        assert [m.__class__ for m in now.messages] == [m.__class__ for m in then.messages]
    assert now.calls.keys() == then.calls.keys()


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_without_a_key_the_agent_comes_to_the_same_state(log: Any) -> None:
    then, now = agent_machine(), agent_machine()
    for old, new in zip(read_log(log).records, sealed_log(log), strict=True):
        record, shown = as_record(old), as_record(new)
        is_input = record.event.kind in then.inputs and isinstance(record.event, Fact)
        if is_input and not is_below(record):
            kinds = [[event.kind for event in m.take(r)] for m, r in ((then, record), (now, shown))]
            assert kinds[0] == kinds[1]
    phases = [(m.state.phase, m.state.n, m.state.tokens, m.state.tool_calls) for m in (then, now)]
    assert phases[0] == phases[1]


@pytest.mark.parametrize(
    ("kind", "payload", "left"),
    [
        (
            "model.delta",
            {"pieces": [[0, "text", "Hi Ann", 3], [1, "call", {"id": "c", "name": "f"}, 0]]},
            {"pieces": [[0, "text", 0, 3], [1, "call", {"id": "c", "name": "f"}, 0]]},
        ),
        (
            "session.started",
            {"system": "Ann", "tools": [{"name": "f", "description": "Ann", "effect": "read"}]},
            {"system": 0, "tools": [{"name": "f", "description": 0, "effect": "read"}]},
        ),
        (
            "config.changed",
            {"set": {"system": "Ann", "options": {"stop": "Ann"}}},
            {"set": {"system": 0, "options": {"stop": "Ann"}}},
        ),
        (
            "tool.failed",
            {"call_id": "c", "failure": {"kind": "host", "message": "Ann"}},
            {"call_id": "c", "failure": {"kind": "host", "message": 0}},
        ),
        (
            "tool.requested",
            {"call_id": "c", "arguments": {"name": "Ann", "type": "person"}},
            {"call_id": "c", "arguments": 0},
        ),
        (
            "context.edited",
            {"ops": [["drop", 3], ["insert", {"role": "user", "content": "Ann"}]]},
            {"ops": [["drop", 3], ["insert", {"role": "user", "content": 0}]]},
        ),
        ("user.said", {"content": [{"type": "text", "text": "Ann"}]}, {"content": 0}),
        ("moon.risen", {"content": "Ann"}, {"content": "Ann"}),
    ],
)
def test_texts_are_sealed_and_structure_is_not(
    kind: str, payload: dict[str, Any], left: dict[str, Any]
) -> None:
    out = sealed(kind, msgspec.json.encode(payload), seal)
    plain = re.sub(rb'\{"\$enc":\{[^}]*\}\}', b"0", out)
    assert msgspec.json.decode(plain) == left
    assert msgspec.json.decode(unsealed(kind, out, unseal)) == payload


def test_a_users_own_key_of_that_name_is_no_seal() -> None:
    own = b'{"content":"{\\"$enc\\":{}}","details":{"$esc":{"$enc":{"kid":1}}}}'
    assert msgspec.json.decode(unsealed("tool.finished", own, unseal)) == msgspec.json.decode(own)
    assert HIDDEN == "(encrypted)"
    assert not is_sealed(b'{"content":"{\\"$enc\\":{}}"}')
