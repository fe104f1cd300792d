"""The requests of a log, told one after the other, are those that are built one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.viewer.logs import MODEL, Written, long_session, tool, trip

from tinyagent import load
from tinyagent.actors.providers.hosted import HOSTED
from tinyagent.actors.series import Series
from tinyagent.events import kinds as k
from tinyagent.events.children import CHILD
from tinyagent.recording import Recording
from tinyagent.runtime.errors import NotInLogError

REPLAYS = sorted((Path(__file__).parents[2] / "replays").glob("*.jsonl"))


def holds(recording: Recording, *, last: int = 0) -> int:
    """Hold every request against the one built alone; return how many there were."""
    series, agents = Series(recording.records), dict[str, dict[str, list[bytes]]]()
    asked = [r for r in recording.records if isinstance(r.event, k.ModelRequested)][-last:]
    for record in asked:
        try:
            alone = recording.request_at(record.seq)
        except NotInLogError:
            with pytest.raises(ValueError, match="unsupported api"):
                series.tell(record)
            continue
        told = series.tell(record)
        assert told.model == alone.model
        assert told.digest == alone.digest
        assert told.size == len(alone.body)
        assert told.unchanged_prefix == alone.unchanged_prefix
        fields = agents.get(record.actor, {})
        agents[record.actor] = fields = {
            name: fields.get(name, [])[:kept] + new for name, _, kept, new in told.fields
        }
        written = [
            b'"%s":%s' % (name.encode(), b"[%s]" % b",".join(items) if is_list else items[0])
            for (name, is_list, _, _), items in zip(told.fields, fields.values(), strict=True)
        ]
        assert b"{%s}" % b",".join(written) == alone.body
    return len(asked)


@pytest.mark.parametrize("path", REPLAYS, ids=lambda path: path.stem)
def test_every_recorded_session(path: Path) -> None:
    assert holds(load(path)) > 0


def test_a_session_with_a_failed_tool_and_its_last_request_alone() -> None:
    assert holds(trip()) == 3
    assert holds(trip(), last=1) == 1


def test_a_session_whose_model_tools_and_context_changed() -> None:
    log = Written()
    log.start("Be brief.", tool("look", "Looks.", topic="string"))
    cause = log.add(k.UserSaid(content="Go."))
    anthropic = {**MODEL, "api": "anthropic-messages", "provider": "anthropic"}
    for turn, changed in enumerate(
        (
            k.ConfigChanged(set={"options": {"prompt_caching": True}}),
            k.ConfigChanged(set={"model": anthropic}),
            k.ConfigChanged(set={"system": "Be long."}),
            k.ContextEdited(why="user", ops=[["drop", 2]]),
            k.ConfigChanged(set={"options": {"source": HOSTED}}),
            k.ConfigChanged(set={"options": {}, "model": {**MODEL, "api": "none"}}),
            k.ConfigChanged(set={"model": {**MODEL, "api": "openai-responses"}}),
        )
    ):
        for again in "ab":
            done = log.answer(log.ask(cause), "So", (f"{again}{turn}", "look", "{}"))
            log.call(done, f"{again}{turn}", "look", "Nothing.")
            cause = log.add(k.UserSaid(content="More."))
        log.add(changed)
    log.answer(log.ask(cause), "Done.")
    assert holds(log.recording()) == 15


def test_of_a_conversation_that_grew_a_request_tells_what_is_new() -> None:
    recording = long_session(300)
    series = Series(recording.records)
    asked = [r for r in recording.records if isinstance(r.event, k.ModelRequested)]
    told = [sum(len(field.new) for field in series.tell(each).fields) for each in asked]
    assert set(told[1:]) == {2}


def test_each_agent_of_a_log_has_requests_of_its_own() -> None:
    log = Written()
    log.start("Be brief.", tool("ask", "Asks.", topic="string"))
    cause = log.add(k.UserSaid(content="Ask the others."))
    names = [f"{CHILD}research#{n}" for n in (1, 2)]
    done = log.answer(log.ask(cause), "", *((f"c{n}", "ask", "{}") for n in (1, 2)))
    began: list[int] = []
    for n, name in enumerate(names, 1):
        started = log.add(k.ChildStarted(child=name, call_id=f"c{n}"), done)
        log.add(k.SessionStarted(model=MODEL, system=f"You are {n}."), started, actor=name)
        began.append(log.add(k.UserSaid(content=f"Topic {n}?"), started, actor=name))
    for turn in range(2):  # by turns
        for n, name in enumerate(names):
            asked = log.add(k.ModelRequested(n=turn + 1), began[n], actor=name)
            piece = (0, "text", f"Answer {turn} of {n}.", 1)
            log.add(k.ModelDelta(pieces=[piece]), asked, actor=f"{name}/model")
            end = k.ModelFinished(reason="end")
            began[n] = log.add(end, asked, actor=f"{name}/model")
            began[n] = log.add(k.UserSaid(content="And?"), actor=name)
    for n in (1, 2):
        log.add(k.ToolFinished(call_id=f"c{n}", content="So."), done)
    log.answer(log.ask(done), "Done.")
    assert holds(log.recording()) == 6
    assert holds(log.recording(), last=2) == 2
