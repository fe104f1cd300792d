"""A session is cut after every record, as a crash would, and taken up; each end is looked at.

::

    async for run in crash_runs(lambda log: build(model=model, log=log), "Remind Ann"):
        assert run.effects["send_mail"].runs <= 1

The model must answer by what it is asked, as ``scripted`` does: it is asked again after each cut.
What must hold of every session is checked here: nothing that was recorded is lost or changed, the
log replays, no ``write`` ran twice without a decision, and where nothing was in doubt the
conversation is that of the session which nobody cut.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import msgspec

from tinyagent._run.runs import RunFailedError, RunResult
from tinyagent.actors.context import idempotency_key
from tinyagent.agent_types import AgentMessage
from tinyagent.events import kinds as k
from tinyagent.events.messages import Assistant, Custom, Message
from tinyagent.recording import Recording
from tinyagent.runtime.stores import Log
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.verbs import load, made_by

Prompt: TypeAlias = str | AgentMessage
Script: TypeAlias = Prompt | Sequence[Prompt]
Factory: TypeAlias = Callable[..., Any]


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What one tool call did to the world, as its log tells.

    Attributes:
        effect: ``pure read idempotent write``. started: the records at which it ran.
        asked: how often the agent asked for it; more than once is a decision.
        key: its idempotency key. in_doubt: whether nobody knew, at some time, if it had run.
    """

    call_id: str
    name: str
    effect: str = ""
    started: tuple[int, ...] = ()
    asked: int = 0
    key: str = ""
    in_doubt: bool = False

    @property
    def runs(self) -> int:
        """How often it ran, or may have."""
        return len(self.started)


class Effects:
    """The tool calls of a log: iterate over them, or name one by its id or by its tool."""

    def __init__(self, calls: Sequence[Effect], tools: Sequence[str]) -> None:
        self._calls = {call.call_id: call for call in calls}
        self._tools = tools

    def __iter__(self) -> Iterator[Effect]:
        return iter(self._calls.values())

    def __len__(self) -> int:
        return len(self._calls)

    def __getitem__(self, name: str) -> Effect:
        """Return the call *name*, or the one call of the tool *name*; it may not have run.

        Raises:
            LookupError: there is neither, or the tool was called more than once.
        """
        if name in self._calls:
            return self._calls[name]
        calls = [call for call in self if call.name == name]
        if not calls and name in self._tools:
            return Effect(call_id="", name=name)
        if len(calls) != 1:
            known = ", ".join([*self._calls, *self._tools]) or "none"
            several = f"{name} was called {len(calls)} times: name a call" if calls else ""
            raise LookupError(several or f"no call and no tool is named {name!r} (known: {known})")
        return calls[0]


class CrashRun(msgspec.Struct, frozen=True, kw_only=True):
    """One session that was cut and taken up.

    Attributes:
        after: the last record that survived. kind: what it was.
        outcome: how the last run ended. result: of the last run that was made after the cut.
        log: the log in the end. effects: what its tools did, before the cut and after it.
    """

    after: int
    kind: str
    outcome: str
    log: MemoryLog
    effects: Effects
    result: RunResult | None = None


def effects(of: Log | Recording) -> Effects:
    """Return what the tool calls of a log did to the world."""
    recording = of if isinstance(of, Recording) else load(of)
    found: dict[str, Effect] = {}
    for call in recording.every_call.values():
        key = idempotency_key(recording.meta.log, call.call_id)
        found[call.call_id] = Effect(
            call_id=call.call_id, name=call.name, effect=call.effect, key=key
        )
    for record in recording.records:
        event = record.event
        call_id = getattr(event, "call_id", None)
        if not isinstance(call_id, str) or call_id not in found:
            continue
        one = found[call_id]
        match event:
            case k.ToolRequested():
                one = msgspec.structs.replace(one, asked=one.asked + 1)
            case k.ToolStarted():
                one = msgspec.structs.replace(one, started=(*one.started, record.seq))
            case k.ToolInDoubt():
                one = msgspec.structs.replace(one, in_doubt=True)
            case _:
                continue
        found[call_id] = one
    return Effects(list(found.values()), [tool.name for tool in recording.settings.tools])


def cut(log: Log, after: int) -> MemoryLog:
    """Return *log* as a crash behind record *after* leaves it."""
    return MemoryLog(log_id=log.meta.log, records=list(log.read(1, after)))


