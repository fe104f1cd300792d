"""What differs between two bodies, told as operations, makes the one of the other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from tinyagent.actors.providers.patch import patch_of, patched

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-2, 2) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc$"), inner, max_size=3)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("then", "now", "ops"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        ({"a": 1}, {"a": True, "b": 0}, [["set", ["a"], True], ["set", ["b"], 0]]),
        ({"a": {"x": 1}}, {"a": {}}, [["cut", ["a", "x"]]]),
        ({"m": [1, 2, 3]}, {"m": [1, 9, 3]}, [["set", ["m", 1], 9]]),
        ({"m": [{"t": "a"}, 2]}, {"m": [{"t": "b"}, 2]}, [["set", ["m", 0, "t"], "b"]]),
        ({"m": [1, 2]}, {"m": [0, 1, 2]}, [["splice", ["m"], 0, 0, [0]]]),
        ({"m": [1, 2, 3]}, {"m": [3]}, [["splice", ["m"], 0, 2, []]]),
        ({"a": [1]}, {"a": {"b": 1}}, [["set", ["a"], {"b": 1}]]),
    ],
)
def test_only_what_differs_is_told(then: Any, now: Any, ops: list[Any]) -> None:
    assert list(patch_of(then, now)) == ops


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), JSON), st.dictionaries(st.sampled_from("abc"), JSON))
def test_the_operations_make_the_one_of_the_other(
    then: dict[str, Any], now: dict[str, Any]
) -> None:
    body = msgspec.json.encode(then)
    assert msgspec.json.decode(patched(body, list(patch_of(then, now)))) == now


@pytest.mark.parametrize(
    "op",
    [
        ["set", ["a", 5], 1],
        ["set", ["a", "b"], 1],
        ["cut", ["gone"]],
        ["cut", ["a", 3]],
        ["set", ["gone", "b"], 1],
        ["splice", ["gone"], 0, 1, []],
        ["splice", [], 0, 1, []],
        ["sing", ["a"]],
        "nonsense",
    ],
)
def test_an_operation_on_a_place_that_is_not_there_changes_nothing(op: Any) -> None:
    assert patched(b'{"a":[1]}', [op]) == b'{"a":[1]}'


def test_without_an_operation_every_byte_stays() -> None:
    assert patched(b'{ "a" : 1.50 }', []) == b'{ "a" : 1.50 }'
