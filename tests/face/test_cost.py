"""What a log cost: by the prices it was written with, and unknown where one is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.agents import live, make
from tests.cli.conftest import run as run
from tests.traces import MODEL, text

from tinyagent import Agent, Price, load, open_log, replay
from tinyagent.testing import ProviderServer, chat, status

Run = Callable[..., tuple[int, str, str]]
PRICES = {"demo:m": Price(input_usd=2, output_usd=10)}
TOLD = chat(text="Hi.", usage={"prompt_tokens": 1000, "completion_tokens": 100})
"""3 thousandths of a dollar."""


async def record(path: Path, *answers: Any, **options: Any) -> Agent:
    """Return an agent of the model ``demo:m`` that has run once for each of *answers*."""
    async with ProviderServer(list(answers)) as server, open_log(path) as log:
        agent = live(server.chat_url, log=log, **options)
        for _ in answers:
            await agent.prompt("hi")
    return agent


async def test_money_is_told_although_nothing_limits_it(run: Run, tmp_path: Path) -> None:
    where = str(tmp_path / "log")
    agent = await record(tmp_path / "log", TOLD, TOLD, prices=PRICES)
    assert agent.log.cost == load(where).cost == 0.006
    assert "$0.0060" in run("ls", str(tmp_path))[1]
    assert run("show", where)[1].splitlines()[0].endswith(" · $0.0060")
    assert json.loads(run("show", where, "--json")[1])["cost_usd"] == 0.006
    assert run("stats", where)[1].endswith(" 0 from cache      $0.0060\n")
    prometheus = run("stats", where, "--format", "prom")[1]
    assert 'tinyagent_model_cost_usd_total{model="m"} 0.006' in prometheus


@pytest.mark.parametrize(
    ("answers", "prices"),
    [
        ((TOLD,), {"demo:other": PRICES["demo:m"]}),
        ((TOLD,), None),
        ((TOLD, chat(text="Hi.", usage={})), PRICES),
        ((TOLD, status(400, "no")), PRICES),
    ],
    ids=["no price of the model", "no prices", "one answer without usage", "one that failed"],
)
async def test_what_is_not_known_is_none_and_shown_as_a_dash(
    run: Run, tmp_path: Path, answers: Any, prices: Any
) -> None:
    agent = await record(tmp_path / "log", *answers, prices=prices)
    assert agent.log.cost is None
    assert "  -  hi" in run("ls", str(tmp_path))[1]
    assert "$" not in run("stats", str(tmp_path / "log"))[1]


def test_a_log_without_an_answer_cost_nothing_that_is_known() -> None:
    assert make(prices=PRICES).log.cost is None


async def test_prices_decide_nothing_where_money_is_not_limited(tmp_path: Path) -> None:
    async with open_log(tmp_path / "log") as log:
        await make(text("Hi."), prices=PRICES, log=log).run("hi")
    for prices in (None, {MODEL.id: Price(input_usd=9, output_usd=9)}):
        report = await replay(
            tmp_path / "log", lambda *, log, given=prices: make(prices=given, log=log)
        )
        assert report.ok, report.first_divergence
