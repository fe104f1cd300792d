"""A model call that goes on with another model: its keys, and where it may be cancelled."""

from __future__ import annotations

import pytest
from tests.actors.stage import GONE, HELLO, SILENT, Script, Stage, failure_of, told

from tinyagent.actors.transports import Failure
from tinyagent.events import Event, kinds as k
from tinyagent.events.messages import Assistant

ONE = {"provider": "one", "id": "a"}
TWO = {"provider": "two", "id": "b"}
THREE = {"provider": "three", "id": "c"}
CONFIGURED = k.ConfigChanged({"model": ONE, "options": {"fallback": [TWO, THREE]}})
FULL = Failure("overloaded", "full", status=529)


def kinds_of(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


async def test_models_are_asked_in_turn_and_the_one_that_answers_is_in_the_conversation() -> None:
    source = Script([FULL], [FULL], HELLO)
    stage = Stage(source, CONFIGURED)
    stage.ask()
    events = await stage.end()
    assert kinds_of(events) == ["model.retrying", "model.retrying", "model.delta", "model.finished"]
    retries = [event for event in events if isinstance(event, k.ModelRetrying)]
    assert [(event.attempt, event.model) for event in retries] == [(2, TWO), (3, THREE)]
    (answer,) = stage.conversation.messages
    assert isinstance(answer, Assistant)
    assert answer.model == THREE
    assert stage.conversation.settings.model == ONE


async def test_each_model_is_tried_as_often_as_the_first() -> None:
    source = Script(*[[GONE]] * 4, HELLO, most=2)
    events = await told(source, CONFIGURED)
    retries = [event for event in events if isinstance(event, k.ModelRetrying)]
    assert [(event.attempt, event.model) for event in retries] == [
        (2, None),
        (3, TWO),
        (4, None),
        (5, THREE),
    ]


async def test_the_host_is_asked_for_the_key_of_each_model() -> None:
    async def key_of(provider: str) -> str | None:
        return f"key of {provider}"

    source = Script([FULL], HELLO)
    events = await told(source, CONFIGURED, key_of=key_of)
    assert source.keys == ["key of one", "key of two"]
    assert kinds_of(events) == [
        "host.asked",
        "host.answered",
        "model.retrying",
        "host.asked",
        "host.answered",
        "model.delta",
        "model.finished",
    ]
    assert "key of" not in repr(events)


async def test_a_key_resolver_that_raises_for_the_other_model_fails_the_call() -> None:
    async def key_of(provider: str) -> str | None:
        if provider == "two":
            raise LookupError("no key of two")
        return None

    source = Script([FULL], HELLO)
    *_, end = await told(source, CONFIGURED, key_of=key_of)
    assert failure_of(end) == k.Failure("host", "no key of two")
    assert len(source.made) == 1


async def test_a_cancel_just_before_the_other_model_is_asked_ends_the_call_once() -> None:
    source = Script([FULL], [SILENT])
    stage = Stage(source, CONFIGURED)
    stage.journal.join(_CancelAt("model.retrying", stage))
    stage.ask()
    end = await stage.heard("model.failed")
    assert failure_of(end).kind == "cancelled"
    assert await stage.end() == []
    assert all(attempt.is_closed for attempt in source.made)


async def test_a_cancel_while_the_other_model_answers_ends_the_call_once() -> None:
    source = Script([FULL], [*HELLO, SILENT])
    stage = Stage(source, CONFIGURED)
    stage.ask()
    await stage.heard("model.delta")
    stage.journal.append(k.CancelRequested())
    failed = await stage.heard("model.failed")
    assert failure_of(failed).kind == "cancelled"
    assert await stage.end() == []
    assert [attempt.is_closed for attempt in source.made] == [True, True]
    (answer,) = stage.conversation.messages
    assert isinstance(answer, Assistant)
    assert (answer.model, answer.outcome) == (TWO, "cancelled")


@pytest.mark.parametrize("kind", ["invalid", "overflow", "filtered", "host", "bug", "cancelled"])
async def test_what_would_be_the_same_with_every_model_is_told_at_once(kind: str) -> None:
    source = Script([Failure(kind, "no")], HELLO)
    (end,) = await told(source, CONFIGURED)
    assert failure_of(end).kind == kind
    assert len(source.made) == 1


async def test_the_next_call_is_the_first_models_again() -> None:
    source = Script([FULL], HELLO, HELLO)
    stage = Stage(source, CONFIGURED)
    stage.ask()
    await stage.heard("model.finished")
    stage.journal.append(k.ModelRequested(1))
    await stage.heard("model.finished")
    await stage.end()
    models = [each.model for each in stage.conversation.messages if isinstance(each, Assistant)]
    assert models == [TWO, ONE]


class _CancelAt:
    """A reader that asks to stop as soon as a record of *kind* is written."""

    def __init__(self, kind: str, stage: Stage) -> None:
        self.kinds = frozenset({kind})
        self._stage = stage

    def post(self, record: k.Record) -> None:
        self._stage.journal.append(k.CancelRequested())
