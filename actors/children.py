"""Runs agents below one, for its tools, in its log.

A child is a session of its own over the part of the log that is its own. What is left of the
limits above holds for it, what it uses counts there, and it ends before the call that it runs for.
After a crash the call that is run again finds its children in the order in which it began them,
and they go on where they stood; those that it does not ask for end as if they were cancelled.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import reduce
from typing import Any

from tinyagent.actors import agent, limits
from tinyagent.actors.closing import close_cut_off
from tinyagent.actors.context import Host, Provided
from tinyagent.actors.playing import Child, Playing, Told, Under
from tinyagent.actors.reopening import reopened
from tinyagent.actors.state import State, digest_of
from tinyagent.actors.tools import Unsettled
from tinyagent.events import Record, kinds as k
from tinyagent.events.children import (
    CHILD,
    MAIN,
    child_of,
    is_any_below,
    is_below,
    own,
    seen_from,
)
from tinyagent.events.sifted import Sifted
from tinyagent.runtime.child_log import ChildLog
from tinyagent.runtime.errors import DivergenceError, LogError
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.loops import Machine
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.replay import replay
from tinyagent.runtime.stores import Log, as_record, records_of

STOP_S = 0.02
"""How often a child that begins or ends is asked again to stop."""


def agent_machine(name: str = "agent") -> Machine[State]:
    """Return an agent, idle and with nothing known."""
    kinds = {"inputs": agent.INPUTS, "decisions": agent.DECISIONS}
    return Machine(name, agent.step, State(), **kinds, digest=digest_of)


def diverged(where: str, records: Sequence[Record], name: str = "agent") -> str:
    """Return the report about where today's code leaves *records*."""
    report = replay(where, records, [agent_machine(name)])
    return f"{report.first_divergence}\nNothing was appended."


