"""The requests of a log, told one after the other, are those that are built one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.viewer.logs import MODEL, Written, long_session, tool, trip

from tinyagent import load
from tinyagent.actors.providers.hosted import HOSTED
from tinyagent.actors.series import Series
from tinyagent.events import kinds as k
from tinyagent.recording import Recording
from tinyagent.runtime.errors import NotInLogError

REPLAYS = sorted((Path(__file__).parents[2] / "replays").glob("*.jsonl"))


def holds(recording: Recording, *, last: int = 0) -> int:
    """Hold every request against the one built alone; return how many there were."""
    series, fields = Series(recording.records), dict[str, list[bytes]]()
    asked = [r.seq for r in recording.records if isinstance(r.event, k.ModelRequested)][-last:]
    for seq in asked:
        try:
            alone = recording.request_at(seq)
        except NotInLogError:
            with pytest.raises(ValueError, match="unsupported api"):
                series.tell(seq)
            continue
        told = series.tell(seq)
        assert told.model == alone.model
        assert told.digest == alone.digest
        assert told.size == len(alone.body)
        assert told.unchanged_prefix == alone.unchanged_prefix
        fields = {name: fields.get(name, [])[:kept] + new for name, _, kept, new in told.fields}
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
    asked = [r.seq for r in recording.records if isinstance(r.event, k.ModelRequested)]
    told = [sum(len(field.new) for field in series.tell(seq).fields) for seq in asked]
    assert set(told[1:]) == {2}
