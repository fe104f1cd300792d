"""``tinyagent diff``: two logs, two records, or a request and the one before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.recordings import REPLAYS

LOG = str(REPLAYS / "one-tool.jsonl")
OTHER = str(REPLAYS / "tool-error.jsonl")
HOOKS = str(REPLAYS / "steering-and-hooks.jsonl")


def test_a_log_is_the_same_as_its_copy(run: Any, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(Path(LOG).read_bytes())
    code, out, err = run("diff", LOG, str(copy))
    assert (code, out, err) == (0, "same: 17 records\n", "")


def test_two_logs_part_at_a_record_and_their_first_requests_that_differ_are_held_together(
    run: Any,
) -> None:
    code, out, _ = run("diff", LOG, OTHER)
    lines = out.splitlines()
    assert code == 1
    assert lines[:4] == [
        "same up to 5, then",
        "    6    model.finished  answer.text differs",
        '       - "I look."',
        "       + (absent)",
    ]
    assert "   11    model.requested  messages[3].content differs" in lines
    assert '   16  - user.said  {"content":"Thanks."}' in lines


def test_the_difference_of_two_logs_is_json(run: Any) -> None:
    code, out, _ = run("diff", LOG, OTHER, "--json")
    told = json.loads(out)
    assert (code, told["schema"], told["of"], told["same"]) == (
        *(1, "tinyagent.diff/1"),
        *("logs", False),
    )
    first = told["first"]
    assert (first["seq"], first["other"], first["grade"]) == (6, 7, "shape")
    assert first["paths"][0] == {"path": "answer.text", "recorded": "I look."}  # absent there


def test_a_request_is_compared_with_the_one_before_it(run: Any) -> None:
    code, out, _ = run("diff", f"{LOG}:11")
    assert code == 1
    assert out.splitlines() == [
        "request #2 to planner-1 · 4 messages · 10 tokens in · 0 read from cache · 707 bytes,"
        " the first 446 as before",
        "  digest f1ab3f935eddb03e, as recorded",
        "  =  model, stream, stream_options, store, tools[0], messages[0..1]"
        "   byte for byte as in record 3",
        '  +  messages[2]  assistant  I look.  calls weather({"city":"Paris"})   179 bytes',
        "  +  messages[3]  tool call_p  Paris: 21 °C, “sunny”   78 bytes",
    ]


def test_two_records_are_compared_by_what_the_agent_knew(run: Any) -> None:
    code, out, _ = run("diff", f"{LOG}:8", f"{LOG}:9")
    assert code == 1
    assert out.splitlines()[:4] == [
        "state after 8 and after 9: not the same",
        "  agent.phase",
        '  - "acting"',
        '  + "thinking"',
    ]
    assert run("diff", f"{LOG}:8", "--state") == (0, "state after 7 and after 8: the same\n", "")
    _, out, _ = run("diff", f"{LOG}:8", f"{LOG}:9", "--json")
    told = json.loads(out)
    assert (told["of"], told["records"]) == ("states", [8, 9])
    assert told["changed"][0] == {"path": "agent.phase", "recorded": "acting", "now": "thinking"}


def test_two_requests_are_compared_to_the_byte(run: Any) -> None:
    code, out, _ = run("diff", f"{LOG}:3", f"{OTHER}:3", "--context")
    assert (code, out.splitlines()[0]) == (0, "request 3 and request 3: the same to the byte")
    code, out, _ = run("diff", f"{HOOKS}:6", f"{HOOKS}:30", "--context", "--json")
    told = json.loads(out)
    assert (code, told["of"], told["same"], told["records"]) == (1, "requests", False, [6, 30])
    assert told["changes"]["changed"] == [
        {
            "path": "messages[1].content[0].text",
            "recorded": "Paris and Rome?",
            "now": "Celsius, please.",
        }
    ]


def test_the_last_states_and_requests_of_two_logs_are_compared(run: Any) -> None:
    code, out, _ = run("diff", LOG, OTHER, "--state")
    assert (code, out.splitlines()[0]) == (1, "state after 21 and after 18: not the same")
    code, out, _ = run("diff", LOG, OTHER, "--context")
    assert (code, out.splitlines()[0]) == (1, "request 17 and request 14: not the same")


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (["diff", f"{LOG}:3", LOG], 2, "a record of both logs, or of none"),
        (["diff", LOG, "--state"], 2, "which record?"),
        (["diff", LOG, "nowhere"], 3, "LogNotFoundError: nowhere"),
        (["diff", f"{LOG}:2"], 3, "no request at or before record 2"),
        (["diff", f"{LOG}:99"], 3, "no request at or before record 99"),
        (["diff", f"{LOG}:99", f"{LOG}:1"], 3, "there is no record 99"),
    ],
)
def test_wrong_use_is_told_and_has_its_exit_code(
    run: Any, argv: list[str], code: int, told: str
) -> None:
    found, out, err = run(*argv)
    assert (found, out, told in err) == (code, "", True)
