"""The vocabulary: its names, its owners, and how safe each record must be."""

from __future__ import annotations

import re

import msgspec
import pytest

from tinyagent.actors import agent
from tinyagent.events import KINDS, Fact, UnknownEvent, kinds as k

# Kinds are never renamed and never taken away: a name that is missing here may be added, and
# that is all that may ever be done to this list.
NAMES = (
    "session.started session.forked session.resumed session.ended"
    " log.recovered log.lost config.changed"
    " user.said user.continued user.withdrawn user.delivered cancel.requested"
    " host.asked host.answered host.failed"
    " model.requested model.delta model.retrying model.finished model.failed"
    " tool.blocked tool.requested tool.started tool.progressed tool.finished tool.failed"
    " tool.in_doubt tool.reconciled tool.settled approval.requested approval.decided"
    " timer.set timer.fired output.rejected"
    " context.edited turn.ended budget.exceeded run.ended"
    " child.started child.ended diagnostic.reported actor.failed sink.failed foreign"
)


def test_the_names_are_these_for_ever() -> None:
    assert sorted(KINDS) == sorted(NAMES.split())


@pytest.mark.parametrize("cls", KINDS.values(), ids=list(KINDS))
def test_a_class_is_called_what_its_kind_is(cls: type[Fact]) -> None:
    assert cls.__name__ == "".join(word.title() for word in re.split(r"[._]", cls.kind))
    assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", cls.kind)
    assert len(cls.kind) <= 64
    assert cls.v == 1


@pytest.mark.parametrize("cls", KINDS.values(), ids=list(KINDS))
def test_an_event_is_frozen_and_does_not_write_its_defaults(cls: type[Fact]) -> None:
    config = cls.__struct_config__
    assert config.frozen
    assert config.omit_defaults
    assert config.tag is None


@pytest.mark.parametrize("cls", KINDS.values(), ids=list(KINDS))
def test_every_kind_names_who_usually_writes_it(cls: type[Fact]) -> None:
    emitters = {"host", "session", "agent", "model", "tools", "hooks", "import", "timers"}
    assert cls.emitter in emitters


def test_what_the_agent_decides_is_the_agents_and_nobody_elses() -> None:
    usually = {cls.kind for cls in KINDS.values() if cls.emitter == "agent"}
    assert usually | {"context.edited"} == agent.DECISIONS  # a host edits, or the agent compacts
    assert not agent.DECISIONS & agent.INPUTS


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (k.ToolStarted("a", "write"), "durable"),
        (k.ToolStarted("a", "idempotent"), "durable"),
        (k.ToolStarted("a", "read"), "written"),
        (k.ToolStarted("a", "pure"), "written"),
        (k.HostAsked("context"), "written"),
        (k.ModelRequested(1), "written"),
        (k.RunEnded("answered"), "durable"),
        (k.ModelDelta([]), ""),
        (k.ToolFinished("a"), ""),
        (UnknownEvent("weather.changed", 1, b"{}"), ""),
    ],
)
def test_how_safe_a_record_must_be_before_anything_hangs_on_it(
    event: Fact | UnknownEvent, level: str
) -> None:
    assert event.barrier == level


def test_no_other_kind_holds_anything_up() -> None:
    held = {cls.kind for cls in KINDS.values() if cls.barrier} | {"tool.started"}
    assert held == {"tool.started", "host.asked", "model.requested", "run.ended"}


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        k.UserSaid("hi").content = "ho"  # type: ignore[misc] # what must not work


def test_a_delta_tells_its_text_its_reasoning_and_its_arguments() -> None:
    delta = k.ModelDelta(
        [
            (0, "think", "hm", 1),
            (1, "text", "Hel", 1),
            (2, "args", '{"x"', 1),
            (1, "text", "lo", [0, 0], [1, 1]),
            (2, "args", ":1}", 1),
            (3, "call", {"id": "a"}, 1),
        ]
    )
    assert (delta.text, delta.thinking, delta.arguments) == ("Hello", "hm", '{"x":1}')
    assert k.ModelDelta([]).text == ""


def test_two_events_share_no_mutable_default() -> None:
    one, other = k.ConfigChanged({}), k.ConfigChanged({})
    one.set["system"] = "T"
    assert other.set == {}
    assert k.SessionStarted().tools is not k.SessionStarted().tools
    assert msgspec.structs.asdict(k.ToolSpec("f"))["schema"] == {}
