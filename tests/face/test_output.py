"""Answers of a type: asked of every provider, typed, refused, fed back, replayed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from tests import legal
from tests.agents import heard, make, recorded
from tests.crashing import cut
from tests.face.test_exact_requests import anthropic, gemini, responses, spoken
from tests.traces import calls, text

from tinyagent import Agent, AgentOptions, AgentTool, load, named_model, open_log, replay
from tinyagent._run.runs import NoOutputError, RunFailedError
from tinyagent.events import kinds as k
from tinyagent.testing import ProviderServer, chat


class Line(msgspec.Struct):
    what: str
    cents: int


class Invoice(msgspec.Struct):
    """What is to be paid."""

    lines: list[Line]
    currency: Literal["EUR", "USD"] = "EUR"


GOOD = '{"lines": [{"what": "tea", "cents": 250}], "currency": "EUR"}'
BAD = '{"lines": [{"what": "tea"}, {"what": 5, "cents": "x"}]}'
INVOICE = Invoice([Line("tea", 250)])
FAULTS = [
    '/lines/0: "cents" is a required property',
    '/lines/1/cents: "x" is not of type "integer"',
    '/lines/1/what: 5 is not of type "string"',
]
TOLD = "The answer was not accepted:\n- " + "\n- ".join(FAULTS) + "\nGive it again, whole."
ITEM = {"type": "message", "id": "i1", "role": "assistant", "content": []}


def said_by_responses(said: str) -> bytes:
    return responses((ITEM, {"type": "response.output_text.delta", "delta": said}, {}))


PROVIDERS: list[tuple[str, Callable[[str], Any], Callable[[Any], Any]]] = [
    (
        "openai:gpt-4o",
        lambda said: chat(text=said),
        lambda body: body["response_format"]["json_schema"]["schema"],
    ),
    (
        "openai-responses:gpt-5",
        said_by_responses,
        lambda body: body["text"]["format"]["schema"],
    ),
    (
        "anthropic:claude-sonnet-4-6",
        lambda said: anthropic(spoken(said)),
        lambda body: body["output_config"]["format"]["schema"],
    ),
    (
        "google:gemini-3-pro",
        lambda said: gemini({"text": said}),
        lambda body: body["generationConfig"]["responseJsonSchema"],
    ),
    (
        "deepseek:deepseek-chat",
        lambda said: chat(calls=[("final_answer", said)]),
        lambda body: body["tools"][-1]["function"]["parameters"],
    ),
]


@pytest.mark.parametrize(("name", "says", "schema_in"), PROVIDERS, ids=[p[0] for p in PROVIDERS])
async def test_on_every_provider_an_answer_has_its_type_and_a_bad_one_is_fed_back(
    tmp_path: Path, name: str, says: Callable[[str], Any], schema_in: Callable[[Any], Any]
) -> None:
    def build(*, log: Any) -> Agent:
        model = named_model(name, base_url=f"{server.url}/v1")
        tools = [AgentTool(name="add", effect="pure")]
        return Agent(AgentOptions(get_api_key=lambda _: "k"), model=model, tools=tools, log=log)

    async with ProviderServer([says(BAD), says(GOOD)]) as server, open_log(tmp_path / "l") as log:
        agent = build(log=log)
        result = await agent.run("Write an invoice.", output=Invoice)
        bodies = [request.json for request in server.requests]
    assert (result.outcome, result.output) == ("answered", INVOICE)
    schema = schema_in(bodies[0])
    assert schema["type"] == "object"
    assert schema["properties"]["currency"]["enum"] == ["EUR", "USD"]
    assert recorded(agent, "output.rejected") == [k.OutputRejected(1, FAULTS)]
    assert json.dumps(TOLD)[1:-1] in json.dumps(bodies[1])
    report = await replay(tmp_path / "l", build)
    assert report.ok, report.first_divergence
    assert report.requests == 2


async def test_after_two_more_bad_answers_the_run_has_failed() -> None:
    bad = [calls((f"c{n}", "final_answer", json.loads(BAD))) for n in range(3)]
    agent = make(*bad)
    events = heard(agent)
    with pytest.raises(RunFailedError, match="the answer was rejected: /lines/0") as raised:
        await agent.run("hi", output=Invoice)
    assert [rejected.n for rejected in recorded(agent, "output.rejected")] == [1, 2, 3]
    with pytest.raises(NoOutputError, match="the run has no output: it ended failed"):
        _ = raised.value.result.output
    assert list(legal.faults(events)) == []
    assert load(agent.log).replay().ok


async def test_how_often_is_an_option() -> None:
    agent = make(text("no"), output_retries_max=0)
    with pytest.raises(RunFailedError, match="the tool final_answer was not called"):
        await agent.run("hi", output=Invoice)
    assert len(recorded(agent, "model.requested")) == 1


async def test_what_people_see_is_what_the_model_saw_and_the_log_says_the_same() -> None:
    agent = make(text("no"), calls(("c1", "final_answer", json.loads(GOOD))))
    events = heard(agent)
    assert (await agent.run("hi", output=Invoice)).output == INVOICE
    roles = [message.role for message in agent.state.messages]
    assert roles == ["user", "assistant", "user", "assistant", "tool_result"]
    assert [message.role for message in load(agent.log).messages] == roles
    assert list(legal.faults(events)) == []


async def test_a_run_without_output_has_none_and_is_as_it_was() -> None:
    agent = make(calls(("c1", "final_answer", json.loads(GOOD))), text("Hi."))
    await agent.run("first", output=Invoice)
    result = await agent.run("second")
    assert result.text == "Hi."
    with pytest.raises(NoOutputError, match="give run\\(\\) output="):
        _ = result.output
    settings = load(agent.log).settings
    assert [tool.name for tool in settings.tools] == ["f", "g"]
    assert "output" not in settings.hooks
    assert load(agent.log).replay().ok


async def test_what_a_log_begins_with_does_not_depend_on_the_first_runs_output() -> None:
    one, other = make(calls(("c1", "final_answer", json.loads(GOOD)))), make(text("Hi."))
    await one.run("hi", output=Invoice)
    await other.run("hi")
    assert recorded(one, "session.started") == recorded(other, "session.started")


async def test_a_tool_of_the_same_name_keeps_it() -> None:
    own = AgentTool(name="final_answer", effect="pure")
    agent = make(calls(("c1", "final_answer_", json.loads(GOOD))), tools=[own])
    assert (await agent.run("hi", output=Invoice)).output == INVOICE


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Shape:
    """A class of somebody else's, as pydantic makes them."""

    def __init__(self, sides: int) -> None:
        self.sides = sides

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {"type": "object", "properties": {"sides": {"type": "integer"}}}

    @classmethod
    def model_validate(cls, value: dict[str, Any]) -> Shape:
        if value["sides"] < 3:
            raise ValueError("a shape has three sides at least")
        return cls(value["sides"])


