"""A log as spans: ids, tokens, errors, links; what was said only if asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.recordings import REPLAYS, agent, made_of

from tinyagent.continuing import fork
from tinyagent.events import Failure, Record, kinds as k
from tinyagent.interchange import export
from tinyagent.recording import Recording
from tinyagent.runtime.sinks.spans import Spans, spans_of
from tinyagent.runtime.sinks.tracing import Span
from tinyagent.testing import chat
from tinyagent.verbs import load

LOGS = sorted(path.stem for path in REPLAYS.glob("*.jsonl"))
START = k.SessionStarted(model={"id": "m", "provider": "xai", "base_url": "https://u:p@h:8443/v1"})
CALL = k.ModelFinished("tools", [k.CallRef("c1", "pay", "x")], {"input": 7, "output": 2})


def spans(recording: Recording, **options: Any) -> list[Span]:
    return spans_of(recording.meta, recording.records, **options)


def named(found: list[Span]) -> list[tuple[str, str]]:
    return [(span.name, span.error) for span in found]


@pytest.mark.parametrize("name", LOGS)
def test_a_log_exported_twice_gives_the_same_trace(name: str) -> None:
    one, other = (export(REPLAYS / f"{name}.jsonl", "otel") for _ in range(2))
    assert one == other


@pytest.mark.parametrize("name", LOGS)
def test_the_sums_over_spans_are_the_usage_of_the_log(name: str) -> None:
    recording = load(REPLAYS / f"{name}.jsonl")
    told = [span.attributes for span in spans(recording)]
    for ours, theirs in (
        ("input_tokens", "gen_ai.usage.input_tokens"),
        ("output_tokens", "gen_ai.usage.output_tokens"),
        ("cache_read_tokens", "gen_ai.usage.cache_read.input_tokens"),
    ):
        assert sum(each.get(theirs, 0) for each in told) == getattr(recording.usage, ours)
    assert all(
        "gen_ai.usage.input_tokens" not in each for each in told if "tinyagent.log.id" in each
    )


@pytest.mark.parametrize("name", LOGS)
def test_every_span_lies_in_its_parent_and_every_id_is_its_own(name: str) -> None:
    found = spans(load(REPLAYS / f"{name}.jsonl"))
    by_id = {span.span_id: span for span in found}
    assert len(by_id) == len(found)
    for span in found:
        assert span.start_ns <= span.end_ns
        if span.parent_id:
            above = by_id[span.parent_id]
            assert above.trace_id == span.trace_id
            assert above.start_ns <= span.start_ns
            assert span.end_ns <= above.end_ns


def test_a_run_holds_its_model_calls_and_tools() -> None:
    found = spans(load(REPLAYS / "one-tool.jsonl"))
    assert [(span.name, span.kind) for span in found] == [
        ("invoke_agent one-tool", "internal"),
        ("chat planner-1", "client"),
        ("execute_tool weather", "internal"),
        ("chat planner-1", "client"),
        ("invoke_agent one-tool", "internal"),
        ("chat planner-1", "client"),
    ]
    run, ask, tool = found[:3]
    assert (ask.parent_id, tool.parent_id, run.parent_id) == (run.span_id, run.span_id, "")
    assert found[4].trace_id != run.trace_id
    assert tool.attributes == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.call.id": "call_p",
        "gen_ai.tool.type": "function",
        "tinyagent.seq": 7,
        "tinyagent.tool.effect": "write",
    }
    assert ask.attributes["gen_ai.response.finish_reasons"] == ["tool_call"]
    assert ask.attributes["gen_ai.response.time_to_first_chunk"] == 0.001
    assert run.attributes["tinyagent.usage.input"] == 20


def test_each_span_has_the_attributes_of_its_kind() -> None:
    recording = load(REPLAYS / "one-tool.jsonl")
    run, ask, tool = (span.attributes for span in spans(recording)[:3])
    assert run["gen_ai.operation.name"] == "invoke_agent"
    assert run["gen_ai.agent.name"] == recording.meta.name
    assert run["gen_ai.conversation.id"] == run["tinyagent.log.id"] == recording.meta.log
    assert {name for name in run if name.startswith("tinyagent.usage.")}
    assert ask["gen_ai.operation.name"] == "chat"
    assert ask["gen_ai.request.model"] == recording.settings.model["id"]
    told = {"gen_ai.provider.name", "gen_ai.usage.input_tokens", "gen_ai.response.finish_reasons"}
    assert told <= ask.keys()
    assert tool["gen_ai.operation.name"] == "execute_tool"
    assert tool["gen_ai.tool.name"] == "weather"
    told = {"gen_ai.tool.call.id", "gen_ai.tool.type", "tinyagent.tool.effect"}
    assert told <= tool.keys()


def test_what_was_said_is_in_no_span_unless_asked_for() -> None:
    for name in LOGS:
        recording = load(REPLAYS / f"{name}.jsonl")
        told = export(recording, "otel").decode()
        for text in ("Paris", "sunny", "Be brief", "42.", "Service Unavailable", "story"):
            assert text not in told
    told = export(REPLAYS / "one-tool.jsonl", "otel", content=True).decode()
    assert all(text in told for text in ("Weather in Paris?", "sunny", "Be brief.", "Welcome."))


def test_secrets_in_an_address_are_not_told_and_its_host_is() -> None:
    log = made_of(START, k.UserSaid("hi"), k.ModelRequested(1))
    told = spans(log)[1].attributes
    assert (told["server.address"], told["server.port"]) == ("h", 8443)
    assert told["gen_ai.provider.name"] == "x_ai"
    assert "u:p" not in export(log, "otel").decode()


def test_retries_are_events_on_the_call() -> None:
    call = spans(load(REPLAYS / "retry.jsonl"))[1]
    assert [(m.name, m.attributes) for m in call.moments] == [
        (
            "tinyagent.model.retrying",
            {
                "tinyagent.attempt": attempt,
                "tinyagent.delay_s": delay_s,
                "error.type": status,
                "tinyagent.seq": seq,
            },
        )
        for attempt, delay_s, status, seq in ((2, 0.0, "429", 4), (3, 0.751, "529", 5))
    ]
    assert call.error == ""


def test_a_call_in_doubt_ends_in_doubt() -> None:
    log = made_of(
        START,
        k.UserSaid("Pay."),
        k.ModelRequested(1),
        CALL,
        k.ToolRequested("c1", "pay"),
        k.ToolStarted("c1", "write"),
        k.ToolInDoubt("c1", "cancelled"),
        k.ToolSettled("c1", "unknown", "policy"),
        k.RunEnded("cancelled"),
        causes=(0, 0, 2, 3, 4, 5, 5, 7, 8),
    )
    found = spans(log)
    assert named(found) == [
        ("invoke_agent agent", ""),
        ("chat m", ""),
        ("execute_tool pay", "in_doubt"),
    ]
    assert [moment.name for moment in found[2].moments] == ["tinyagent.tool.in_doubt"]
    assert [moment.name for moment in found[0].moments] == ["tinyagent.tool.settled"]


def test_failures_say_their_kind_and_what_has_no_end_says_so() -> None:
    failed = made_of(
        START,
        k.UserSaid("hi"),
        k.ModelRequested(1),
        k.ModelFailed(Failure("overloaded", "no", 529)),
        k.RunEnded("failed"),
        causes=(0, 0, 2, 3, 4),
    )
    assert named(spans(failed)) == [("invoke_agent agent", "529"), ("chat m", "529")]
    cut = made_of(START, k.UserSaid("hi"), k.ModelRequested(1))
    assert named(spans(cut)) == [("invoke_agent agent", "unfinished"), ("chat m", "unfinished")]


def test_a_child_runs_under_the_tool_that_started_it() -> None:
    name = "agent:main/find#1"
    events: list[Any] = [
        START,
        k.UserSaid("Find out."),
        k.ModelRequested(1),
        CALL,
        k.ToolRequested("c1", "pay"),
        k.ChildStarted(name, "c1"),
        START,
        k.UserSaid("Find it."),
        k.ModelRequested(1),
        k.ModelFinished("end", usage={"input": 5, "output": 1}),
        k.RunEnded("answered"),
        k.ChildEnded(name, "answered"),
        k.ToolFinished("c1", "found"),
        k.RunEnded("answered"),
    ]
    causes = (0, 0, 2, 3, 4, 5, 6, 6, 8, 9, 10, 6, 5, 13)
    records = [
        Record(seq=n, at_ns=n, cause=cause, actor=name if 7 <= n <= 11 else "", event=event)
        for n, (event, cause) in enumerate(zip(events, causes, strict=True), 1)
    ]
    found = spans_of(made_of().meta, records)
    assert [span.name for span in found] == [
        "invoke_agent agent",
        "chat m",
        "execute_tool pay",
        "invoke_agent find#1",
        "chat m",
    ]
    run, _, tool, inner, ask = found
    assert (tool.parent_id, inner.parent_id, ask.parent_id) == (
        run.span_id,
        tool.span_id,
        inner.span_id,
    )
    assert (inner.attributes["tinyagent.usage.input"], run.attributes["tinyagent.usage.input"]) == (
        5,
        7,
    )


def test_a_resume_is_a_run_that_is_linked_to_the_one_before_the_crash() -> None:
    log = made_of(
        START,
        k.UserSaid("hi"),
        k.ModelRequested(1),
        k.SessionResumed(2),
        k.ModelFinished("end", usage={"input": 3, "output": 1}),
        k.RunEnded("answered"),
        causes=(0, 0, 2, 0, 3, 5),
    )
    found = spans(log)
    assert named(found) == [
        ("invoke_agent agent", "interrupted"),
        ("chat m", "interrupted"),
        ("invoke_agent agent", ""),
        ("chat m", ""),
    ]
    before, _, after, ask = found
    (link,) = after.links
    assert (link.trace_id, link.span_id) == (before.trace_id, before.span_id)
    assert link.attributes == {"tinyagent.link": "resume", "tinyagent.epoch": 2}
    assert (ask.parent_id, ask.attributes["gen_ai.usage.input_tokens"]) == (after.span_id, 3)


@pytest.mark.parametrize(("at", "linked"), [(15, 2), (6, 2), (23, 16)])
async def test_a_fork_is_linked_to_the_run_of_its_parent(
    tmp_path: Path, at: int, linked: int
) -> None:
    parent = REPLAYS / "one-tool.jsonl"
    (tmp_path / "p.jsonl").write_bytes(parent.read_bytes())
    async with fork(
        tmp_path / "p.jsonl", at=min(at, 21), into=tmp_path / "f", allow_effects=True
    ) as log:
        answers = [chat(text="Snow."), chat(text="Snow.")]
        if at == 6:
            await agent(log, answers).run()
        else:
            await agent(log, answers).prompt("And?")
    child = load(tmp_path / "f")
    found = spans(child)
    (run,) = (span for span in found if not span.parent_id)
    above = {span.attributes["tinyagent.seq"]: span for span in spans(load(parent))}[linked]
    (link,) = run.links
    assert (link.trace_id, link.span_id) == (above.trace_id, above.span_id)
    assert link.attributes == {"tinyagent.link": "fork", "tinyagent.fork.at": min(at, 21)}
    assert {span.trace_id for span in found} == {run.trace_id}
    own = child.usage.input_tokens - 10 * (at // 6 if at < 16 else 3)
    assert sum(s.attributes.get("gen_ai.usage.input_tokens", 0) for s in found) == own


def test_a_replay_that_is_exported_all_the_same_says_so() -> None:
    recording = load(REPLAYS / "plain-text.jsonl")
    assert spans(recording, replay=True)[0].attributes["tinyagent.replay"] is True
    assert "tinyagent.replay" not in spans(recording)[0].attributes


def test_a_fold_yields_each_span_when_it_opens_and_when_it_ends() -> None:
    recording = load(REPLAYS / "one-tool.jsonl")
    fold = Spans(recording.meta)
    told: list[tuple[int, list[str], list[str]]] = []
    for record in recording.records:
        opened, ended = fold.evolve(record)
        if opened or ended:
            told.append((record.seq, [s.name for s in opened], [s.name for s in ended]))
    assert told[:3] == [
        (2, ["invoke_agent one-tool"], []),
        (3, ["chat planner-1"], []),
        (6, [], ["chat planner-1"]),
    ]


def test_otlp_is_what_a_collector_takes() -> None:
    (one,) = json.loads(export(REPLAYS / "one-tool.jsonl", "otel"))["resourceSpans"]
    (scope,) = one["scopeSpans"]
    span = scope["spans"][1]
    assert set(span) >= {"traceId", "spanId", "parentSpanId", "name", "kind", "attributes"}
    assert (len(span["traceId"]), len(span["spanId"]), span["kind"]) == (32, 16, 3)
    assert (span["startTimeUnixNano"], span["status"]) == ("1767225600004000000", {})
    told = {each["key"]: each["value"] for each in span["attributes"]}
    assert told["gen_ai.usage.input_tokens"] == {"intValue": "10"}
    assert told["gen_ai.response.finish_reasons"] == {
        "arrayValue": {"values": [{"stringValue": "tool_call"}]}
    }
