"""A call's arguments before the tool sees them: read, converted, checked, refused."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
from tests.traces import calls, result, script, text, tool

from tinyagent import Agent, AgentOptions, AgentState, AgentTool, Model, ToolCall
from tinyagent._host.arguments import checked
from tinyagent.agent_tool_execution import ToolArgumentsError, validate_tool_arguments
from tinyagent.agent_types import Tool, ToolResultMessage


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def with_schema(parameters: dict[str, Any], **more: Any) -> AgentTool:
    return AgentTool("f", parameters=parameters, **more)


def told(parameters: dict[str, Any], given: Any) -> str:
    with pytest.raises(ToolArgumentsError) as caught:
        checked(with_schema(parameters), given)
    return str(caught.value)


def test_arguments_are_a_new_dict() -> None:
    call = ToolCall(name="f", arguments={"a": {"b": [1]}})
    arguments = validate_tool_arguments(Tool("f"), call)
    assert arguments == {"a": {"b": [1]}}
    arguments["a"]["b"].append(2)
    assert call.arguments == {"a": {"b": [1]}}


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (ToolCall(name="f"), {}),
        (ToolCall(name="f", partial_json=""), {}),
        (ToolCall(name="f", partial_json='{"a": 1}'), {"a": 1}),
        (ToolCall(name="f", arguments={"a": 2}, partial_json='{"a": 1'), {"a": 2}),
    ],
)
def test_row_37_arguments_that_are_only_text_are_read(call: ToolCall, arguments: Any) -> None:
    assert validate_tool_arguments(with_schema({}), call) == arguments


def test_a_json_string_is_parsed() -> None:
    call = ToolCall(name="f")
    odd: Any = ' {"a": 1} '
    call.arguments = odd
    assert validate_tool_arguments(with_schema({}), call) == {"a": 1}
    call.arguments = None  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue] - hosts do this
    assert validate_tool_arguments(with_schema({}), call) == {}


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ('{"a": 1', "not JSON: Expecting ',' delimiter at character 8 of 7"),
        ('{"a": x}', "not JSON: Expecting value at character 7 of 8"),
        ('{"a": NaN}', "not JSON: NaN is no JSON value"),
        ("[1]", "expected an object, got list"),
        ('"x"', "expected an object, got str"),
    ],
)
@pytest.mark.parametrize("validate", [True, False])
def test_row_37_malformed_text_is_told_with_its_place(raw: str, fault: str, validate: bool) -> None:
    call = ToolCall(name="f", partial_json=raw)
    with pytest.raises(ToolArgumentsError) as caught:
        validate_tool_arguments(with_schema({}, validate=validate), call)
    assert str(caught.value) == f"Invalid arguments for tool f:\n- $: {fault}\nReceived: {raw}"


def test_row_43_all_faults_are_told_at_once() -> None:
    parameters = {
        **schema(
            path={"type": "string", "minLength": 2},
            edits={"type": "array", "items": {"type": "object", "required": ["old"]}},
            mode={"enum": ["r", "w"]},
        ),
        "required": ["path", "count"],
        "additionalProperties": False,
    }
    given = {"path": "x", "edits": [{"old": "a"}, {}], "mode": "z", "more": 1}
    assert told(parameters, given) == "\n".join(
        [
            "Invalid arguments for tool f:",
            '- $: "count" is a required property',
            "- $: Additional properties are not allowed ('more' was unexpected)",
            '- $.edits[1]: "old" is a required property',
            '- $.mode: "z" is not one of "r" or "w"',
            '- $.path: "x" is shorter than 2 characters',
            'Received: {"path": "x", "edits": [{"old": "a"}, {}], "mode": "z", "more": 1}',
        ]
    )


def test_what_was_received_is_cut_at_2000_characters() -> None:
    text_of_fault = told(schema(a={"type": "integer"}), {"a": "ü" * 5000})
    assert len(text_of_fault.partition("Received: ")[2]) == 2000


@pytest.mark.parametrize(
    ("wanted", "given", "got"),
    [
        ({"type": "number"}, "1.5", 1.5),
        ({"type": "number"}, "-2", -2),
        ({"type": "integer"}, "7", 7),
        ({"type": "integer"}, "7.0", 7),
        ({"type": "integer"}, "123456789012345678901234567890", 123456789012345678901234567890),
        ({"type": "boolean"}, "true", True),
        ({"type": "object"}, '{"a": 1}', {"a": 1}),
        ({"type": "array"}, "[1, 2]", [1, 2]),
        ({"type": "string"}, 5, "5"),
        ({"type": "string"}, 1.5, "1.5"),
        ({"type": "string"}, True, "true"),
        ({"type": ["integer", "null"]}, "7", 7),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "7", 7),
        ({"oneOf": [{"type": "integer"}, {"type": "boolean"}]}, "false", False),
        ({"$ref": "#/$defs/count"}, "7", 7),
        ({"type": "array", "items": {"type": "number"}}, ["1", 2], [1, 2]),
        ({"type": "array", "items": {"$ref": "#/$defs/point"}}, '[{"x": "1"}]', [{"x": 1}]),
        ({"additionalProperties": {"type": "integer"}}, {"any": "1"}, {"any": 1}),
        ({"type": "array", "prefixItems": [{"type": "integer"}]}, ["1", "1"], [1, "1"]),
        ({"anyOf": [{"$ref": "#/$defs/point"}, {"type": "null"}]}, {"x": "1"}, {"x": 1}),
    ],
)
def test_row_43_what_models_send_is_converted(wanted: Any, given: Any, got: Any) -> None:
    parameters = {
        **schema(v=wanted),
        "$defs": {
            "count": {"type": "integer"},
            "point": {"type": "object", "properties": {"x": {"type": "number"}}},
        },
    }
    message = ToolCall(name="f", arguments={"v": given})
    before = copy.deepcopy(message)
    found = validate_tool_arguments(with_schema(parameters), message)
    assert found == {"v": got}
    assert type(found["v"]) is type(got) or got == 7
    assert message == before


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ({"type": "number"}, "1,5"),
        ({"type": "number"}, " 1"),
        ({"type": "number"}, "NaN"),
        ({"type": "number"}, "1e400"),
        ({"type": "number"}, True),
        ({"type": "integer"}, "1.5"),
        ({"type": "integer"}, 1.5),
        ({"type": "boolean"}, "True"),
        ({"type": "boolean"}, "1"),
        ({"type": "boolean"}, 1),
        ({"type": "object"}, "{a: 1}"),
        ({"type": "array"}, "1, 2"),
        ({"type": "string"}, None),
        ({"type": "string"}, [1]),
        ({"type": "null"}, "null"),
    ],
)
def test_row_43_what_is_not_exact_stays_a_fault(wanted: Any, given: Any) -> None:
    parameters = {**schema(v=wanted), "required": ["v"]}
    assert told(parameters, {"v": given}).startswith("Invalid arguments for tool f:\n- $.v: ")


@pytest.mark.parametrize(
    "wanted",
    [{}, {"type": "string"}, {"type": ["integer", "string"]}, {"enum": ["7", 7]}],
)
def test_what_fits_is_never_converted(wanted: Any) -> None:
    assert checked(with_schema(schema(v=wanted)), {"v": "7"}) == {"v": "7"}


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "string"},
        {"enum": ["a"]},
        {"$ref": "#/$defs/word"},
        {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    ],
)
def test_row_43_null_for_an_optional_property_that_forbids_it_is_left_out(wanted: Any) -> None:
    parameters = {**schema(v=wanted), "$defs": {"word": {"type": "string"}}}
    assert checked(with_schema(parameters), {"v": None, "w": None}) == {"w": None}
    nested = schema(o={**parameters, "$defs": {}}, l={"type": "array", "items": parameters})
    nested["$defs"] = parameters["$defs"]
    given: dict[str, Any] = {"o": {"v": None}, "l": [{"v": None}]}
    assert checked(with_schema(nested), given) == {"o": {}, "l": [{}]}
    assert given == {"o": {"v": None}, "l": [{"v": None}]}


def test_row_43_null_that_is_allowed_or_required_stays() -> None:
    allowed = schema(v={"type": ["string", "null"]})
    assert checked(with_schema(allowed), {"v": None}) == {"v": None}
    required = {**schema(v={"type": "string"}), "required": ["v"]}
    assert "$.v: null is not of type" in told(required, {"v": None})


def test_row_43_an_empty_schema_takes_any_object() -> None:
    assert checked(with_schema({}), {"any": ["thing", None]}) == {"any": ["thing", None]}


def test_row_43_validate_false_switches_check_and_conversions_off() -> None:
    loose = with_schema(schema(v={"type": "integer"}), validate=False)
    assert checked(loose, {"v": "7", "w": None}) == {"v": "7", "w": None}


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "strange"},
        {"properties": {"v": {"$ref": "#/nowhere"}}},
        {"properties": {"v": {"pattern": "("}}},
        {"properties": {"v": {"default": object()}}},
    ],
)
def test_row_43_a_broken_schema_checks_nothing_and_is_reported_once(
    broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    reported: list[str] = []
    given = {"v": "7"}
    assert (
        checked(with_schema(broken), given, report=lambda name, told: reported.append(told))
        == given
    )
    assert reported[0].startswith("the arguments of tool f are not checked: the schema is ")
    with caplog.at_level(logging.WARNING, "tinyagent"):
        for _ in range(3):
            assert checked(with_schema(broken), given) == given
    assert caplog.messages == reported


def test_a_schema_that_leads_in_circles_is_walked_once() -> None:
    parameters = schema(n={"$ref": "#/$defs/node"})
    parameters["$defs"] = {
        "node": {
            "anyOf": [
                {"type": "null"},
                {"type": "object", "properties": {"n": {"$ref": "#/$defs/node"}}},
                {"allOf": [{"type": "array"}, {"items": {"$ref": "#/$defs/node"}}]},
            ]
        }
    }
    assert checked(with_schema(parameters), {"n": {"n": [None, "{}"]}}) == {"n": {"n": [None, {}]}}


def test_arguments_that_are_no_json_are_refused() -> None:
    text_of_fault = told(schema(v={}), {"v": {1, 2}})
    assert "- $: not JSON: Object of type set is not JSON serializable" in text_of_fault


async def test_row_43_neither_tool_nor_hook_is_asked_about_arguments_that_do_not_fit() -> None:
    asked: list[Any] = []

    async def execute(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        asked.append(args)
        return result("ok")

    def before(call: Any, of: Any, args: Any) -> None:
        asked.append(args)

    one = tool("f", execute)
    one.parameters = {**schema(n={"type": "integer"}), "required": ["n"]}
    wrong, right = calls(("c1", "f", {"n": "x"})), calls(("c2", "f", {"n": "7"}))
    agent = Agent(
        AgentOptions(
            initial_state=AgentState(model=Model(provider="test", id="m"), tools=[one]),
            stream_fn=script(wrong, right, text("Done.")),
            before_tool_call=before,
        )
    )
    assert await agent.prompt_text("go") == "Done."
    assert asked == [{"n": 7}, {"n": 7}]
    results = [m for m in agent.state.messages if isinstance(m, ToolResultMessage)]
    assert [m.is_error for m in results] == [True, False]
    assert [getattr(block, "text", "") for block in results[0].content] == [
        'Invalid arguments for tool f:\n- $.n: "x" is not of type "integer"\nReceived: {"n": "x"}'
    ]
    assert right.content[0] == ToolCall(id="c2", name="f", arguments={"n": "7"})
