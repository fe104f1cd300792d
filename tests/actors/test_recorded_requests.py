"""Requests that real providers took: ours say the same."""

from __future__ import annotations

import pytest
from tests.actors.meaning import Step, asked_of, meaning, sessions, steps

from tinyagent.actors.providers import provider_for

STEPS = [step for step in steps() if step.api in ("openai-completions", "anthropic-messages")]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_recorded_conversation_is_asked_for_as_it_was_recorded(step: Step) -> None:
    settings, messages = asked_of(step)
    body = provider_for(step.api).body(settings, messages)
    assert meaning(step.api, body) == meaning(step.api, step.request)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_what_was_asked_before_changes_no_byte(step: Step) -> None:
    settings, messages = asked_of(step)
    provider = provider_for(step.api)
    for length in range(len(messages)):
        provider.body(settings, messages[:length])
    assert provider.body(settings, messages) == provider_for(step.api).body(settings, messages)


def test_there_are_recordings() -> None:
    if sessions() is None:
        pytest.skip("the corpus is not here (TINYAGENT_CORPUS)")
    assert len(STEPS) > 20
