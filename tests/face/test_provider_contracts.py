"""The contracts of provider bindings: usage, messages, metadata, blocking handles."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from dataclasses import fields
from typing import Any

import pytest

from tinyagent.agent_types import (
    ZERO_USAGE,
    AssistantMessage,
    AssistantMessageEvent,
    Model,
    TextContent,
    ValidationError,
)
from tinyagent.alchemy_provider import AlchemyStreamResponse, OpenAICompatModel
from tinyagent.provider_contracts import (
    BindingStreamResponseBase,
    ProviderMetadataModel,
    ResolvedModelMetadata,
    dump_model_payload,
    missing_keys,
    resolve_model_metadata,
    validate_assistant_message_contract,
    validate_usage_contract,
)
from tinyagent.rust_binding_provider import (
    BindingContextPayload,
    BindingModelPayload,
    BindingOptionsPayload,
    BindingToolPayload,
    RustBindingModel,
    RustBindingStreamResponse,
)


class Handle:
    """A blocking handle that gives what it was given."""

    def __init__(self, *events: Any, result: Any = None) -> None:
        self.events = list(events)
        self.final = result
        self.asked = 0
        self.threads: set[str] = set()

    def next_event(self) -> Any:
        self.threads.add(threading.current_thread().name)
        event = self.events.pop(0) if self.events else None
        if isinstance(event, BaseException):
            raise event
        return event

    def result(self) -> Any:
        self.asked += 1
        return self.final


def response(*events: Any, result: Any = None) -> BindingStreamResponseBase:
    return BindingStreamResponseBase(Handle(*events, result=result), "that is no event")


def build(cls: Any, **given: Any) -> Any:
    """Call *cls* with what type checkers would refuse."""
    return cls(**given)


def test_missing_keys_are_sorted() -> None:
    assert missing_keys({"b": 1}, ("c", "b", "a")) == ["a", "c"]


def test_a_complete_usage_is_returned_itself() -> None:
    assert validate_usage_contract(ZERO_USAGE, where="w") is ZERO_USAGE


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        (None, "w: usage must be a dict"),
        (
            {"input": 1, "cost": {}},
            "w: usage missing key(s): cache_read, cache_write, output, total_tokens",
        ),
        ({**ZERO_USAGE, "cost": 1}, "w: usage.cost must be a dict"),
        (
            {**ZERO_USAGE, "cost": {"input": 0, "total": 0}},
            "w: usage.cost missing key(s): cache_read, cache_write, output",
        ),
    ],
)
def test_what_a_usage_lacks_is_told(usage: Any, told: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        validate_usage_contract(usage, where="w")
    assert str(caught.value) == told


def test_a_message_may_be_a_message_or_a_dict() -> None:
    message = AssistantMessage(usage=ZERO_USAGE)
    for given in (message, message.model_dump()):
        assert validate_assistant_message_contract(given, where="w", require_usage=True) == message
    bare = validate_assistant_message_contract({}, where="w", require_usage=False)
    assert bare == AssistantMessage()


@pytest.mark.parametrize(
    ("raw", "told"),
    [(5, "w: assistant message must be a dict"), ({}, "w: usage must be a dict")],
)
def test_what_is_no_message_is_told(raw: Any, told: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        validate_assistant_message_contract(raw, where="w", require_usage=True)
    assert str(caught.value) == told


def test_metadata_come_from_the_model_or_are_the_two_given() -> None:
    described = ProviderMetadataModel(name="n", headers={"a": "b"}, reasoning="low", max_tokens=5)
    assert resolve_model_metadata(described, context_window=1, max_tokens=2) == (
        ResolvedModelMetadata("n", {"a": "b"}, "low", 128_000, 5)
    )
    assert resolve_model_metadata(Model(), context_window=1, max_tokens=2) == (
        ResolvedModelMetadata(None, None, False, 1, 2)
    )


def test_a_payload_is_dumped_without_none() -> None:
    assert dump_model_payload(TextContent(text="a")) == {"type": "text", "text": "a"}


@pytest.mark.parametrize("cls", [ProviderMetadataModel, OpenAICompatModel, RustBindingModel])
def test_reasoning_is_checked_at_construction(cls: Any) -> None:
    for fine in (True, False, "minimal", "low", "medium", "high", "xhigh"):
        assert cls(reasoning=fine).reasoning == fine
    told = r"reasoning: must be .*'minimal', 'low', 'medium', 'high', 'xhigh'"
    for wrong in ("much", 1.5, None):
        with pytest.raises(ValidationError, match=told):
            cls(reasoning=wrong)
        with pytest.raises(ValidationError, match="reasoning: must be"):
            cls.model_validate({"reasoning": wrong})


def test_the_api_of_a_binding_model_is_checked_at_construction() -> None:
    for fine in ("", "anthropic-messages", "openai-completions", "minimax-completions"):
        assert build(RustBindingModel, api=fine).api == fine
    told = "api: must be one of '', 'anthropic-messages', 'openai-completions', 'minimax-compl"
    with pytest.raises(ValidationError, match=told):
        build(RustBindingModel, api="openai")


def test_a_blank_base_url_of_a_binding_model_is_none() -> None:
    assert RustBindingModel(base_url="  ").base_url is None
    assert RustBindingModel(base_url=" https://h/v1 ").base_url == "https://h/v1"


@pytest.mark.parametrize(
    ("given", "api"),
    [
        ({}, "openai-completions"),
        ({"provider": "minimax"}, "minimax-completions"),
        ({"provider": "minimax-cn"}, "minimax-completions"),
        ({"provider": "openai"}, "openai-completions"),
        ({"provider": "minimax", "api": "openai-completions"}, "openai-completions"),
        ({"provider": "minimax", "api": ""}, ""),
    ],
)
def test_a_compatible_model_without_an_api_takes_its_providers(given: Any, api: str) -> None:
    assert build(OpenAICompatModel, **given).api == api
    assert OpenAICompatModel.model_validate(given).api == api


def test_row_3_a_subclass_that_names_provider_or_api_is_heard() -> None:
    class Mini(OpenAICompatModel):
        provider: str = "minimax-cn"

    class Other(OpenAICompatModel):
        provider: str = "minimax"
        api: str = "anthropic-messages"

    assert Mini().api == "minimax-completions"
    assert Mini(provider="openai").api == "openai-completions"
    assert Mini(api="").api == ""
    assert Other().api == "anthropic-messages"


def test_payloads_refuse_unknown_keys_and_missing_ones() -> None:
    model = BindingModelPayload(
        id="i", provider="p", api="a", base_url="u", context_window=1, max_tokens=2
    )
    assert list(model.model_dump(exclude_none=True)) == [
        "id",
        "provider",
        "api",
        "base_url",
        "reasoning",
        "context_window",
        "max_tokens",
    ]
    for cls in (
        BindingModelPayload,
        BindingToolPayload,
        BindingContextPayload,
        BindingOptionsPayload,
    ):
        with pytest.raises(ValidationError, match="no such field"):
            build(cls, odd=1)
    with pytest.raises(ValidationError, match="max_tokens: is required"):
        build(BindingModelPayload, id="i", provider="p", api="a", base_url="u", context_window=1)
    tool = {"name": "f", "description": "d", "parameters": {}}
    context = build(BindingContextPayload, messages=[], tools=[tool])
    assert context.system_prompt == ""
    assert isinstance(context.tools[0], BindingToolPayload)


async def test_events_are_messages_dicts_or_an_error_and_none_ends_them() -> None:
    event = AssistantMessageEvent(type="start")
    stream = response(event, {"type": "text_delta", "delta": "a"}, "odd")
    assert aiter(stream) is stream
    assert await anext(stream) is event
    assert await anext(stream) == AssistantMessageEvent(type="text_delta", delta="a")
    with pytest.raises(RuntimeError, match="that is no event"):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@pytest.mark.parametrize("cls", [AlchemyStreamResponse, RustBindingStreamResponse])
async def test_the_two_bindings_have_one_complaint(cls: Any) -> None:
    stream = cls(_handle=Handle(5))
    with pytest.raises(RuntimeError) as caught:
        await anext(stream)
    assert str(caught.value) == "tinyagent._alchemy returned an invalid event"
    assert stream.invalid_event_message == "tinyagent._alchemy returned an invalid event"


@pytest.mark.parametrize("cls", [AlchemyStreamResponse, RustBindingStreamResponse])
async def test_the_two_bindings_take_what_their_base_takes(cls: Any) -> None:
    handle, known = Handle(5), AssistantMessage()
    assert [field.name for field in fields(cls) if field.init] == [
        "_handle",
        "invalid_event_message",
        "_final_message",
    ]
    stream = cls(handle, "what is this", known)
    assert stream == cls(_handle=handle, invalid_event_message="what is this", _final_message=known)
    with pytest.raises(RuntimeError, match="what is this"):
        await anext(stream)
    assert await stream.result() is known


async def test_the_result_is_asked_for_once_and_must_carry_usage() -> None:
    handle = Handle(result={"usage": ZERO_USAGE})
    stream = BindingStreamResponseBase(handle, "x")
    assert await stream.result() is await stream.result()
    assert handle.asked == 1
    with pytest.raises(RuntimeError, match="usage must be a dict"):
        await response(result={}).result()
    known = AssistantMessage()
    assert await BindingStreamResponseBase(handle, "x", known).result() is known


async def test_what_the_handle_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="boom"):
        await anext(response(ValueError("boom")))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await anext(response(StopIteration()))


async def test_blocking_calls_run_in_threads_of_our_own() -> None:
    handle = Handle({"type": "start"})
    await anext(BindingStreamResponseBase(handle, "x"))
    assert handle.threads == {"tinyagent-binding"}


HANGS = """
import asyncio, threading
from tinyagent.provider_contracts import BindingStreamResponseBase
class Handle:
    def next_event(self): threading.Event().wait()
    def result(self): threading.Event().wait()
