"""Spans and metrics while a log is written: the same as an export gives, and none of a replay."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.recordings import PARIS, REPLAYS, agent

from tinyagent import Agent, AgentOptions, DerivedIds, OpenTelemetrySink, tool
from tinyagent.runtime.sinks.spans import spans_of
from tinyagent.runtime.stores.files import FileLog
from tinyagent.testing import MakeSink, SinkContract, chat, scripted
from tinyagent.verbs import load, open_log


class Collector:
    """A tracer provider and what it was sent, and a meter provider likewise."""

    def __init__(self, ids: Any = None) -> None:
        self.exporter = InMemorySpanExporter()
        # The SDK asks for no more than the two methods.
        given: Any = ids or DerivedIds()
        self.tracers = TracerProvider(id_generator=given, shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    def sink(self, **options: Any) -> OpenTelemetrySink:
        given: dict[str, Any] = {"since_us": 0, **options}
        return OpenTelemetrySink(self.tracers, self.meters, **given)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def metrics(self) -> dict[str, Any]:
        found = self.reader.get_metrics_data()
        assert found is not None
        return {
            metric.name: list(metric.data.data_points)
            for resource in found.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


async def record(where: Path, collector: Collector, **options: Any) -> None:
    async with open_log(where, sinks=[collector.sink(**options)]) as log:
        answers = [chat(text="I look.", calls=[PARIS]), chat(text="Sunny.")]
        await agent(log, answers).prompt("Weather in Paris?")


async def test_live_spans_are_those_of_an_export(tmp_path: Path) -> None:
    collector = Collector()
    await record(tmp_path / "log", collector)
    recording = load(tmp_path / "log")
    told = {
        f"{s.context.span_id:016x}": (
            f"{s.context.trace_id:032x}",
            s.name,
            f"{s.parent.span_id:016x}" if s.parent is not None else "",
            s.start_time,
            s.end_time,
            {n: list(v) if isinstance(v, tuple) else v for n, v in (s.attributes or {}).items()},
        )
        for s in collector.spans
        if s.context is not None
    }
    assert told == {
        s.span_id: (s.trace_id, s.name, s.parent_id, s.start_ns, s.end_ns, s.attributes)
        for s in spans_of(recording.meta, recording.records)
    }
    assert len(told) == 4


async def test_without_derived_ids_the_tree_is_the_same(tmp_path: Path) -> None:
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    collector = Collector(RandomIdGenerator())
    await record(tmp_path / "log", collector)
    (run,) = (span for span in collector.spans if span.parent is None)
    assert run.context is not None
    assert [s.parent.span_id for s in collector.spans if s.parent] == [run.context.span_id] * 3


async def test_a_replay_exports_nothing(tmp_path: Path) -> None:
    collector = Collector()
    await record(tmp_path / "log", collector)
    sent = len(collector.spans)
    assert load(tmp_path / "log").replay().ok
    assert len(collector.spans) == sent


async def test_what_another_process_has_sent_is_not_sent_again(tmp_path: Path) -> None:
    await record(tmp_path / "log", Collector())
    late = Collector()
    async with open_log(tmp_path / "log", sinks=[late.sink(since_us=None)]):
        pass
    assert late.spans == []


async def test_metrics_are_told_apart_by_names_and_never_by_ids(tmp_path: Path) -> None:
    collector = Collector()
    await record(tmp_path / "log", collector)
    found = collector.metrics()
    assert set(found) == {
        "gen_ai.invoke_agent.duration",
        "gen_ai.execute_tool.duration",
        "gen_ai.client.inference.duration",
        "gen_ai.client.inference.time_to_first_chunk",
        "gen_ai.client.inference.usage.input_tokens",
        "gen_ai.client.inference.usage.output_tokens",
        "gen_ai.client.inference.usage.cache_read_tokens",
        "tinyagent.log.bytes",
        "tinyagent.log.append.duration",
        "tinyagent.log.fsync.duration",
    }
    (written,) = found["tinyagent.log.bytes"]
    assert written.value == sum(len(r.payload) for r in load(tmp_path / "log").records)
    (tokens,) = found["gen_ai.client.inference.usage.input_tokens"]
    assert (tokens.count, tokens.sum) == (2, 20)
    assert dict(tokens.attributes) == {
        "gen_ai.provider.name": "demo",
        "gen_ai.request.model": "planner-1",
    }
    (tool,) = found["gen_ai.execute_tool.duration"]
    assert dict(tool.attributes) == {"gen_ai.tool.name": "weather"}
    (run,) = found["gen_ai.invoke_agent.duration"]
    assert dict(run.attributes) == {"tinyagent.outcome": "answered"}


async def test_a_session_is_measured_while_it_runs(tmp_path: Path) -> None:
    """What waits where is looked up when somebody collects, here amid a run, in a tool."""
    collector = Collector()
    seen: list[dict[str, Any]] = []

    @tool(effect="read")
    async def measure() -> str:
        seen.append(await asyncio.to_thread(collector.metrics))
        return "done"

    async with open_log(tmp_path / "log", sinks=[collector.sink()]) as log:
        given = Agent(model=scripted(("measure", {}), "Well."), tools=[measure], log=log)
        await given.run("go")
    (found,) = seen
    depths = {p.attributes["tinyagent.actor"]: p.value for p in found["tinyagent.mailbox.depth"]}
    assert {"agent", "model", "tools", "hooks"} <= depths.keys()
    assert max(depths.values()) < 10
    (lag,) = found["tinyagent.sink.lag"]
    assert lag.attributes == {"tinyagent.sink": "OpenTelemetrySink 1"}
    assert 0 <= lag.value <= log.seq
    (durable,) = found["tinyagent.log.durable_lag"]
    assert 0 <= durable.value <= log.seq


async def test_what_the_disk_took_is_measured_by_every_sink_and_for_one_run_once(
    tmp_path: Path,
) -> None:
    collectors = Collector(), Collector()
    model = scripted("Hi.").text("Bye.")
    where, sinks = tmp_path / "log", [each.sink() for each in collectors]
    counts: list[list[int]] = []
    async with open_log(where, sinks=sinks, durability="group") as log:
        given = Agent(model=model, log=log)
        for said in ("go", "and?"):
            await given.run(said)
            for collector in collectors:
                found = collector.metrics()
                names = ("tinyagent.log.append.duration", "tinyagent.log.fsync.duration")
                (append,), (fsync,) = (found[name] for name in names)
                assert (dict(append.attributes), dict(fsync.attributes)) == ({}, {})
                assert 0 < append.sum < 60
                assert fsync.min > 0
                assert len(append.bucket_counts) == 13
                counts.append([append.count, fsync.count])
    first, first_of_other, second, second_of_other = counts
    assert first == first_of_other
    assert second == second_of_other
    # Each batch of a run is written and synced once; the next run is measured like the first.
    assert 0 < first[0] < second[0] < len(load(where).records)
    assert 0 < first[1] < second[1] <= second[0]


async def test_without_a_sink_that_measures_nobody_looks_at_the_clock(tmp_path: Path) -> None:
    async with open_log(tmp_path / "log", durability="group") as log:
        await Agent(model=scripted("Hi."), log=log).run("go")
        assert isinstance(log.store, FileLog)
        assert log.store.timings(None) == (0, [])


async def test_between_runs_nothing_waits_anywhere_and_nothing_is_looked_up() -> None:
    collector = Collector()
    given = Agent(AgentOptions(sinks=[collector.sink()]), model=scripted("Hi."))
    await given.run("go")
    found = set(collector.metrics())
    assert "tinyagent.log.bytes" in found
    assert found.isdisjoint({"tinyagent.sink.lag", "tinyagent.mailbox.depth"})


class TestContract(SinkContract):
    survives = exactly_once = False

    @pytest.fixture
    def make_sink(self) -> MakeSink:
        return Collector().sink


@pytest.mark.parametrize("name", ["retry", "abort"])
def test_events_and_errors_arrive(name: str) -> None:
    collector = Collector()
    sink, recording = collector.sink(), load(REPLAYS / f"{name}.jsonl")
    sink.begin(recording.meta)
    for each in recording.records:
        sink.write(each)
    told = {
        s.name: (s.status.status_code.name, [e.name for e in s.events]) for s in collector.spans
    }
    assert (
        told
        == {
            "retry": {
                "chat planner-1": ("UNSET", ["tinyagent.model.retrying"] * 2),
                "invoke_agent retry": ("UNSET", []),
            },
            "abort": {
                "chat planner-1": ("ERROR", []),
                "invoke_agent abort": ("UNSET", ["tinyagent.cancel.requested"]),
            },
        }[name]
    )
