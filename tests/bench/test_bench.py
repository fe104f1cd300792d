"""What the comparison is made of: its provider's answers, and how runs become ratios."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.bench import provider, report
from tests.bench.chart import bars

from tinyagent._alchemy import Decoder


def pieces(model: str, results: int) -> tuple[list[tuple[int, str, Any]], dict[str, Any]]:
    """Return what our decoder reads in an answer, its HTTP chunks taken apart."""
    body = provider.whole(model, results).partition(b"\r\n\r\n")[2]
    decoder, found = Decoder("openai-completions"), list[tuple[int, str, Any]]()
    while body:
        size, _, rest = body.partition(b"\r\n")
        found += decoder.feed(rest[: int(size, 16)])
        body = rest[int(size, 16) + 2 :]
    return found, decoder.finish()


def test_an_answer_of_text_has_the_number_of_deltas_that_the_model_is_called_by() -> None:
    found, end = pieces("text-12", 0)
    assert [op for _, op, _ in found] == ["text"] * 12
    assert end["reason"] == "end"


@pytest.mark.parametrize(("results", "reason"), [(0, "tools"), (1, "tools"), (2, "end")])
def test_a_tool_is_called_until_the_request_carries_enough_results(
    results: int, reason: str
) -> None:
    found, end = pieces("tools-2", results)
    assert end["reason"] == reason
    arguments = "".join(data for _, op, data in found if op == "args")
    if reason == "tools":
        path = f"src/some/directory/file_000{results}.py"
        expected = {"path": path, "pattern": "def handle_request", "limit": 40}
        assert msgspec.json.decode(arguments) == expected


def test_parallel_calls_come_in_one_answer() -> None:
    found, _ = pieces("ptools-3", 0)
    assert [data["id"] for _, op, data in found if op == "call"] == ["call_0", "call_1", "call_2"]


def test_a_ratio_is_made_of_two_runs_of_one_round() -> None:
    column = report.COLUMNS[0]
    costs = {"a": {"1": 10.0, "2": 40.0}, "b": {"2": 10.0, "3": 1.0}}
    runs = [
        {"client": client, "scenario": "text", "round": number, "costs": {column.cost: cost}}
        for client, rounds in costs.items()
        for number, cost in rounds.items()
    ]
    assert report.ratios(runs, "a", "b", column) == [4.0]


def test_the_plot_names_everybody_and_marks_ourselves() -> None:
    picture = bars([("CPU", [("tinyagent", 1.0), ("a & b", 10.0)])])
    assert picture.count('class="o"') == 1
    assert "a &amp; b" in picture