class Children:
    """The agents below the agent of one session.

    Attributes:
        readers: are posted what is written below.
        of_call: the agents that a call has begun, by its id, in their order.
        claimed: call ids of the whole log, each with the name of the agent that has it.
    """

    def __init__(
        self,
        log: Log,
        journal: Journal,
        machine: Machine[State],
    ) -> None:
        above = log if isinstance(log, ChildLog) else None
        self.path = above.child if above is not None else MAIN
        self.readers: list[Mailbox] = above.readers if above is not None else []
        self.claimed: dict[str, str] = above.claimed if above is not None else {}
        self._log = above.log if above is not None else log
        self._journal = journal
        self._machine = machine
        self._known: dict[str, Child] = {}
        self._unended: dict[str, Child] = {}
        self._numbers: dict[str, int] = {}
        self.of_call: dict[str, list[Child]] = {}
        self._playing: dict[str, Under] = {}
        self._sharing: asyncio.Handle | None = None

    def recall(self, held: list[Record]) -> Sifted:
        """Take in what the log holds; return the records of the agent itself.

        Raises:
            DivergenceError: today's code decides otherwise than the log says of one that runs.
        """
        redactor = self._journal.redactor
        if redactor is not None and redactor.masked is not None:
            for record in held:
                redactor.remember(record.payload)
        past, has_below = Sifted(held), is_any_below(held)
        if has_below and self.path == MAIN:
            for record in filter(is_below, past.of(_ANSWERS)):
                assert isinstance(record.event, k.ModelFinished)
                calls = [ref.id for ref in record.event.calls]
                self.claimed.update(dict.fromkeys(calls, child_of(record.actor)))
        for name in self._note(past):
            theirs = list(own(seen_from(name, held)))
            machine = agent_machine()
            if reopened(Sifted(theirs), machine).diverged:
                raise DivergenceError(diverged(self._log.where, theirs, name))
            if name in self._unended:
                self._unended[name].used = limits.used(machine.state)
        return Sifted(list(own(held))) if has_below else past

    def claim(self, calls: Iterable[str]) -> None:
        """Know that *calls* are those of the agent itself, by their ids."""
        self.claimed.update(dict.fromkeys(calls, self.path))

    def _note(self, past: Sifted) -> dict[str, None]:
        """Take in what begins or ends agents below; return who is running."""
        is_main = self.path == MAIN
        running: dict[str, None] = {}
        for record in past.of(_BELOW):
            if not is_below(record):
                self._take(record)
            match record.event:
                case k.ChildStarted(child=name) if is_main:
                    running[name] = None
                case k.ChildEnded(child=name) if is_main:
                    running.pop(name, None)
                case _:
                    pass
        return running

    @property
    def is_idle(self) -> bool:
        """Whether there never was one, and nobody waits for what one says."""
        return self.path == MAIN and not (self._known or self.readers)

    def told(self) -> Told | None:
        """Return what is known of children when all have ended; None if one has not."""
        if self._open():
            return None
        ended = [(c.name, c.started, c.call_id, c.outcome) for c in self._known.values()]
        below = {call_id: name for call_id, name in self.claimed.items() if name.startswith(CHILD)}
        return Told(ended=ended, claimed=below)

    def take_up(self, told: Told) -> None:
        """Know what ``told`` told, beside what was recalled of later ones."""
        for name, started, call_id, outcome in told.ended:
            self._know(Child(name, started, call_id, {}, outcome=outcome))
        self.claimed.update(told.claimed)

    def _know(self, child: Child) -> None:
        self._known[child.name] = child
        if not child.outcome:
            self._unended[child.name] = child
        named, _, number = child.name.rpartition("#")
        self._numbers[named] = max(int(number), self._numbers.get(named, 0))
        self.of_call.setdefault(child.call_id, []).append(child)

    def _take(self, record: Record) -> None:
        match record.event:
            case k.ChildStarted(child=name, call_id=call_id, limits=left):
                self._know(Child(name, record.seq, call_id, left))
            case k.ChildEnded(child=name, outcome=outcome) if name in self._known:
                self._known[name].outcome = outcome
                self._unended.pop(name, None)
            case _:
                pass

    def begin(self, call_id: str) -> None:
        """An attempt of a call begins; the children of those before it are there for it."""
        for child in self.of_call.get(call_id, ()):
            child.claimed = child.waits = False

    async def run(
        self,
        asked: Record,
        label: str,
        provided: Provided,
        child: Any,
        said: Any,
        output: Any = None,
    ) -> Any:
        """Run *child* on *said* below this one, for the call that *asked* requested.

        *output*: the type of its answer, as of ``Playing.run``.

        Raises:
            Exception: it failed. Unsettled: it waits for somebody to say what came of a call.
        """
        assert isinstance(asked.event, k.ToolRequested)
        call_id = asked.event.call_id
        if provided.host is None:
            raise RuntimeError("ctx.run() needs an Agent above: this session has none")
        begun = self._next(call_id) or self._begin(asked, call_id, label)
        begun.claimed = True
        if begun.outcome:
            begun.limits = self._last_limits(begun)
        else:
            begun.limits = self._left_to(begun, self._with_all_below())
        playing = self._play(begun, provided.host, child, said, output)
        task = asyncio.create_task(playing, name=begun.name)
        self._playing[begun.name] = Under(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await self._stop([begun])
            raise
        finally:
            if task.done():
                self._playing.pop(begun.name, None)

    def _next(self, call_id: str) -> Child | None:
        """Return the first child of the call that it has not asked for again yet."""
        begun = (child for child in self.of_call.get(call_id, ()) if not child.claimed)
        return next((child for child in begun if child.outcome != "cancelled"), None)

    def _begin(self, asked: Record, call_id: str, label: str) -> Child:
        named = f"{self.path}/{re.sub(r'[^A-Za-z0-9_.-]', '_', label)}"
        name = f"{named}#{self._numbers.get(named, 0) + 1}"
        started = k.ChildStarted(name, call_id, limits.left(self._with_all_below()))
        record = self._journal.append(started, cause=asked.seq, actor="tools")
        self._take(record)
        return self._known[started.child]

    async def _play(self, child: Child, host: Host, host_agent: Any, said: Any, output: Any) -> Any:
        outcome, content, used = "failed", "", {}
        try:
            playing: Playing = host(host_agent, self._log_of(child), child.limits)
            self._playing[child.name].playing = playing
            try:
                result = await playing.run(said, output)
            finally:
                outcome, content = playing.outcome or outcome, playing.text
                used = limits.used(playing.state)
            child.waits = playing.outcome == "paused" and _is_in_doubt(playing.state)
            if child.waits:
                raise Unsettled
            return result
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except Unsettled:
            raise Unsettled(
                f"{child.name} waits: nobody has said what came of a call that was cut off"
            ) from None
        except Exception as error:
            content = content or str(error)
            raise
        finally:
            child.used = used  # of one that waits, too
            if not child.outcome and not child.waits:
                self._end(child, outcome, content, used)

    def _end(self, child: Child, outcome: Any, content: str, used: dict[str, int]) -> None:
        ended = k.ChildEnded(child.name, outcome, content, used)
        with suppress(LogError):  # whoever appends next is told
            self._take(self._journal.append(ended, cause=child.started, actor="tools"))
            self._journal.settle()  # what it has used counts above from now on

    def _with_all_below(self) -> State:
        """Return the state of this agent as if all below it had ended, whose use it has then."""
        return reduce(limits.lent, map(self._used_by, self._unended.values()), self._machine.state)

    def _used_by(self, child: Child) -> dict[str, int]:
        under = self._playing.get(child.name)
        playing = under.playing if under is not None else None
        return child.used if playing is None else limits.used(playing.state)

    def _left_to(self, child: Child, above: State) -> dict[str, Any]:
        """Return what *child* may use in all, where *above* is this agent with all below it."""
        return limits.left(limits.lent(above, {n: -v for n, v in self._used_by(child).items()}))

    def _last_limits(self, child: Child) -> dict[str, Any]:
        """Return the limits that *child*, which has ended, had last."""
        last: dict[str, Any] = {}
        for record in map(as_record, own(self._log_of(child).read())):
            match record.event:
                case k.SessionStarted(limits=given) | k.ConfigChanged(set={"limits": given}):
                    last = given
                case _:
                    pass
        return {name: value for name, value in last.items() if name != "prices"}

    def _share_soon(self) -> None:
        """One below has decided something, and perhaps used something before."""
        if self._machine.state.limits and self._sharing is None:
            self._sharing = asyncio.get_running_loop().call_soon(self._share)

    def _share(self) -> None:
        """Let those below who run know what the others have left of the limits of this agent."""
        self._sharing = None
        above = self._with_all_below()
        for name, under in self._playing.items():
            child, playing = self._known[name], under.playing
            if playing is None or child.outcome or under.task.done():
                continue
            if (left := self._left_to(child, above)) != child.limits:
                child.limits = left
                with suppress(LogError):  # whoever appends next is told
                    playing.limit(left)

    def _log_of(self, child: Child) -> ChildLog:
        return ChildLog(
            self._log,
            child.name,
            child.started,
            readers=self.readers,
            redactor=self._journal.redactor,
            claimed=self.claimed,
            decided=self._share_soon,
        )

    async def stop(self, call_id: str | None = None) -> None:
        """Cancel what runs, for a call that begins nothing more or for all; wait for its end."""
        await self._stop(self._known.values() if call_id is None else self.of_call.get(call_id, ()))

    async def leave(self, call_id: str, *, is_in_doubt: bool = False) -> None:
        """End what was begun for a call and is not over: the call is about to end.

        If that *is_in_doubt*, what waits for a person goes on waiting.
        """
        await self.stop(call_id)
        for child in self.of_call.get(call_id, ()):
            if not (child.outcome or (child.waits and is_in_doubt)):
                await self._close(child)

    async def settle(self) -> None:
        """A run begins: end what waited for a person who has decided about its call by now."""
        self._sharing = None  # it was due in a loop that may be gone
        calls = self._machine.state.calls
        for child in self._open():
            if child.call_id not in calls or calls[child.call_id].phase == "ended":
                await self._close(child)

    async def close(self) -> None:
        """End all children that are not over, but for those that wait for a person."""
        await self.stop()
        for child in self._open():
            await self._close(child, unless="paused")

    def _open(self) -> list[Child]:
        return list(self._unended.values())

    async def _stop(self, children: Iterable[Child]) -> None:
        under = [self._playing[child.name] for child in children if child.name in self._playing]
        while tasks := [each.task for each in under if not each.task.done()]:
            for each in under:
                if each.playing is not None:
                    with suppress(LogError):  # whoever appends next is told
                        each.playing.cancel()
            await asyncio.wait(tasks, timeout=STOP_S)
        for each in under:
            if not each.task.cancelled():
                each.task.exception()  # it is on record; perhaps nobody waits for it any more

    async def _close(self, child: Child, unless: str = "") -> None:
        """End *child* without its agent: what it asked for ends as if it was cancelled."""
        log = self._log_of(child)
        machine, journal = agent_machine(), Journal(log, self._journal.clock)
        below = Children(log, journal, machine)
        past = below.recall(records_of(log))
        outcome = _outcome(past.records)
        if outcome == unless:
            return
        for each in below._open():
            await below._close(each)
        await close_cut_off(machine, journal, list(own(records_of(log))))
        self._end(child, outcome, "", limits.used(machine.state))


def _is_in_doubt(state: State) -> bool:
    return any(call.phase == "waiting" and call.doubt for call in state.calls.values())


def _outcome(records: Sequence[Record]) -> str:
    """Return how the last run in *records* ended, which were read before it was ended here."""
    last = next((r.event for r in reversed(records) if isinstance(r.event, _BOUNDS)), None)
    return last.outcome if isinstance(last, k.RunEnded) else "cancelled"


_ANSWERS = (k.ModelFinished.kind,)
_BELOW = (k.ChildStarted.kind, k.ChildEnded.kind)
_BOUNDS = k.RunEnded | k.UserSaid | k.UserContinued
