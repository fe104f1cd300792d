"""What the modern face takes by keyword is what options say, and is not to be said twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.agents import recorded
from tests.face.test_output import INVOICE, Invoice, Point
from tests.traces import script

from tinyagent import (
    Agent,
    AgentOptions,
    PendingApproval,
    Redact,
    Retry,
    extract_text,
    load,
    named_model,
    open_log,
    replay,
    tool,
)
from tinyagent.events import kinds as k
from tinyagent.testing import ProviderServer, RecordedTransport, chat, scripted, status

KEYWORDS: dict[str, Any] = {
    "output": Invoice,
    "retry": Retry(attempts_max=2),
    "fallback": ["openai:gpt-4o"],
    "redact": Redact(),
    "on_approval": lambda call: True,
    "transport": RecordedTransport([]),
}


@pytest.mark.parametrize("name", KEYWORDS)
def test_a_setting_that_is_given_both_ways_is_refused(name: str) -> None:
    given = {name: KEYWORDS[name]}
    with pytest.raises(TypeError, match=f"Agent: {name} was given twice, as a keyword and in its"):
        Agent(AgentOptions(**given), **given)


def test_one_setting_under_two_names_is_refused_across_both_ways_too() -> None:
    with pytest.raises(TypeError, match="retries were given twice, as retry and as retries_max"):
        Agent(AgentOptions(retries_max=1), retry=Retry())
    with pytest.raises(TypeError, match="fallback has no meaning with a stream_fn of your own"):
        Agent(AgentOptions(stream_fn=script()), fallback=["openai:gpt-4o"])
    with pytest.raises(TypeError, match="output was given twice, as output and as output_schema"):
        Agent(AgentOptions(output_schema={"type": "object"}), output=Invoice)


@tool(approval="always")
def pay(cents: int) -> str:
    """Pay."""
    return f"paid {cents}"


async def decided(call: PendingApproval) -> bool:
    """Allow what is cheap."""
    return bool(call.arguments["cents"] < 100)


@pytest.mark.parametrize("decide", [decided, lambda call: call.arguments["cents"] < 100])
async def test_on_approval_decides_whether_it_waits_or_not(decide: Any) -> None:
    model = scripted([("pay", {"cents": 50}), ("pay", {"cents": 500})], "Done.")
    agent = Agent(model=model, tools=[pay], on_approval=decide)
    result = await agent.run("Pay.")
    assert result.outcome == "answered"
    verdicts = [event.approved for event in recorded(agent, k.ApprovalDecided.kind)]
    assert verdicts == [True, False]


async def test_what_redact_masks_is_in_no_record() -> None:
    secret = "correct-horse-battery"
    agent = Agent(model=scripted("Hm."), redact=Redact(values={"pass": secret}))
    await agent.run(f"It is {secret}.")
    assert all(secret.encode() not in record.payload for record in agent.log.records)
    assert recorded(agent, "user.said")[0].content == "It is «secret:pass:1»."


async def test_retry_and_fallback_are_asked_as_the_options_would_have_them() -> None:
    busy = status(503, "busy")
    down_server, up_server = ProviderServer([busy, busy]), ProviderServer([chat(text="Here.")])
    async with down_server as down, up_server as up:
        first, second = (
            named_model("openai:gpt-4o", base_url=f"{server.url}/v1") for server in (down, up)
        )
        agent = Agent(
            AgentOptions(get_api_key=lambda _: "k"),
            model=first,
            retry=Retry(attempts_max=2, delay_s_max=0.0),
            fallback=[second],
        )
        assert (await agent.run("hi")).text == "Here."
        assert len(down.requests) == 2


def build(*, log: Any) -> Agent:
    """Return an agent whose every answer is an invoice."""
    answers = ("no", ("final_answer", {"x": 1}), ("final_answer", {"x": 1, "y": 2}))
    return Agent(model=scripted(*answers), output=Point, log=log)


@pytest.mark.parametrize("way", ["run", "prompt", "events", "records"])
async def test_an_output_of_the_agent_counts_whichever_way_it_is_run(
    tmp_path: Path, way: str
) -> None:
    async with open_log(tmp_path / "log") as log:
        agent = build(log=log)
        if way == "run":
            assert (await agent.run("hi")).output == Point(1, 2)
        elif way == "prompt":
            assert extract_text(await agent.prompt("hi")) == ""
        else:
            async with getattr(agent, way)("hi") as run:
                async for _ in run:
                    pass
            assert run.result.output == Point(1, 2)
        assert len(recorded(agent, "output.rejected")) == 2
    report = await replay(tmp_path / "log", build)
    assert report.ok, report.first_divergence


async def test_another_type_in_the_factory_is_a_divergence(tmp_path: Path) -> None:
    async with open_log(tmp_path / "log") as log:
        await build(log=log).run("hi")
    report = await replay(tmp_path / "log", lambda *, log: Agent(model=scripted(), log=log))
    assert not report.ok


async def test_a_run_may_want_another_type_than_the_agent_and_only_it() -> None:
    invoice = {"lines": [{"what": "tea", "cents": 250}], "currency": "EUR"}
    point = ("final_answer", {"x": 1, "y": 2})
    agent = Agent(model=scripted(("final_answer", invoice), point), output=Point)
    async with agent.events("first", output=Invoice) as run:
        async for _ in run:
            pass
    assert run.result.output == INVOICE
    assert (await agent.run("second")).output == Point(1, 2)
    started = agent.configuration()
    assert started.options["output_tool"] == "final_answer"
    assert load(agent.log).replay().ok