class Tree(msgspec.Struct):
    value: int
    below: list[Tree] = []


@pytest.mark.parametrize(
    ("wanted", "given", "expected"),
    [
        (Point, {"x": 1, "y": 2}, Point(1, 2)),
        (list[int], {"value": [1, 2]}, [1, 2]),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Literal["yes", "no"], {"value": "no"}, "no"),
        (int | None, {"value": None}, None),
        (Tree, {"value": 1, "below": [{"value": 2}]}, Tree(1, [Tree(2)])),
    ],
)
async def test_whatever_has_a_schema_can_be_an_answer(
    wanted: Any, given: dict[str, Any], expected: object
) -> None:
    agent = make(calls(("c1", "final_answer", given)))
    assert (await agent.run("hi", output=wanted)).output == expected


async def test_what_a_type_refuses_by_itself_is_fed_back() -> None:
    bad, good = (calls((f"c{n}", "final_answer", {"sides": n})) for n in (2, 3))
    agent = make(bad, good)
    assert (await agent.run("hi", output=Shape)).output.sides == 3
    assert recorded(agent, "output.rejected") == [
        k.OutputRejected(1, ["a shape has three sides at least"])
    ]


async def test_what_has_no_schema_is_refused_before_anything_is_asked() -> None:
    agent, no_type = make(text("Hi.")), Callable[..., Any]
    with pytest.raises(TypeError, match="is no type of an answer"):
        await agent.run("hi", output=no_type)  # type: ignore[call-overload] # what must not work
    assert recorded(agent, "user.said") == []
    assert (await agent.run("hi")).text == "Hi."


async def test_cut_off_at_any_record_the_run_comes_to_the_same_output() -> None:
    def answers() -> list[Any]:
        return [text("no"), calls(("c1", "final_answer", json.loads(GOOD)))]

    whole = make(*answers())
    await whole.run("hi", output=Invoice)
    said = next(s.seq for s in whole.log.read() if s.kind == "user.said")
    for after in range(said, whole.log.seq):
        rest = cut(whole.log, after)
        made = sum(s.kind == "model.finished" for s in rest.read())
        agent = make(*answers()[made:], log=rest)
        result = await agent.run(output=Invoice)
        assert (result.outcome, result.output) == ("answered", INVOICE), after
        report = load(rest).replay()
        assert report.ok, (after, report.first_divergence)
