"""The compatible structs: what their constructors take, what they keep, what they refuse."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from typing import Any

import msgspec
import pytest

from tinyagent.agent_types import (
    STOP_REASONS,
    STREAM_UPDATE_EVENTS,
    ZERO_USAGE,
    AgentMessage,
    AgentState,
    AgentTool,
    AssistantMessage,
    AssistantMessageEvent,
    CacheControl,
    CustomAgentMessage,
    ImageContent,
    Message,
    Model,
    SimpleStreamOptions,
    TextContent,
    ThinkingBudgets,
    ThinkingContent,
    ThinkingLevel,
    ToolCall,
    ToolCallContent,
    ToolExecutionResult,
    ToolResultMessage,
    UserMessage,
    ValidationError,
)

FIELDS: list[tuple[Any, str]] = [
    (CacheControl, "type"),
    (TextContent, "type text text_signature cache_control"),
    (ImageContent, "type url mime_type"),
    (ThinkingContent, "type thinking thinking_signature cache_control"),
    (ToolCallContent, "type id name arguments partial_json"),
    (UserMessage, "role content timestamp"),
    (
        AssistantMessage,
        "role content stop_reason timestamp api provider model usage error_message error_kind",
    ),
    (
        ToolResultMessage,
        "role tool_call_id tool_name content details is_error terminate timestamp",
    ),
    (CustomAgentMessage, "role timestamp"),
    (ThinkingBudgets, "thinking_budget max_tokens"),
    (Model, "provider id api thinking_level"),
    (
        SimpleStreamOptions,
        "api_key temperature max_tokens signal session_id reasoning thinking_budget_tokens"
        " retries_max connect_timeout_s first_byte_timeout_s read_timeout_s",
    ),
    (
        AssistantMessageEvent,
        "type partial content_index delta content tool_call reason message error",
    ),
    (
        AgentState,
        "system_prompt model thinking_level tools messages is_streaming stream_message"
        " pending_tool_calls error",
    ),
    (ToolExecutionResult, "tool_results steering_messages terminate"),
]
CLASSES = [cls for cls, _ in FIELDS]


class Artifact(CustomAgentMessage):
    """A host's own message."""

    role: str = "artifact"
    title: str
    tags: list[str] = ["new"]  # noqa: RUF012 - as users of other libraries write it
    source: TextContent | None = None


@pytest.mark.parametrize(("cls", "fields"), FIELDS)
def test_each_class_has_these_fields_in_this_order(cls: Any, fields: str) -> None:
    assert " ".join(cls.__struct_fields__) == fields


@pytest.mark.parametrize("cls", CLASSES)
def test_every_field_has_a_default_and_none_is_positional(cls: Any) -> None:
    assert cls() == cls()
    with pytest.raises(TypeError):
        cls("x")


@pytest.mark.parametrize("cls", CLASSES)
def test_unknown_keywords_are_kept_wherever_an_instance_goes(cls: Any) -> None:
    one = cls(custom="z")
    one.later = {"n": [1, None]}
    for other in (
        copy.copy(one),
        copy.deepcopy(one),
        pickle.loads(pickle.dumps(one)),
        one.model_copy(),
        one.model_copy(deep=True),
        one.__replace__(),
        cls.model_validate(cls(**one.model_dump()).model_dump()) if cls is not AgentState else one,
    ):
        assert type(other) is cls
        assert (other.custom, other.later) == ("z", {"n": [1, None]})
        assert other == one
    assert one != cls(custom="y")
    assert one != cls()
    assert list(one.model_dump())[-2:] == ["custom", "later"]
    assert one.model_dump()["later"] == {"n": [1, None]}
    assert repr(one).endswith("custom='z', later={'n': [1, None]})")


@pytest.mark.parametrize("name", ["model_dump", "__class__", "__deepcopy__", "\0later"])
def test_an_extra_that_would_hide_a_method_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="may not have this name"):
        UserMessage.model_validate({name: 1})
    with pytest.raises(ValidationError, match="may not have this name"):
        UserMessage(**{name: 1})  # pyright: ignore[reportArgumentType] - any keyword is taken


