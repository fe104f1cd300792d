"""``tinyagent why``: the chain that led to a record, and what a record led to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.recordings import REPLAYS

LOG = str(REPLAYS / "one-tool.jsonl")
PARALLEL = str(REPLAYS / "parallel-tools-out-of-order.jsonl")


def test_the_chain_is_shown_and_what_the_request_was_made_of(run: Any) -> None:
    code, out, err = run("why", f"{LOG}:11")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "11 model.requested #2 ← 9 tool.finished weather ← 7 tool.requested weather"
        " ← 6 model.finished #1",
        " ← 3 model.requested #1 ← 2 user.said",
        "request 11 was made of 1 session.started, 2 user.said, 6 model.finished #1,"
        " 9 tool.finished weather",
    ]


def test_what_came_from_outside_has_no_cause(run: Any) -> None:
    code, out, _ = run("why", f"{LOG}:2")
    assert (code, out) == (0, "2 user.said\n")


def test_impact_is_a_tree_in_which_deltas_are_counted(run: Any) -> None:
    code, out, _ = run("why", f"{PARALLEL}:2", "--impact")
    assert code == 0
    assert out.splitlines()[:8] == [
        "2 user.said",
        "  3 model.requested #1",
        "    6 model.delta, the last of 3",
        "    7 model.finished #1",
        "      8 tool.requested weather",
        "        10 tool.started weather",
        "        12 tool.progressed weather",
        "        15 tool.finished weather",
    ]


def test_the_chain_is_json_with_its_schema(run: Any) -> None:
    code, out, _ = run("why", f"{LOG}:11", "--json")
    told = json.loads(out)
    assert (code, told["schema"], told["record"], told["request"]) == (
        *(0, "tinyagent.why/1"),
        *(11, 11),
    )
    assert told["chain"][1] == {
        "seq": 9,
        "kind": "tool.finished",
        "cause": 7,
        "actor": "tools",
        "about": "weather",
    }
    assert [step["seq"] for step in told["filled"]] == [1, 2, 6, 9]


def test_the_tree_is_json_with_the_depth_of_each_record(run: Any) -> None:
    _, out, _ = run("why", f"{LOG}:6", "--impact", "--json")
    tree = json.loads(out)["impact"]
    assert [(branch["depth"], branch["seq"]) for branch in tree][:4] == [
        *[(0, 6), (1, 7), (2, 8), (2, 9)]
    ]


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (["why", LOG], 2, "which record?"),
        (["why", f"{LOG}:99"], 3, "NotInLogError"),
        (["why", "nowhere:3"], 3, "LogNotFoundError: nowhere"),
    ],
)
def test_wrong_use_is_told_as_text_and_as_json(
    run: Any, argv: list[str], code: int, told: str
) -> None:
    found, out, err = run(*argv)
    assert (found, out, told in err) == (code, "", True)
    found, out, err = run(*argv, "--json")
    document = json.loads(err)
    assert (found, out, document["schema"]) == (code, "", "tinyagent.error/1")
    assert told in f"{document['error']}: {document['message']}"
