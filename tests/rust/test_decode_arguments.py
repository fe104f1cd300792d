"""A call's arguments against its tool's schema."""

from __future__ import annotations

import json

import pytest

from tinyagent._alchemy import check_arguments


def faults(schema: object, arguments: object) -> list[tuple[str, str]]:
    return check_arguments(json.dumps(schema).encode(), json.dumps(arguments).encode())


def test_all_faults_at_once_each_with_its_place() -> None:
    schema = {
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "edits": {"items": {"required": ["old", "new"]}},
        },
        "required": ["path", "mode"],
    }
    assert faults(schema, {"path": 1, "edits": [{"old": "a", "new": "b"}, {"old": "a"}]}) == [
        ("", '"mode" is a required property'),
        ("/edits/1", '"new" is a required property'),
        ("/path", '1 is not of type "string"'),
    ]
    assert faults(schema, {"path": "a", "mode": None}) == []


def test_an_empty_schema_takes_any_object_and_nothing_else() -> None:
    assert faults({}, {"any": ["thing"]}) == []
    assert faults({}, [1]) == [("", "the arguments are not a JSON object")]
    [(place, message)] = check_arguments(b"{}", b'{"a": ')
    assert place == ""
    assert message.startswith("not JSON: ")


@pytest.mark.parametrize("schema", [{"type": "strange"}, {"$ref": "https://example.com/x"}, 3])
def test_a_broken_schema_is_the_hosts_error(schema: object) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="the schema is broken: "):
            faults(schema, {})


def test_long_values_are_not_repeated_and_many_faults_are_not_told() -> None:
    schema = {"additionalProperties": {"type": "integer"}}
    [(_, message)] = faults(schema, {"a": "x" * 10_000})
    assert message == 'the value is not of type "integer"'
    assert len(faults(schema, {str(number): "x" for number in range(1000)})) == 100


def test_a_pattern_that_never_ends_is_given_up() -> None:
    schema = {"properties": {"a": {"pattern": "^(a|a)*\\\\1$"}}}
    assert faults(schema, {"a": "a" * 5_000 + "b"})


def test_a_schema_that_contains_itself() -> None:
    schema = {"properties": {"next": {"$ref": "#"}, "n": {"type": "integer"}}}
    assert faults(schema, {"next": {"next": {"n": "x"}}}) == [
        ("/next/next/n", '"x" is not of type "integer"')
    ]