@pytest.mark.parametrize("cls", CLASSES)
def test_instances_are_not_hashable(cls: Any) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(cls())


def test_equality_is_by_class_fields_and_extras() -> None:
    assert TextContent(text="a") == TextContent(text="a")
    assert TextContent(text="a") != TextContent(text="b")
    assert UserMessage() != CustomAgentMessage(role="user")
    assert TextContent(text="a") != {"type": "text", "text": "a"}


def test_the_repr_names_every_field() -> None:
    assert repr(ImageContent(url="u")) == "ImageContent(type='image', url='u', mime_type=None)"


def test_aliases_are_the_same_objects() -> None:
    assert ToolCall is ToolCallContent


def test_type_and_role_may_be_passed() -> None:
    assert TextContent(type="text", text="a") == TextContent(text="a")
    assert UserMessage(role="user") == UserMessage()


def test_the_unions_work_in_isinstance_and_in_annotations() -> None:
    assert isinstance(UserMessage(), Message)
    assert not isinstance(CustomAgentMessage(), Message)
    assert isinstance(CustomAgentMessage(), AgentMessage)
    assert list[AgentMessage] != list[Message]
    assert AgentMessage | None is not None


def test_the_sets_of_words_are_frozen() -> None:
    assert (
        frozenset({"complete", "error", "aborted", "tool_calls", "stop", "length", "tool_use"})
        == STOP_REASONS
    )
    assert len(STREAM_UPDATE_EVENTS) == 9
    assert {"start", "done", "error"}.isdisjoint(STREAM_UPDATE_EVENTS)
    with pytest.raises(AttributeError):
        STOP_REASONS.add("x")  # type: ignore[attr-defined] # pyright: ignore - the point


def test_thinking_levels_are_strings() -> None:
    levels = ["off", "minimal", "low", "medium", "high", "xhigh"]
    assert [level.value for level in ThinkingLevel] == levels
    assert ThinkingLevel.HIGH == "high"
    for given in ("high", ThinkingLevel.HIGH):
        level: Any = given
        assert Model(thinking_level=level).thinking_level is ThinkingLevel.HIGH
        assert AgentState(thinking_level=level).thinking_level is ThinkingLevel.HIGH
        assert Model.model_validate({"thinking_level": given}).thinking_level is ThinkingLevel.HIGH


# Constructors.


def test_constructors_convert_dicts_where_a_struct_belongs() -> None:
    given: Any = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}, "x": 1}
    block = UserMessage(content=[given]).content[0]
    assert isinstance(block, TextContent)
    assert block.cache_control == CacheControl(type="ephemeral")
    assert getattr(block, "x") == 1  # noqa: B009 - an extra, unknown to type checkers
    message: Any = {"role": "assistant", "content": [None, {"type": "thinking", "thinking": "t"}]}
    event = AssistantMessageEvent(
        partial=message,
        message=message,
        error=message,
        tool_call={"name": "f"},  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - a dict is taken
    )
    expected = AssistantMessage(content=[None, ThinkingContent(thinking="t")])
    assert event.partial == event.message == event.error == expected
    assert event.tool_call == ToolCallContent(name="f")
    state = AgentState(messages=[message, {"role": "user"}], model={"id": "m"})  # type: ignore[list-item,arg-type] # pyright: ignore[reportArgumentType] - dicts are taken
    assert state.messages == [expected, UserMessage()]
    assert state.model == Model(id="m")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, UserMessage()),
        ({"content": []}, UserMessage()),
        ({"role": "user"}, UserMessage()),
        ({"role": "assistant"}, AssistantMessage()),
        ({"role": "tool_result"}, ToolResultMessage()),
        ({"role": "note", "x": 1}, CustomAgentMessage(role="note", x=1)),  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] - an extra
        ({"role": "user", "content": "hi"}, UserMessage(content=[TextContent(text="hi")])),
        (
            {"role": "assistant", "content": "hi"},
            AssistantMessage(content=[TextContent(text="hi")]),
        ),
        (
            {"role": "tool_result", "content": "hi"},
            ToolResultMessage(content=[TextContent(text="hi")]),
        ),
    ],
)
def test_the_role_decides_the_class_of_a_message(given: Any, expected: AgentMessage) -> None:
    for state in (
        AgentState(messages=[given]),
        AgentState.model_validate({"messages": [given]}),
    ):
        assert state.messages == [expected]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, TextContent()),
        ({"text": "a"}, TextContent(text="a")),
        ({"thinking": "t", "text": "a"}, ThinkingContent(thinking="t", text="a")),  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] - an extra
        ({"name": "f"}, ToolCallContent(name="f")),
        ({"arguments": {}}, ToolCallContent()),
        ({"id": "c"}, ToolCallContent(id="c")),
        ({"text": "a", "id": "c"}, ToolCallContent(id="c", text="a")),  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] - an extra
    ],
)
def test_keys_decide_the_class_of_a_block_without_a_type(given: Any, expected: Any) -> None:
    assert AssistantMessage(content=[given]).content == [expected]
    assert AssistantMessage.model_validate({"content": [given]}).content == [expected]


