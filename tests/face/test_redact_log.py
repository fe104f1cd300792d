"""``Redact(scope="log")``: actors keep the true text; files and sinks hold masks, and are exact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.crashing import ID, World, calls, cut, text, turns
from tests.face.test_redact import files_with, slowly
from tests.traces import MODEL, result, said, script, tool

from tinyagent import (
    Agent,
    AgentOptions,
    AgentState,
    FileSink,
    Redact,
    SqliteSink,
    load,
    open_log,
    replay,
)
from tinyagent.runtime.sinks import Sink
from tinyagent.runtime.stores import Log
from tinyagent.runtime.stores.memory import MemoryLog

PIN = "4711-4711-4711"
MASK = "«secret:pin:1»"
REDACT = Redact(values={"pin": PIN}, scope="log", provider_keys=False)


class Told:
    """What the actors of one agent were given."""

    def __init__(self) -> None:
        self.arguments: list[Any] = []
        self.requests: list[str] = []

    def build(self, log: Log | None, *answers: Any, **options: Any) -> Agent:
        async def use(call_id: str, args: dict[str, Any], signal: Any, update: Any) -> Any:
            self.arguments.append(args)
            return result(f"opened with {PIN}")

        def hears(answer: Any) -> Any:
            def model(context: Any, options: Any) -> Any:
                self.requests.append(" | ".join(map(said, context.messages)))
                return answer

            return model

        state = AgentState(model=MODEL, system_prompt=f"The pin: {PIN}", tools=[tool("use", use)])
        return Agent(
            AgentOptions(
                initial_state=state,
                stream_fn=script(*map(hears, answers)),
                log=log,
                redact=REDACT,
                **options,
            )
        )


@pytest.fixture(params=["folder", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "log") if request.param == "folder" else f"sqlite:///{tmp_path}/log.db"


async def test_actors_read_the_true_text_and_no_file_holds_it(place: str, tmp_path: Path) -> None:
    told = Told()
    mirrors: list[Sink] = [FileSink(tmp_path / "copy"), SqliteSink(tmp_path / "mirror.db")]
    async with open_log(place, sinks=mirrors) as log:
        agent = told.build(
            log,
            calls(("c1", "use", {"pin": PIN}), says="Trying."),
            slowly(f"It was {PIN}.", 3),
            text("Bye."),
        )
        assert await agent.prompt_text(f"Open with {PIN}") == f"It was {PIN}."
        await agent.prompt("And now?")
        assert f"opened with {PIN}" in [said(message) for message in agent.state.messages]
    assert told.arguments == [{"pin": PIN}]
    assert told.requests[1] == f"Open with {PIN} | Trying. | opened with {PIN}"
    assert files_with(tmp_path, PIN) == []
    recording = load(place)
    assert said(recording.messages[0]) == f"Open with {MASK}"
    assert said(recording.messages[3]) == f"It was {MASK}."
    assert recording.settings.system == f"The pin: {MASK}"
    for mirror in (tmp_path / "copy", f"sqlite:///{tmp_path}/mirror.db"):
        assert load(mirror).messages == recording.messages


async def test_such_a_log_replays_its_digests_are_those_of_the_masked_text(place: str) -> None:
    def build(*, log: Any) -> Agent:
        answers = (calls(("c1", "use", {"pin": PIN})), text(f"Done with {PIN}"), text("Bye."))
        return Told().build(log, *answers)

    async with open_log(place) as log:
        agent = build(log=log)
        await agent.prompt(f"Open with {PIN}")
        await agent.prompt("Again")
    report = await replay(place)
    assert report.ok, report.first_divergence
    assert report.requests == 3
    report = await replay(place, build)
    assert report.ok, report.first_divergence
    started: Any = load(place).records[0].event
    assert started.versions["redact_scope"] == "log"


async def test_nothing_of_an_answer_is_held_back_and_its_edges_are_masked_on_record(
    place: str,
) -> None:
    whole = f"Is it {PIN}? Or {PIN[:6]}"
    for size in (1, 5, len(whole)):
        seen: list[str] = []
        where = f"{place}-{size}" if "sqlite" not in place else f"{place}#of{size}"
        async with open_log(where, name=f"of{size}") as log:
            agent = Told().build(log, slowly(whole, size))
            async for event in agent.stream("Go"):
                if event.type == "message_update":
                    seen.append(getattr(event.assistant_message_event, "delta", None) or "")
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        assert [delta for delta in seen if delta] == pieces
        assert said(load(where).messages[-1]) == f"Is it {MASK}? Or {PIN[:6]}"
        assert (await replay(where)).ok


async def test_a_log_opened_again_is_gone_on_with_in_masks_and_still_replays(place: str) -> None:
    requests: list[str] = []
    for _ in range(2):
        told = Told()
        async with open_log(place) as log:
            agent = told.build(log, calls(("c1", "use", {"pin": PIN})), text("ok"))
            agent.stream_fn = script(*[_heard(requests, text(f"{PIN}!"))])
            assert await agent.prompt_text(f"Say {PIN}") == f"{PIN}!"
    assert requests == [f"Say {PIN}", f"Say {MASK} | {MASK}! | Say {PIN}"]
    report = await replay(place)
    assert report.ok, report.first_divergence


def _heard(requests: list[str], answer: Any) -> Any:
    def model(context: Any, options: Any) -> Any:
        requests.append(" | ".join(map(said, context.messages)))
        return answer

    return model


SCRIPT = turns(calls(("a1", "look", {"pin": PIN}), ("b1", "look", {"pin": "none"})), text("Done."))


async def recorded(redact: Redact) -> MemoryLog:
    world, log = World(), MemoryLog(log_id=ID)
    agent = world.build(log, SCRIPT, [world.tool("look", "read")], redact=redact)
    await agent.prompt("Go")
    return log


def behind(log: MemoryLog, kind: str) -> MemoryLog:
    return cut(log, next(s.seq for s in log.read() if s.kind == kind))


@pytest.mark.parametrize("kind", ["model.finished", "tool.requested", "tool.started"])
async def test_an_open_call_whose_arguments_hold_a_mask_is_in_doubt_whatever_its_class(
    kind: str,
) -> None:
    rest = behind(await recorded(REDACT), kind)
    world = World()
    agent = world.build(rest, SCRIPT, [world.tool("look", "read")], redact=REDACT)
    outcome = (await agent.run()).outcome
    assert outcome == "paused"
    assert dict(world.effects) == {"b1": 1}
    [doubt] = [json.loads(s.payload) for s in rest.read() if s.kind == "tool.in_doubt"]
    assert doubt["call_id"] == "a1"
    assert doubt["content"].startswith("The arguments of this call are on record only with masks")
    report = await replay(rest)
    assert report.ok, report.first_divergence


async def test_a_person_may_settle_it_but_it_is_never_run_with_masks() -> None:
    rest = behind(await recorded(REDACT), "tool.started")
    world = World()
    agent = world.build(
        rest,
        SCRIPT,
        [world.tool("look", "read")],
        redact=REDACT,
        on_unknown=lambda call: call.again(),
    )
    assert (await agent.run()).text == "Done."
    assert dict(world.effects) == {"b1": 1}
    [failed] = [json.loads(s.payload) for s in rest.read() if s.kind == "tool.failed"]
    assert failed["failure"]["kind"] == "invalid"


async def test_a_call_that_was_given_masks_is_run_again_with_them() -> None:
    redact = Redact(values={"pin": PIN})
    rest = behind(await recorded(redact), "tool.started")
    world = World()
    agent = world.build(rest, SCRIPT, [world.tool("look", "read")], redact=redact)
    assert (await agent.run()).outcome == "answered"
    assert dict(world.effects) == {"a1": 1, "b1": 1}


async def test_where_a_rule_may_have_changed_them_nobody_knows_any_arguments() -> None:
    redact = Redact(rule=lambda words: words.replace("none", "some"), scope="log")
    rest = behind(await recorded(redact), "tool.requested")
    world = World()
    agent = world.build(rest, SCRIPT, [world.tool("look", "read")], redact=redact)
    assert (await agent.run()).outcome == "paused"
    assert dict(world.effects) == {}


async def test_an_approval_is_bound_to_the_arguments_on_record(place: str) -> None:
    async with open_log(place) as log:
        world = World()
        look = world.tool("look", "write", approval="always")
        agent = world.build(log, SCRIPT, [look], redact=REDACT)
        result = await agent.prompt("Go")
        assert result is not None
        for call_id in ("a1", "b1"):
            agent.approve(call_id, by="ann")
        await agent.run()
    assert dict(world.effects) == {"a1": 1, "b1": 1}
    report = await replay(place)
    assert report.ok, report.first_divergence


async def test_no_snapshot_holds_what_is_masked(tmp_path: Path) -> None:
    for _ in range(2):
        async with open_log(tmp_path / "log") as log:
            agent = Told().build(log, text(f"{PIN}!"))
            assert await agent.prompt_text("x" * 1_100_000 + PIN) == f"{PIN}!"
    assert files_with(tmp_path, PIN) == []
    assert not (tmp_path / "log" / "snap").exists()