class Cuts:
    """A session that nobody cut, and what becomes of it where somebody does.

    Attributes:
        whole: its log.
    """

    def __init__(self, factory: Factory, prompts: Sequence[Prompt]) -> None:
        self.whole = MemoryLog()
        self._factory = factory
        self._prompts = prompts
        self._began: list[int] = []

    async def play(self) -> None:
        """Run the session to its end."""
        agent = made_by(self._factory, self.whole)
        for prompt in self._prompts:
            before = self.whole.seq
            with suppress(RunFailedError):  # it is in the log, like any other end
                await agent.run(prompt)
            said = (r.seq for r in self.whole.read(before + 1) if r.kind == "user.said")
            self._began.append(next(said))

    async def at(self, after: int) -> CrashRun:
        """Cut the session behind record *after*, take it up, and play what is left.

        Raises:
            AssertionError: something does not hold that must hold of every session.
        """
        whole, rest = self.whole, cut(self.whole, after)
        kept = list(rest.read())
        left = self._prompts[sum(first <= after for first in self._began) :]
        result = await _taken_up(self._factory, rest, left)
        wrong = list(faults(whole, rest))
        if list(rest.read(1, after)) != kept:
            wrong.append("records that were there are not there any more")
        if wrong:
            told = "\n".join(f"  {fault}" for fault in wrong)
            raise AssertionError(f"cut after record {after} {kept[-1].kind}:\n{told}")
        return CrashRun(
            after=after,
            kind=kept[-1].kind,
            outcome=load(rest).status,
            log=rest,
            effects=effects(rest),
            result=result,
        )


def prompts_of(script: Script) -> list[Prompt]:
    """Return *script* as prompts.

    Raises:
        ValueError: there is none, so nothing would be run and cut.
    """
    prompts: list[Prompt] = [script] if isinstance(script, str | AgentMessage) else [*script]
    if not prompts:
        raise ValueError("a script has at least one prompt: there is nothing to run and to cut")
    return prompts


async def crash_runs(factory: Factory, script: Script) -> AsyncIterator[CrashRun]:
    """Run *script* once, then cut that session after each of its records and take it up.

    *factory* takes ``log=`` and returns an ``Agent``; each prompt of *script* starts a run.

    Raises:
        AssertionError: something does not hold that must hold of every session; it names the
            record of the cut.
    """
    cuts = Cuts(factory, prompts_of(script))
    await cuts.play()
    for after in range(1, cuts.whole.seq + 1):
        yield await cuts.at(after)


async def crash_at_every_event(
    factory: Factory,
    script: Script,
    check: Callable[[CrashRun], object] = lambda run: None,
) -> int:
    """Cut the session after every record, and call *check* with what became of each.

    Returns how many cuts there were. *check* may be a coroutine function.

    Raises:
        AssertionError: as ``crash_runs``, and whatever *check* raises.
    """
    cuts = 0
    async for run in crash_runs(factory, script):
        said = check(run)
        if isinstance(said, Awaitable):
            await said
        cuts += 1
    return cuts


async def _taken_up(
    factory: Factory, log: MemoryLog, prompts: Sequence[Prompt]
) -> RunResult | None:
    """End the run that was cut off, and play what is left, unless it waits for somebody."""
    status = Recording(log.where, log.meta, list(log.read()), None).status
    agent = made_by(factory, log)
    result: RunResult | None = None
    waiting: list[Prompt | None] = [None] if status in ("crashed", "forked") else []
    for prompt in [*waiting, *prompts]:
        if load(log).status == "paused":
            break
        try:
            result = await agent.run(prompt)
        except RunFailedError as failed:
            result = failed.result
    return result


def faults(whole: Log, rest: Log) -> Iterator[str]:
    """Yield what is wrong with *rest*, which was cut from *whole* and taken up."""
    recording = load(rest)
    found = effects(recording)
    for call in found:
        if call.effect == "write" and call.runs > call.asked:
            records = ", ".join(map(str, call.started))
            yield f"write effect ran twice: {call.name} {call.call_id} (records {records})"
    divergence = recording.replay().first_divergence
    if divergence is not None:
        yield f"it does not replay: {divergence}"
    if recording.status != "paused" and not any(call.in_doubt for call in found):
        now, then = _said(recording), _said(load(whole))
        if now != then:
            at = next((n for n, (a, b) in enumerate(zip(now, then, strict=False)) if a != b), -1)
            yield f"it ends with {now[at]}, and uncut with {then[at]}"


def _said(recording: Recording) -> list[Any]:
    return [_one(message) for message in recording.conversation.messages]


def _one(message: Message) -> Any:
    """Return *message* without numbers, times and costs."""
    if isinstance(message, Custom):
        return message.message
    if isinstance(message, Assistant):
        return "assistant", message.outcome, [msgspec.to_builtins(b) for b in message.blocks]
    return type(message).__name__.lower(), getattr(message, "ok", None), message.content