def test_a_url_makes_an_image() -> None:
    given: Any = {"url": "u"}
    assert UserMessage(content=[given]).content == [ImageContent(url="u")]


def test_the_callers_containers_are_never_shared() -> None:
    text = TextContent(text="a")
    blocks: list[Any] = [text]
    arguments: dict[str, Any] = {"a": {"b": [1]}}
    message = UserMessage(content=blocks)
    call = ToolCallContent(arguments=arguments)
    assert message.content is not blocks
    assert message.content[0] is text
    arguments["a"]["b"].append(2)
    assert call.arguments == {"a": {"b": [1]}}
    answer = AssistantMessage(usage=ZERO_USAGE)
    assert answer.usage == ZERO_USAGE
    assert answer.usage is not ZERO_USAGE
    assert answer.usage["cost"] is not ZERO_USAGE["cost"]
    assert UserMessage().content is not UserMessage().content
    waiting = {"c"}
    assert AgentState(pending_tool_calls=waiting).pending_tool_calls is not waiting


def test_constructors_check_no_types() -> None:
    wrong: Any = 5
    assert TextContent(text=wrong).text == 5
    assert AssistantMessage(stop_reason=wrong).stop_reason == 5
    message = UserMessage()
    message.timestamp = wrong
    assert message.timestamp == 5


def test_hosts_subclass_messages_with_their_own_fields() -> None:
    one = Artifact(title="t", source={"text": "s"})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - a dict is taken
    assert (one.role, one.tags, one.source) == ("artifact", ["new"], TextContent(text="s"))
    one.tags.append("x")
    assert Artifact(title="t").tags == ["new"]
    assert AgentState(messages=[one]).messages[0] is one
    assert AgentState(messages=[one]).model_dump()["messages"] == [one.model_dump()]
    assert one.model_dump(exclude_none=True) == {
        "role": "artifact",
        "tags": ["new", "x"],
        "title": "t",
        "source": {"type": "text", "text": "s"},
    } or list(one.model_dump()) == ["role", "timestamp", "title", "tags", "source"]
    with pytest.raises(ValidationError, match="title: is required"):
        Artifact()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] - the point


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


@pytest.mark.parametrize("cls", CLASSES)
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
    message = AssistantMessage(
        content=[None, TextContent(text="a", cache_control=CacheControl(type="ephemeral"))],
        stop_reason="stop",
        usage=ZERO_USAGE,
        custom=1,  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] - an extra
    )
    assert AssistantMessage.model_validate(message.model_dump()) == message
    assert AssistantMessage.model_validate_json(message.model_dump_json()) == message


# Copies.


def test_a_copy_shares_its_blocks_and_a_deep_copy_does_not() -> None:
    message = AssistantMessage(content=[ToolCallContent(arguments={"a": []})])
    block: Any = message.content[0]
    assert message.model_copy().content[0] is block
    deep: Any = message.model_copy(deep=True).content[0]
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
    one = UserMessage(custom="z")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] - an extra
    assert "custom" not in msgspec.to_builtins(one)
    assert one.model_dump()["custom"] == "z"
