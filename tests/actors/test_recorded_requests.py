"""Requests that real providers took: ours say the same."""

from __future__ import annotations

import pytest
from tests.actors.meaning import asked_of, meaning, steps
from tests.corpus import APIS

from tinyagent.actors.providers import provider_for


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
