"""A log as spans: the one place that maps records to the conventions of OpenTelemetry. Pure.

The conventions for generative AI still move; this is their revision ``REVISION``. A trace is a run.
Ids come from log id and number of the record that a span begins with, so a log that is exported
twice gives the same trace. Tokens are on ``chat`` spans as the log counts them: their sum is the
log's usage. What was said is in no span, unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from tinyagent.events import Conversation, Record, kinds as k
from tinyagent.events.children import child_of
from tinyagent.events.work import CALL_ENDS, field, is_end
from tinyagent.runtime.sinks.content import Said
from tinyagent.runtime.sinks.tracing import (
    Attributes,
    Link,
    Moment,
    Span,
    ended_at,
    hex_of,
    link_to,
    of_model,
)
from tinyagent.runtime.stores import LogMeta

REVISION = "1.41.0"
SCHEMA_URL = f"https://opentelemetry.io/schemas/{REVISION}"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
_FINISH = {"end": "stop", "tools": "tool_call", "length": "length", "filtered": "content_filter"}
_USAGE = {
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "cache_read": "gen_ai.usage.cache_read.input_tokens",
    "cache_write": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
}
_EVENTS = {
    "user.delivered": (),
    "cancel.requested": (),
    "model.retrying": ("attempt", "delay_s"),
    "approval.requested": ("call_id", "attempt"),
    "approval.decided": ("call_id", "attempt", "approved"),
    "tool.blocked": ("call_id", "by"),
    "tool.in_doubt": ("call_id", "attempt", "why"),
    "tool.reconciled": ("call_id", "outcome"),
    "tool.settled": ("call_id", "outcome", "by"),
    "context.edited": ("why",),
    "budget.exceeded": ("limit", "seen", "max"),
}
"""What is an event on the span that is open, and which of its fields that event has."""


class _Run(msgspec.Struct):
    """A run while it is under way. ``used``: tokens so far."""

    span: Span
    used: dict[str, int]
    failure: str = ""


class Spans:
    """The fold of a log that yields its spans. ``evolve`` takes each record once, in order.

    Each agent below another has a fold of its own, whose runs lie in the call that they are for.

    Args:
        content: whether spans tell what was said. replay: whether to say that it is a replay.
        child: name of the agent, if it is one below. above: returns what its runs lie in.
    """

    def __init__(
        self,
        meta: LogMeta,
        *,
        content: bool = False,
        replay: bool = False,
        child: str = "",
        above: Callable[[], Span | None] = lambda: None,
    ) -> None:
        self._meta = meta
        self._child = child
        self._above = above
        self._agent = child.rpartition("/")[2] or meta.name or "agent"
        self._content = content
        self._replay = replay
        self._conversation = Conversation()
        self._said = Said(self._conversation) if content else None
        self._run: _Run | None = None
        self._last: Link | None = None
        self._done: Span | None = None
        self._chats: dict[int, Span] = {}
        self._tools: dict[str, Span] = {}
        self._children: dict[str, Spans] = {}
        self._epoch = 1
        self._forked = 0
        self._before_ns = 0

    def evolve(self, record: Record) -> tuple[list[Span], list[Span]]:
        """Return the spans that *record* opens, and those that it ends."""
        name = child_of(record.actor)
        if name != self._child:
            below = (c for c in self._children.values() if f"{name}/".startswith(f"{c._child}/"))
            child = next(below, None)
            return child.evolve(record) if child is not None else ([], [])
        self._conversation.post(record)
        opened: list[Span] = []
        ended: list[Span] = []
        event = record.event
        match event.kind:
            case "session.forked":
                self._fork(record, opened)
            case "session.resumed":
                self._resume(record, opened, ended)
            case "user.said" | "user.continued" if field(event, "via") in (None, "prompt"):
                self._begin(record, opened)
            case "child.started":
                self._begin_child(record)
            case "child.ended":
                self._children.pop(field(event, "child"), None)
            case _:
                pass
        run = self._run
        if run is not None:
            self._within(run, record, opened, ended)
        if event.kind == "run.ended":
            self._end_run(record, run, ended)
        self._before_ns = record.at_ns
        return opened, ended

    def open(self) -> Iterator[Span]:
        """Yield what is open, as if it ended with the last record: innermost first."""
        for child in self._children.values():
            yield from child.open()
        runs = [self._run.span] if self._run is not None else []
        for span in [*self._chats.values(), *self._tools.values(), *runs]:
            yield ended_at(span, self._before_ns, "unfinished")

    def _within(self, run: _Run, record: Record, opened: list[Span], ended: list[Span]) -> None:
        event = record.event
        match event:
            case k.ModelRequested():
                opened.append(self._chat(run, record))
            case k.ModelDelta() if (chat := self._chats.get(record.cause)) is not None:
                took_s = (record.at_ns - chat.start_ns) / 1e9
                chat.attributes.setdefault(FIRST_CHUNK, took_s)
            case k.ModelFinished() | k.ModelFailed():
                ended += self._answered(run, record, event)
            case k.ToolRequested():
                opened.append(self._tool(run, record, event))
            case k.ToolStarted(call_id=call_id, effect=effect) if call_id in self._tools:
                self._tools[call_id].attributes["tinyagent.tool.effect"] = effect
            case k.HostFailed(failure=failure):
                run.failure = failure.kind
            case _:
                pass
        if event.kind in _EVENTS:
            self._happened(run, record)
        if event.kind in CALL_ENDS and is_end(event):
            ended += self._returned(record)
        elif event.kind == "tool.in_doubt":
            ended += self._returned(record, "in_doubt")

    # Runs

    def _begin(self, record: Record, opened: list[Span]) -> None:
        if self._run is not None:
            return  # one more prompt of the same run
        links, self._last = [self._last] if self._last is not None else [], None
        self._run = _Run(self._invoked(record, links), {})
        opened.append(self._run.span)

    def _invoked(self, record: Record, links: list[Link]) -> Span:
        attributes: Attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": self._agent,
            "gen_ai.conversation.id": self._meta.log,
            "tinyagent.log.id": self._meta.log,
            "tinyagent.epoch": self._epoch,
        }
        if self._replay:
            attributes["tinyagent.replay"] = True
        name = f"invoke_agent {self._agent}"
        span = self._span(record, name, "internal", self._above(), attributes)
        span.links = links
        return span

    def _end_run(self, record: Record, run: _Run | None, ended: list[Span]) -> None:
        if run is None:
            return
        outcome = str(field(record.event, "outcome") or "")
        run.span.attributes["tinyagent.outcome"] = outcome
        run.span.attributes |= {f"tinyagent.usage.{n}": used for n, used in run.used.items()}
        if outcome == "paused":
            self._last = link_to(run.span, {"tinyagent.link": "paused"})
        error = (run.failure or "failed") if outcome == "failed" else ""
        ended.append(ended_at(run.span, record.at_ns, error))
        self._run, self._done = None, run.span
        self._forget()

    def _begin_child(self, record: Record) -> None:
        name, call_id = (str(field(record.event, each)) for each in ("child", "call_id"))

        def above() -> Span | None:
            run = self._run.span if self._run is not None else self._done
            return self._tools.get(call_id, run)

        self._children[name] = Spans(
            self._meta, content=self._content, replay=self._replay, child=name, above=above
        )

    def _fork(self, record: Record, opened: list[Span]) -> None:
        """What is open is the parent's; a run that the cut went through begins anew here."""
        at = {"tinyagent.link": "fork", "tinyagent.fork.at": record.seq - 1}
        run = self._run
        parent = run.span if run is not None else self._done
        self._last = link_to(parent, at) if parent is not None else None
        if run is not None:
            self._again(record, opened)
            self._forked = record.seq

    def _resume(self, record: Record, opened: list[Span], ended: list[Span]) -> None:
        """The run before the crash ends where its records end; what is open begins anew here."""
        self._epoch = int(field(record.event, "epoch") or self._epoch + 1)
        run = self._run
        if run is None or run.span.attributes["tinyagent.seq"] == self._forked:
            return  # the run of a fork goes on for the first time
        ended += [
            ended_at(span, self._before_ns, "interrupted")
            for span in (*self._chats.values(), *self._tools.values(), run.span)
        ]
        self._last = link_to(run.span, {"tinyagent.link": "resume", "tinyagent.epoch": self._epoch})
        self._again(record, opened)

    def _again(self, record: Record, opened: list[Span]) -> None:
        """Begin anew with *record* the run that is under way, and the calls that are open."""
        chats, tools = list(self._chats), list(self._tools.items())
        self._forget()
        self._run = None
        self._begin(record, opened)
        run = self._run
        assert run is not None
        for seq in chats:
            opened.append(self._chat(run, record, seq))
        for call_id, tool in tools:
            told = {n: v for n, v in tool.attributes.items() if n != "error.type"}
            span = self._span(record, tool.name, "internal", run.span, told, call_id)
            self._tools[call_id] = span
            opened.append(span)

    def _forget(self) -> None:
        self._chats, self._tools = {}, {}

    # Model calls and tools

    def _chat(self, run: _Run, record: Record, asked: int = 0) -> Span:
        settings = self._conversation.settings
        model = str(settings.model.get("id") or "")
        attributes = {"gen_ai.operation.name": "chat", **of_model(settings.model)}
        attributes["gen_ai.conversation.id"] = self._meta.log
        for theirs, ours in (("temperature", "temperature"), ("max_tokens", "max_tokens")):
            told = settings.options.get(ours)
            if isinstance(told, int | float):
                attributes[f"gen_ai.request.{theirs}"] = told
        if self._said is not None:
            attributes |= self._said.request()
        name = f"chat {model}".rstrip()
        span = self._span(record, name, "client", run.span, attributes, str(asked or ""))
        self._chats[asked or record.seq] = span
        return span

    def _answered(
        self, run: _Run, record: Record, event: k.ModelFinished | k.ModelFailed
    ) -> list[Span]:
        for name, used in (event.usage or {}).items():
            if isinstance(used, int):
                run.used[name] = run.used.get(name, 0) + used
        error = ""
        if isinstance(event, k.ModelFailed):
            error = run.failure = str(event.failure.status or event.failure.kind)
        span = self._chats.pop(record.cause, None)
        if span is None:
            return []
        usage = event.usage or {}
        span.attributes |= {theirs: usage[ours] for ours, theirs in _USAGE.items() if ours in usage}
        if isinstance(event, k.ModelFinished):
            span.attributes["gen_ai.response.finish_reasons"] = [_FINISH[event.reason]]
            if event.response:
                span.attributes["gen_ai.response.id"] = event.response
        if self._said is not None:
            span.attributes |= self._said.answer()
        return [ended_at(span, record.at_ns, error)]

    def _tool(self, run: _Run, record: Record, event: k.ToolRequested) -> Span:
        attributes: Attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": event.name,
            "gen_ai.tool.call.id": event.call_id,
            "gen_ai.tool.type": "function",
        }
        if event.attempt > 1:
            attributes["tinyagent.tool.attempt"] = event.attempt
        if self._said is not None:
            attributes |= self._said.arguments(event.call_id)
        span = self._span(record, f"execute_tool {event.name}", "internal", run.span, attributes)
        self._tools[event.call_id] = span
        return span

    def _returned(self, record: Record, error: str = "") -> list[Span]:
        event = record.event
        span = self._tools.pop(field(event, "call_id"), None)
        if span is None:
            return []
        if isinstance(event, k.ToolFailed):
            error = event.failure.kind
        if self._said is not None:
            span.attributes |= self._said.result(event)
        return [ended_at(span, record.at_ns, error)]

    def _happened(self, run: _Run, record: Record) -> None:
        event = record.event
        told: Attributes = {
            f"tinyagent.{name}": value
            for name in _EVENTS[event.kind]
            if (value := field(event, name)) is not None
        }
        if isinstance(event, k.ModelRetrying):
            told["error.type"] = str(event.failure.status or event.failure.kind)
        where = self._tools.get(field(event, "call_id")) or self._chats.get(record.cause)
        span = where if where is not None else run.span
        told["tinyagent.seq"] = record.seq
        span.moments.append(Moment(f"tinyagent.{event.kind}", record.at_ns, told))

    def _span(
        self,
        record: Record,
        name: str,
        kind: Literal["internal", "client"],
        parent: Span | None,
        attributes: Attributes,
        key: str = "",
    ) -> Span:
        about = f"{self._owner(record.seq)}:{record.seq}"
        return Span(
            trace_id=parent.trace_id if parent is not None else hex_of(about, 32),
            span_id=hex_of(f"span:{about}:{key}", 16),
            parent_id=parent.span_id if parent is not None else "",
            name=name,
            kind=kind,
            start_ns=record.at_ns,
            attributes={**attributes, "tinyagent.seq": record.seq},
        )

    def _owner(self, seq: int) -> str:
        fork = self._meta.fork
        return fork.log if fork is not None and seq <= fork.at else self._meta.log


def spans_of(
    meta: LogMeta, records: Iterable[Record], *, content: bool = False, replay: bool = False
) -> list[Span]:
    """Return the spans of a log in the order in which they begin; of a fork only its own.

    What has no end in the log ends with its last record, and says ``error.type=unfinished``.
    """
    spans = Spans(meta, content=content, replay=replay)
    cut = meta.cut
    found: list[Span] = []
    for record in records:
        ended = spans.evolve(record)[1]
        found += ended if record.seq > cut else []
    found += spans.open()
    own = [span for span in found if span.attributes["tinyagent.seq"] > cut]
    return sorted(own, key=_place)


def _place(span: Span) -> tuple[int, int, bool]:
    is_inner = span.attributes["gen_ai.operation.name"] != "invoke_agent"
    return span.start_ns, span.attributes["tinyagent.seq"], is_inner
