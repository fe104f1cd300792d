"""The compatible structs: what their constructors take, what they keep, what they refuse."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import pytest

from tinyagent.agent_types import (
    STOP_REASONS,
    STREAM_UPDATE_EVENTS,
    ZERO_USAGE,
    AgentMessage,
    AgentState,
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
    tags: list[str] = ["new"]  # as users of other model libraries write it
    source: TextContent | None = None


def build(cls: Any, **given: Any) -> Any:
    """Call *cls* with what type checkers would refuse."""
    return cls(**given)


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
    copies: list[Any] = [
        copy.copy(one),
        copy.deepcopy(one),
        pickle.loads(pickle.dumps(one)),
        one.model_copy(),
        one.model_copy(deep=True),
        one.__replace__(),
        cls.model_validate(cls(**one.model_dump()).model_dump()),
    ]
    for other in copies:
        assert type(other) is cls
        assert (other.custom, other.later) == ("z", {"n": [1, None]})
        assert other == one
    assert one != cls(custom="y")
    assert one != cls()
    assert list(one.model_dump())[-2:] == ["custom", "later"]
    assert one.model_dump()["later"] == {"n": [1, None]}
    assert repr(one).endswith("custom='z', later={'n': [1, None]})")


def test_to_be_asked_for_a_protocol_that_it_has_not_gives_an_instance_no_dict() -> None:
    one = Model()
    assert not hasattr(one, "__tinyagent_stream__")
    assert {} not in gc.get_referents(one)


@pytest.mark.parametrize("name", ["model_dump", "__class__", "__deepcopy__", "\0later"])
def test_an_extra_that_would_hide_a_method_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="may not have this name"):
        UserMessage.model_validate({name: 1})
    with pytest.raises(ValidationError, match="may not have this name"):
        build(UserMessage, **{name: 1})


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
        getattr(STOP_REASONS, "add")("x")  # noqa: B009 - type checkers know that it is not there


def test_thinking_levels_are_strings() -> None:
    levels = ["off", "minimal", "low", "medium", "high", "xhigh"]
    assert [level.value for level in ThinkingLevel] == levels
    assert str.__eq__(ThinkingLevel.HIGH, "high")
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
    event = build(
        AssistantMessageEvent,
        partial=message,
        message=message,
        error=message,
        tool_call={"name": "f"},
    )
    expected = AssistantMessage(content=[None, ThinkingContent(thinking="t")])
    assert event.partial == event.message == event.error == expected
    assert event.tool_call == ToolCallContent(name="f")
    state = build(AgentState, messages=[message, {"role": "user"}], model={"id": "m"})
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
        ({"role": "note", "x": 1}, build(CustomAgentMessage, role="note", x=1)),
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
        ({"thinking": "t", "text": "a"}, build(ThinkingContent, thinking="t", text="a")),
        ({"name": "f"}, ToolCallContent(name="f")),
        ({"arguments": {}}, ToolCallContent()),
        ({"id": "c"}, ToolCallContent(id="c")),
        ({"text": "a", "id": "c"}, build(ToolCallContent, id="c", text="a")),
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
    assert answer.usage is not None
    assert answer.usage["cost"] is not ZERO_USAGE["cost"]
    assert UserMessage().content is not UserMessage().content
    waiting = {"c"}
    assert AgentState(pending_tool_calls=waiting).pending_tool_calls is not waiting


def test_constructors_check_no_types() -> None:
    assert build(TextContent, text=5).text == 5
    message = build(AssistantMessage, stop_reason=5)
    message.timestamp = "x"
    assert (message.stop_reason, message.timestamp) == (5, "x")


def test_hosts_subclass_messages_with_their_own_fields() -> None:
    one = build(Artifact, title="t", source={"text": "s"})
    assert (one.role, one.tags, one.source) == ("artifact", ["new"], TextContent(text="s"))
    one.tags.append("x")
    assert Artifact(title="t").tags == ["new"]
    assert AgentState(messages=[one]).messages[0] is one
    assert AgentState(messages=[one]).model_dump()["messages"] == [one.model_dump()]
    assert one.model_dump(exclude_none=True) == {
        "role": "artifact",
        "title": "t",
        "tags": ["new", "x"],
        "source": {"type": "text", "text": "s"},
    }
    with pytest.raises(ValidationError, match="title: is required"):
        build(Artifact)
