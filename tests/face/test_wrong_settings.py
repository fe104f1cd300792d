"""Settings of wrong types: what is said of each, where it is given, word for word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinyagent import (
    Agent,
    AgentContext,
    AgentLoopConfig,
    AgentOptions,
    AgentState,
    AgentTool,
    Context,
    Hooks,
    Limits,
    Price,
    ProxyStreamOptions,
    Redact,
    Retry,
    SimpleStreamOptions,
    TextContent,
    ToolDefinitionError,
    UserMessage,
    agent_loop,
    agent_loop_continue,
    edits,
    extract_text,
    fork,
    load,
    named_model,
    open_log,
    replay,
    stream_proxy,
    tool,
)
from tinyagent._alchemy import openai_completions_stream
from tinyagent.agent_types import ThinkingBudgets, ValidationError
from tinyagent.alchemy_provider import OpenAICompatModel, stream_alchemy_openai_completions
from tinyagent.runtime.stores import LogMeta
from tinyagent.runtime.stores.files import FileLog
from tinyagent.testing import scripted

# Whatever is given to these: that is what is looked at here.
AnyAgent: Any = Agent
AnyTool: Any = AgentTool
AnyHooks: Any = Hooks
AnyLimits: Any = Limits
AnyPrice: Any = Price
AnyRetry: Any = Retry
loaded: Any = load
forked: Any = fork
modelled: Any = named_model
replayed: Any = replay
edit: Any = edits
NAN, INF = float("nan"), float("inf")
HALF = "has half a character, '\\ud83d' at 3; text.encode(errors='replace').decode() puts ? in its"

LOG = "log must be an open log (`async with open_log(...) as log`), not "
TOOLS = "tools must be a list of functions under @tool, of AgentTool(...) or MCP servers"


def plain(a: int) -> int:
    return a


@tool(effect="pure")
def add(a: int) -> int:
    """Add."""
    return a


def made(**given: Any) -> Callable[[], object]:
    return lambda: AnyAgent(model=scripted("Yes."), **given)


def configured(**given: Any) -> Callable[[], object]:
    return lambda: AnyAgent(AgentOptions(**given))


def assigned(**given: Any) -> Callable[[], object]:
    [(name, value)] = given.items()
    return lambda: setattr(AnyAgent(), name, value)


GIVEN: list[tuple[Callable[[], object], str]] = [
    (
        lambda: AnyAgent("openai:gpt-4o-mini", tools=[add]),
        "opts must be AgentOptions(...) (a model is given as model=...), not str",
    ),
    (lambda: AnyHooks(message="hi"), "Hooks: message must be a function, not str"),
    (made(log="runs/a"), f"{LOG}str"),
    (made(log=open_log("runs/a")), f"{LOG}open_log"),
    (configured(log=3), f"{LOG}int"),
    (configured(log=load("replays/one-tool.jsonl")), f"{LOG}Recording"),
    (made(tools=add), f"{TOOLS}, not FunctionTool"),
    (made(tools=[plain]), f"{TOOLS}; function is in it: put @tool above plain"),
    (made(tools=[{"name": "add"}]), f"{TOOLS}; dict is in it"),
    (
        made(tools=[Agent(model=scripted("Yes."))]),
        f"{TOOLS}; Agent is in it: give agent.as_tool(name, description)",
    ),
    (lambda: AnyAgent().set_tools([plain]), f"{TOOLS}; function is in it: put @tool above plain"),
    (
        lambda: AnyAgent(model=3),
        "a model is a name like 'openai:gpt-4o-mini', or Model(...), not int",
    ),
    (lambda: AnyAgent().set_limits(100), "limits must be Limits(...), not int"),
    (made(limits=100), "limits must be Limits(...), not int"),
    (made(prices=[]), "prices must be a dict of Price(...) by model, not list"),
    (made(compaction=9000), "compaction must be Compaction(...), not int"),
    (made(retry=3), "retry must be Retry(...), not int"),
    (made(redact=["key"]), "redact must be Redact(...), not list"),
    (
        made(redact=Redact(values="correct-horse")),
        "redact.values must be a dict of texts by name, or a list, not str",
    ),
    (lambda: open_log(redact=AnyAgent), "redact must be Redact(...), not type"),
    (made(hooks=print), "hooks must be a list of Hooks(...), not builtin_function_or_method"),
    (made(hooks=[plain]), "hooks must be a list of Hooks(...); function is in it"),
    (made(fallback="openai:gpt-4o"), "fallback must be a list of models, or their names, not str"),
    (configured(sinks=[print]), "sinks must be a list of sinks; builtin_function_or_method is in"),
    (configured(stop="END"), "stop must be a list of texts, not str"),
    (configured(initial_state="Be brief."), "initial_state must be AgentState(...), not str"),
    (configured(stream_fn="openai"), "stream_fn must be a function, not str"),
    (configured(convert_to_llm=[]), "convert_to_llm must be a function, not list"),
    (configured(output_schema="{}"), "output_schema must be a JSON Schema, as a dict, not str"),
    (lambda: AnyAgent().subscribe(3), "a listener must be a function, not int"),
    (configured(prices={"m": 3}), "prices must be a dict of Price(...) by model; int is in it"),
    (configured(transport=print), "transport must be a Transport, not builtin_function_or_method"),
    (configured(secrets=["key"]), "secrets must be a dict, or a function, not list"),
    (configured(session_id=3), "session_id must be a text, not int"),
    (configured(tool_choice=["add"]), "tool_choice must be a text, not list"),
    (configured(parallel_tool_calls=1), "parallel_tool_calls must be True or False, not int"),
    (configured(temperature="0.7"), "temperature must be a number from 0 on, not str"),
    (configured(max_tokens="9"), "max_tokens must be a whole number from 0 on, not str"),
    (configured(read_timeout_s=True), "read_timeout_s must be a number from 0 on, not bool"),
    (configured(steering_mode=object()), "steering_mode must be 'one-at-a-time' or 'all', not obj"),
    (
        lambda: AnyAgent().set_follow_up_mode(3),
        "follow_up_mode must be 'one-at-a-time' or 'all', not int",
    ),
    (assigned(thinking_budgets=3), "thinking_budgets must be ThinkingBudgets(...), not int"),
    (assigned(session_id=3), "session_id must be a text, not int"),
    (assigned(stream_fn="openai"), "stream_fn must be a function, not str"),
    (
        configured(thinking_budgets=ThinkingBudgets(max_tokens="9")),  # type: ignore[arg-type] # that is it
        "thinking_budgets.max_tokens must be a whole number from 0 on, not str",
    ),
    (configured(extra_body={"a": [object()]}), "extra_body.a[0] must be JSON, not object"),
    (configured(extra_body={"a": {3: 1}}), "a key of extra_body.a must be a text, not int"),
    (
        made(tools=[AnyTool("f", timeout_s=INF)]),
        "an agent cannot have the tool 'f': timeout_s=inf is no number from 0 on",
    ),
    (
        made(tools=[AnyTool("ab \ud83d")]),
        "an agent cannot have the tool 'ab \\ud83d': name='ab \\ud83d' has half a character",
    ),
    (configured(output=3), "output=3 is no type of an answer: "),
    (made(output="str"), "output='str' is no type of an answer: "),
    (
        made(tools=[AnyTool("f", approval="allways")]),
        "an agent cannot have the tool 'f': approval='allways' is none of always, never, and no",
    ),
    (
        lambda: AnyAgent().set_tools([AnyTool("f", idle_timeout_s="3")]),
        "an agent cannot have the tool 'f': idle_timeout_s='3' is no number from 0 on",
    ),
    (
        lambda: loaded(3),
        "a log is a folder, a file, an address, or an open one like agent.log; not int",
    ),
    (lambda: modelled(3), "the name of a model is a text like 'openai:gpt-4o-mini', not 3"),
    (lambda: edit.tool_result("c1", 3), "edits.tool_result takes a text, not int"),
    (lambda: edit.drop("c1"), "edits.drop takes the number of a record, not str"),
    (
        lambda: AnyAgent(model=scripted("Yes.")).edit_context(edits.drop(2)),
        "edits must be a list like [edits.drop(7)], not Edit",
    ),
    (
        lambda: forked("runs/a", edit="c1"),
        "edits must be a list like [edits.drop(7)], not str",
    ),
]


@pytest.mark.parametrize(("give", "told"), GIVEN, ids=[told[:50] for _, told in GIVEN])
def test_a_setting_of_a_wrong_type_is_named_where_it_is_given(
    give: Callable[[], object], told: str
) -> None:
    with pytest.raises(TypeError) as raised:
        give()
    assert str(raised.value).startswith(told)


async def test_a_factory_that_is_none_is_told_what_one_is(tmp_path: Path) -> None:
    async with open_log(tmp_path) as log:
        await Agent(model=scripted("Yes."), log=log).run("Really?")
    with pytest.raises(TypeError, match="a factory is a function that takes log= and returns an"):
        await replayed(tmp_path, "app:build")


@pytest.mark.parametrize(
    ("give", "told"),
    [
        (lambda: AnyLimits(turns_max="9"), "Limits: turns_max: must be a number, not str"),
        (lambda: AnyLimits(turns_max=True), "Limits: turns_max: must be a number, not bool"),
        (lambda: AnyLimits(tool_calls_max=1.5), "Limits: tool_calls_max: must be a whole number"),
        (lambda: AnyLimits(run_s_max=float("nan")), "Limits: run_s_max: must not be negative"),
        (
            lambda: AnyPrice(input_usd="1", output_usd=1),
            "Price: input_usd must be 0 or more, not '1'",
        ),
        (
            lambda: AnyPrice(input_usd=None, output_usd=1),
            "Price: input_usd must be 0 or more, not None",
        ),
        (lambda: AnyRetry(attempts_max="3"), "attempts_max must be at least 1"),
        (lambda: modelled("vllm:q", base_url="gpu:8000"), "base_url='gpu:8000' is no address"),
        (configured(max_tokens=0.5), "max_tokens must be a whole number from 0 on, not 0.5"),
        (configured(temperature=-1), "temperature must be a number from 0 on, not -1"),
        (configured(read_timeout_s=NAN), "read_timeout_s must be a number from 0 on, not nan"),
        (configured(tools_parallel_max=0), "tools_parallel_max must be a whole number from 1 on"),
        (configured(retries_max=-1), "retries_max must be a whole number from 0 on, not -1"),
        (
            lambda: AnyAgent().set_thinking_level("hihg"),
            "'hihg' is none of off, minimal, low, medium, high, xhigh",
        ),
        (configured(temperature=INF), "temperature must be a number from 0 on, not inf"),
        (configured(first_byte_timeout_s=INF), "first_byte_timeout_s must be a number from 0 on, "),
        (configured(extra_body={"a": [1, INF]}), "extra_body.a[1] must be a number that JSON has,"),
        (lambda: AnyRetry(delay_s_max=INF), "delay_s_max at least 0"),
        (lambda: AnyPrice(input_usd=INF, output_usd=1), "input_usd must be 0 or more, not inf"),
        (made(system_prompt="ab \ud83d"), f"system_prompt {HALF}"),
        (lambda: AnyAgent().set_system_prompt("ab \ud83d"), f"system_prompt {HALF}"),
        (configured(session_id="ab \ud83d"), f"session_id {HALF}"),
        (assigned(session_id="ab \ud83d"), f"session_id {HALF}"),
        (configured(tool_choice="ab \ud83d"), f"tool_choice {HALF}"),
        (configured(stop=["END", "ab \ud83d"]), f"stop[1] {HALF}"),
        (configured(output_schema={"title": "ab \ud83d"}), f"output_schema.title {HALF}"),
        (configured(on_interrupted="redo"), "on_interrupted='redo' is none of retry, keep"),
    ],
)
def test_a_number_that_is_none_is_refused_when_it_is_given(
    give: Callable[[], object], told: str
) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is looked at below
        give()
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"timeout_s": "10"}, "timeout_s='10' is no number from 0 on"),
        ({"output_bytes_max": -1}, "output_bytes_max=-1 is no number from 0 on"),
        ({"approval": "allways"}, "approval='allways' is none of always, never, and no function"),
        ({"name": 3}, "name=3 is no text"),
        ({"timeout_s": INF}, "timeout_s=inf is no number from 0 on"),
        ({"name": "ab \ud83d"}, r"name='ab .ud83d' has half a character, '.ud83d' at 3"),
        ({"description": "ab \ud83d"}, r"description='ab .ud83d' has half a character"),
        ({"description": ["Add."]}, r"description=\['Add.'\] is no text"),
    ],
)
def test_a_setting_of_a_tool_is_named_where_the_tool_is_defined(
    setting: dict[str, Any], told: str
) -> None:
    with pytest.raises(ToolDefinitionError, match=told):
        tool(**setting)(plain)


WRONG_TOOLS: list[tuple[AgentTool, str]] = [
    (AnyTool("f", effect="readonly"), "effect='readonly' is none of pure, read, idempotent"),
    (AnyTool("f", parameters="{}"), r"Expected `object`, got `str` - at `\$.schema`"),
    (AnyTool("f", description=["F."]), r"Expected `str`, got `array` - at `\$.description`"),
    (AnyTool("f", timeout_s=-1), "timeout_s=-1 is no number from 0 on"),
    (AnyTool("f", approval="allways"), "approval='allways' is none of always, never"),
    (AnyTool("f", idle_timeout_s=NAN), "idle_timeout_s=nan is no number from 0 on"),
    (AnyTool("f", output_bytes_max="9"), "output_bytes_max='9' is no number from 0 on"),
    (AnyTool("f", timeout_s="10"), r"Expected `int \| float \| null`, got `str` - at"),
]


@pytest.mark.parametrize(("wrong", "told"), WRONG_TOOLS)
async def test_a_tool_that_no_log_could_be_read_with_is_not_written(
    wrong: AgentTool, told: str
) -> None:
    agent = Agent(AgentOptions(initial_state=AgentState(model=scripted("Yes."), tools=[wrong])))
    for _ in range(2):
        with pytest.raises(TypeError, match=f"an agent cannot have the tool 'f': {told}"):
            await agent.run("Really?")
    agent.state.tools = [AnyTool("f", description=None)]
    assert (await agent.run("Really?")).text == "Yes."
    assert load(agent.log).replay().ok


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"model": "openai:gpt-4o"}, "model must be Model(...), not str"),
        ({"convert_to_llm": []}, "convert_to_llm must be a function, not list"),
        ({"get_steering_messages": ["hi"]}, "get_steering_messages must be a function, not list"),
        ({"temperature": "0.7"}, "temperature must be a number from 0 on, not str"),
        ({"limits": 3}, "limits must be Limits(...), not int"),
    ],
)
@pytest.mark.parametrize("loop", [agent_loop, agent_loop_continue])
async def test_a_setting_of_a_loop_is_named_at_once(
    loop: Any, setting: dict[str, Any], told: str
) -> None:
    given: Any = {"model": scripted("Yes."), "convert_to_llm": plain, **setting}
    hi = UserMessage(content=[TextContent(text="hi")])
    prompts = [[hi]] if loop is agent_loop else []
    with pytest.raises(TypeError) as raised:
        loop(*prompts, AgentContext(messages=[hi]), AgentLoopConfig(**given))
    assert str(raised.value) == told


@pytest.mark.parametrize("way", ["steer", "follow_up"])
async def test_all_of_a_list_is_queued(way: str) -> None:
    agent = AnyAgent(model=scripted("Yes.", "One.", "Two."))
    getattr(agent, way)([])
    getattr(agent, way)([UserMessage(content=[TextContent(text=text)]) for text in ("1", "2")])
    await agent.run("Really?")
    said = [extract_text(message) for message in agent.state.messages if message.role == "user"]
    assert sorted(said) == ["1", "2", "Really?"]


async def test_fewer_than_no_retries_are_none() -> None:
    model = OpenAICompatModel(id="m", base_url="http://127.0.0.1:9/none", auth="none")
    options = SimpleStreamOptions(retries_max=-1)
    answer = await (await stream_alchemy_openai_completions(model, Context(), options)).result()
    assert str(answer.error_message).startswith("HTTP request failed:")


async def test_a_temperature_that_json_has_not_is_named_before_anything_is_sent() -> None:
    model = OpenAICompatModel(id="m", base_url="http://127.0.0.1:9/none", auth="none")
    options = SimpleStreamOptions(api_key="k", temperature=INF)
    with pytest.raises(ValueError, match="temperature must be a number that JSON has, not inf"):
        await stream_alchemy_openai_completions(model, Context(), options)
    proxied = ProxyStreamOptions("t", "http://127.0.0.1:9", temperature=INF)
    answer = await (await stream_proxy(model, Context(), proxied)).result()
    assert answer.error_message == "temperature must be a number that JSON has, not inf"
    bound = {"id": "m", "provider": "p", "api": "", "base_url": "http://127.0.0.1:9"}
    with pytest.raises(ValueError, match="invalid options: `temperature` must be a number"):
        openai_completions_stream(bound, {"messages": []}, {"temperature": INF})


async def test_a_system_prompt_with_half_a_character_is_named_and_nothing_is_written() -> None:
    agent = Agent(model=scripted("Yes."))
    agent.state.system_prompt = "ab \ud83d"
    with pytest.raises(ValueError, match="system_prompt has half a character"):
        await agent.run("Really?")
    agent.state.system_prompt = "ab"
    assert (await agent.run("Really?")).text == "Yes."
    assert load(agent.log).replay().ok


async def test_a_proxy_tells_of_options_that_are_none() -> None:
    wrong: Any = 3
    answer = await (await stream_proxy(scripted(), Context(), wrong)).result()
    assert (answer.stop_reason, answer.error_kind) == ("error", "host")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("transform_context", "a list of messages"),
        ("convert_to_llm", "a list of messages"),
        ("stream_fn", "a StreamResponse"),
    ],
)
async def test_a_callback_that_returned_nothing_is_named(name: str, wanted: str) -> None:
    options: Any = {name: lambda *given: None}
    agent = Agent(AgentOptions(initial_state=AgentState(model=scripted("Yes.")), **options))
    answer: Any = await agent.prompt("Really?")
    assert answer.error_message == f"{name} returned NoneType, expected {wanted}"


def test_a_bad_limit_is_found_by_its_own_error() -> None:
    with pytest.raises(ValidationError, match="turns: there is no such field"):
        AnyLimits(turns=3)


def test_a_log_is_not_asked_who_it_is_before_there_is_a_run(tmp_path: Path) -> None:
    class Unasked(FileLog):
        @property
        def meta(self) -> LogMeta:
            raise AssertionError

    log = Unasked(tmp_path, now_us=lambda: 1)
    assert Agent(model=scripted("Yes."), log=log).given_log is log