async def main():
    try:
        await asyncio.wait_for(anext(BindingStreamResponseBase(Handle(), "x")), 0.05)
    except TimeoutError:
        print("timeout")
asyncio.run(main())
"""


def test_a_blocked_read_does_not_keep_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("timeout\n", "", 0)


def test_a_call_that_ends_after_its_loop_is_told_to_nobody() -> None:
    release = threading.Event()

    class Slow(Handle):
        def next_event(self) -> Any:
            release.wait()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(BindingStreamResponseBase(Slow(), "x")), 0.02)

    asyncio.run(main())
    release.set()
    for thread in threading.enumerate():
        if thread.name == "tinyagent-binding":
            thread.join(5)


async def test_who_gives_up_waiting_for_an_event_loses_none() -> None:
    may_answer = threading.Event()

    class Slow(Handle):
        def next_event(self) -> Any:
            may_answer.wait()
            return super().next_event()

    events = BindingStreamResponseBase(Slow({"type": "start"}), "that is no event")
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 0.01)
    may_answer.set()
    assert (await anext(events)).type == "start"
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_aclose_wakes_a_handle_that_can_be_cancelled() -> None:
    woken = threading.Event()

    class Cancellable(Handle):
        def next_event(self) -> Any:
            woken.wait()
            raise RuntimeError("cancelled")

        def cancel(self) -> None:
            woken.set()

    events = BindingStreamResponseBase(Cancellable(), "that is no event")
    reading = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    await events.aclose()
    with pytest.raises(RuntimeError, match="cancelled"):
        await reading
    await response().aclose()
