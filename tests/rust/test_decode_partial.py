"""Previews of arguments that are still arriving."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from tinyagent._alchemy import parse_partial


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"path": "a/b', {"path": "a/b"}),
        ('{"a": [1, {"b": null, "c', {"a": [1, {"b": None}]}),
        ('{"a": 1.5e', {}),
        ('"\\ud83d', ""),
        ("", None),
        ("nonsense", None),
        ("{'a': 1", None),
        ("[" * 500, None),
    ],
)
def test_what_is_certain_is_shown(text: str, expected: object) -> None:
    assert parse_partial(text) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSON), st.booleans())
def test_complete_json_is_itself_and_every_beginning_is_something(
    value: dict[str, object], ascii_only: bool
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert parse_partial(text) == value
    for end in range(1, len(text)):
        assert isinstance(parse_partial(text[:end]), dict)
