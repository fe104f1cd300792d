"""The methods by which callers use the compatible structs: dump, validate, copy."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from tinyagent.agent_types import (
    ZERO_USAGE,
    AgentState,
    AgentTool,
    AssistantMessage,
    AssistantMessageEvent,
    CacheControl,
    CustomAgentMessage,
    Model,
    SimpleStreamOptions,
    TextContent,
    ThinkingLevel,
    ToolCallContent,
    ToolResultMessage,
    UserMessage,
    ValidationError,
)


class Artifact(CustomAgentMessage):
    """A host's own message."""

    role: str = "artifact"
    title: str


def build(cls: Any, **given: Any) -> Any:
    """Call *cls* with what type checkers would refuse."""
    return cls(**given)


# Dumps.


def test_a_dump_is_in_field_order_with_none_by_default() -> None:
    assert UserMessage(content=[TextContent(text="a")]).model_dump() == {
        "role": "user",
        "content": [{"type": "text", "text": "a", "text_signature": None, "cache_control": None}],
        "timestamp": None,
    }


def test_exclude_none_leaves_fields_out_at_every_depth_but_touches_no_json() -> None:
    message = AssistantMessage(
        content=[None, ToolCallContent(arguments={"a": None, "b": [None]})],
        usage={"input": None},
    )
    assert message.model_dump(exclude_none=True) == {
        "role": "assistant",
        "content": [None, {"type": "tool_call", "arguments": {"a": None, "b": [None]}}],
        "usage": {"input": None},
    }


def test_terminate_is_never_dumped() -> None:
    result = ToolResultMessage(terminate=True)
    assert "terminate" not in result.model_dump()
    assert "terminate" not in result.model_dump(mode="json", include={"terminate"})
    assert "terminate" not in AgentState(messages=[result]).model_dump_json()


def test_a_dump_shares_nothing_with_the_message() -> None:
    call = ToolCallContent(arguments={"a": [1]})
    dumped: Any = call.model_dump()
    dumped["arguments"]["a"].append(2)
    assert call.arguments == {"a": [1]}


def test_include_and_exclude_select_fields() -> None:
    text = TextContent(text="a")
    assert text.model_dump(include={"text"}) == {"text": "a"}
    assert text.model_dump(exclude={"type", "cache_control"}) == {
        "text": "a",
        "text_signature": None,
    }


def test_the_json_mode_has_words_sorted_lists_and_no_functions() -> None:
    async def execute(*_: Any) -> Any: ...

    tool = AgentTool("f", "d", {"type": "object"}, label="F", execute=execute)
    state = AgentState(
        thinking_level=ThinkingLevel.LOW, tools=[tool], pending_tool_calls={"b", "a"}
    )
    dumped = state.model_dump(mode="json")
    assert dumped["thinking_level"] == "low"
    assert type(dumped["thinking_level"]) is str
    assert dumped["pending_tool_calls"] == ["a", "b"]
    assert dumped["tools"] == [
        {"name": "f", "description": "d", "parameters": {"type": "object"}, "label": "F"}
    ]
    assert json.loads(state.model_dump_json()) == dumped
    signalled = SimpleStreamOptions(signal=asyncio.Event(), api_key="k")
    assert "signal" not in signalled.model_dump(mode="json")
    assert isinstance(signalled.model_dump()["signal"], asyncio.Event)


def test_the_json_text_is_compact_or_indented_and_always_valid() -> None:
    block = TextContent(text="ü")
    assert block.model_dump_json(exclude_none=True) == '{"type":"text","text":"ü"}'
    assert block.model_dump_json(exclude_none=True, indent=2) == (
        '{\n  "type": "text",\n  "text": "ü"\n}'
    )
    assert TextContent(text="a\ud800b").model_dump_json(exclude_none=True) == (
        '{"type":"text","text":"a\ufffdb"}'
    )
    call = ToolCallContent(arguments={"n": float("nan"), "big": 2**80})
    assert json.loads(call.model_dump_json())["arguments"] == {"n": None, "big": 2**80}


# Validation.


@pytest.mark.parametrize("cls", [UserMessage, AssistantMessage, Model, AgentState, TextContent])
def test_an_instance_is_validated_by_returning_it(cls: Any) -> None:
    one = cls()
    assert cls.model_validate(one) is one


def test_an_instance_of_a_subclass_is_returned_as_it_is() -> None:
    one = Artifact(title="t")
    assert CustomAgentMessage.model_validate(one) is one


@pytest.mark.parametrize(
    ("cls", "given", "told"),
    [
        (UserMessage, 5, "UserMessage: must be a dict or UserMessage, not int"),
        (UserMessage, None, "UserMessage: must be a dict or UserMessage, not NoneType"),
        (UserMessage, AssistantMessage(), "must be a dict or UserMessage, not AssistantMessage"),
        (UserMessage, {"role": "bot"}, "UserMessage: role: must be one of 'user', not 'bot'"),
        (UserMessage, {"content": 5}, "UserMessage: content: must be a list, not int"),
        (UserMessage, {"content": [5]}, "content.0: must be TextContent or ImageContent, not int"),
        (UserMessage, {"content": [{"text": 5}]}, "content.0.text: must be str, not int"),
        (
            UserMessage,
            {"content": [{"type": "video"}]},
            "content.0.type: must be one of 'text', 'image', not 'video'",
        ),
        (UserMessage, {"timestamp": "x"}, "timestamp: must be int, not str"),
        (AssistantMessage, {"stop_reason": "why"}, "stop_reason: must be one of 'complete', "),
        (AssistantMessage, {"usage": [1]}, "usage: must be a dict, not list"),
        (ToolCallContent, {"arguments": {"a": {1, 2}}}, "arguments.a: must be a JSON value"),
        (AssistantMessageEvent, {"type": "hm"}, "type: must be one of 'start', 'text_start', "),
        (Model, {"thinking_level": "much"}, "thinking_level: must be one of 'off', 'minimal', "),
        (AgentState, {"messages": [{"role": 5}]}, "messages.0.role: must be str, not int"),
        (AgentState, {"tools": [5]}, "tools.0: must be AgentTool, not int"),
        (UserMessage, {1: 2}, "has a key that is not a string"),
    ],
)
def test_what_does_not_fit_is_told_by_field_and_words(cls: Any, given: Any, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        cls.model_validate(given)
    assert told in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_constructor_refuses_a_block_whose_type_it_does_not_know() -> None:
    given: Any = {"type": "video"}
    with pytest.raises(ValidationError, match=r"content\.0\.type: must be one of 'text', 'image'"):
        UserMessage(content=[given])


def test_json_text_is_validated() -> None:
    text = '{"role":"user","content":[{"type":"text","text":"a"}],"x":null}'
    message = UserMessage.model_validate_json(text)
    assert message.content == [TextContent(text="a")]
    assert message.model_dump()["x"] is None
    assert UserMessage.model_validate_json(text.encode()) == message
    for wrong in ("{", "[]", b"\xff", "[" * 100_000):
        with pytest.raises(ValidationError):
            UserMessage.model_validate_json(wrong)


def test_a_dict_round_trips_through_dump_and_validate() -> None:
    message = build(
        AssistantMessage,
        content=[None, TextContent(text="a", cache_control=CacheControl(type="ephemeral"))],
        stop_reason="stop",
        usage=ZERO_USAGE,
        custom=1,
    )
    assert AssistantMessage.model_validate(message.model_dump()) == message
    assert AssistantMessage.model_validate_json(message.model_dump_json()) == message


# Copies.


def test_a_copy_shares_its_blocks_and_a_deep_copy_does_not() -> None:
    block: Any = ToolCallContent(arguments={"a": []})
    message = AssistantMessage(content=[block])
    assert message.model_copy().content == [block]
    assert build(message.model_copy).content[0] is block
    deep = build(message.model_copy, deep=True).content[0]
    assert deep == block
    assert deep is not block
    assert deep.arguments["a"] is not block.arguments["a"]


def test_a_copy_is_updated_unchecked() -> None:
    changed = UserMessage(timestamp=1).model_copy(update={"timestamp": 2, "extra": 3})
    assert changed.model_dump() == {"role": "user", "content": [], "timestamp": 2, "extra": 3}


def test_deep_copies_keep_signals_and_functions() -> None:
    options = SimpleStreamOptions(signal=asyncio.Event())
    assert options.model_copy(deep=True).signal is options.signal

    class Database:
        def __deepcopy__(self, memo: object) -> Database:
            raise AssertionError("a tool's functions are no data")

        async def query(self, *_: Any) -> Any: ...

    tool = AgentTool("f", parameters={"a": {}}, execute=Database().query)
    copied = AgentState(tools=[tool]).model_copy(deep=True).tools[0]
    assert copied.execute == tool.execute
    assert copied.parameters is not tool.parameters


def test_what_msgspec_drops_by_itself_is_why_these_methods_exist() -> None:
    one = build(UserMessage, custom="z")
    assert "custom" not in msgspec.to_builtins(one)
    assert one.model_dump()["custom"] == "z"


STAND_IN = """
import sys, types
class ValidationError(ValueError):
    @classmethod
    def from_exception_data(cls, title, line_errors):
        error, = line_errors
        told = error["ctx"]["error"]
        return cls(f"{title} {error['type']} {error['loc']} {error['input']!r}: {told}")
module = types.ModuleType("pydantic")
module.ValidationError = ValidationError
sys.modules["pydantic"] = module
from tinyagent.agent_types import UserMessage
try:
    UserMessage.model_validate({"content": [{"text": 5}]})
except ValidationError as error:
    print(error)
"""


def test_a_host_that_uses_pydantic_gets_its_exception() -> None:
    done = subprocess.run([sys.executable, "-c", STAND_IN], capture_output=True, text=True)
    assert done.stdout == (
        "UserMessage value_error ('content', 0, 'text') 5: must be str, not int\n"
    ), done.stderr
