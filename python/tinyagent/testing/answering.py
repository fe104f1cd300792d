"""Answers of a recorded session, given to today's code: for the model, for tools, for keys.

A model call is answered by what it asks, a tool call by its name and arguments; nothing goes by
order alone, so swapped results do not pass. What is not recorded is refused, with the nearest
recorded question and every leaf in which it differs, or is asked live where that is allowed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from typing import Any

import msgspec

from tinyagent.actors.streamer import Attempt, Hear, Heard, KeyOf, Source, relayed
from tinyagent.actors.tools import (
    Find,
    Invocation,
    Reconcile,
    Reconciled,
    Refused,
    Returned,
    Runnable,
)
from tinyagent.actors.transports import Answer, Failure
from tinyagent.events import Record, View, canonical, kinds as k, plain
from tinyagent.events.children import is_below
from tinyagent.events.codec import restored
from tinyagent.recording import Recording
from tinyagent.runtime.divergence import Difference, differences, shown
from tinyagent.runtime.errors import LiveEffectError
from tinyagent.testing._answered import Done, Told, answers_in, question, runs_in

CUT_OFF_S = 5.0
"""So long an answer that was cut off when recorded waits to be cut off again."""
LEAVES_MAX = 8
"""So many leaves that differ are shown."""


class RecordedAnswers:
    """The understudy of a session: answers from *recording*; ``LogOptions.understudy`` takes it.

    Args:
        where: the place of the recording, for messages; *recording* is None if there is none yet.
        allows_live: what is not recorded is asked live, not refused.
        runs_tools: tools are not answered for, they run.

    Attributes:
        records: those of the recording. lived: how much was asked live. refused: the first
            question that was refused.
    """

    def __init__(
        self,
        where: str,
        recording: Recording | None,
        *,
        allows_live: bool = False,
        runs_tools: bool = False,
    ) -> None:
        self.where = where
        self.lived = 0
        self.refused: LiveEffectError | None = None
        self._is_there = recording is not None
        self.records: Sequence[Record] = () if recording is None else recording.records
        self._allows_live = allows_live
        self._runs_tools = runs_tools
        self._told: list[Told] = []
        self._done: list[Done] = []
        self._reconciled: dict[str, k.ToolReconciled] = {}
        self._below: set[int] = set()
        self._under_way: dict[int, asyncio.Future[None]] = {}
        if recording is not None:
            self._told = list(answers_in(recording))
            self._below = {record.seq for record in recording.records if is_below(record)}
            if not runs_tools:
                self._done, self._reconciled = runs_in(recording)

    def source(self, live: Source) -> Source:
        """Return who answers model calls."""
        return _Model(self, live)

    def find(self, live: Find) -> Find:
        """Return who finds tools."""
        return live if self._runs_tools else lambda name: _Tool(self, live(name), name)

    def key_of(self, live: KeyOf | None) -> KeyOf | None:
        """Return who finds keys: nobody needs one for what is recorded."""

        async def key(provider: str) -> str | None:
            return "recorded"

        return live if live is None or self._allows_live else key

    @property
    def unused(self) -> list[str]:
        """What is recorded and was not asked for. Agents below begin only where a tool runs."""
        known: list[Told | Done] = [*self._told, *self._done]
        left = [one for one in known if not one.is_used]
        return [one.what for one in left if one.seq not in self._below]

    def told(self, asked: View) -> Told | None:
        """Return the recorded answer to *asked*; None if it shall be asked live.

        Raises:
            LiveEffectError: there is none, and nothing live may be asked.
        """
        now = question(asked)
        wanted = canonical(now)
        same = [told for told in self._told if told.key == wanted]
        for told in same:
            if not told.is_used:
                told.is_used = True
                return told
        self.miss(
            "this request to the model", len(same), [(t.seq, t.asked) for t in self._told], now
        )
        return None

    def done(self, live: Runnable, invocation: Invocation) -> Done | None:
        """Return the recorded run of a tool; None if it shall run.

        Raises:
            LiveEffectError: there is none, and nothing live may run.
        """
        named = [done for done in self._done if done.name == invocation.name]
        now = plain(invocation.arguments)
        same = [done for done in named if canonical(now) in _given(done, live)]
        left = [done for done in same if not done.is_used]
        for done in sorted(left, key=lambda done: done.call_id != invocation.call_id):
            done.is_used = True
            return done
        known = [(done.seq, done.arguments) for done in named]
        self.miss(f"this call of the tool {invocation.name}", len(same), known, now)
        return None

    async def wait_turn(self, done: Done) -> None:
        """Wait until the runs that are under way, and ended before *done*, have ended again."""
        is_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way[done.ended] = is_over
        try:
            await asyncio.sleep(0)  # as a tool does that waits: others run meanwhile
            while (first := min(self._under_way)) < done.ended:
                await asyncio.wait([self._under_way[first]])
        finally:
            del self._under_way[done.ended]
            is_over.set_result(None)

    def reconciled(self, call_id: str) -> Reconciled | None:
        """Return what the tool said of a call in doubt; None if it shall be asked live."""
        said = self._reconciled.get(call_id)
        if said is not None:
            return Reconciled(said.outcome, restored(said.content))
        try:
            self.miss(f"what became of call {call_id}", 0, [], None)
        except LiveEffectError:
            return Reconciled("unknown")  # raised at the end of the test, by ``refused``
        return None

    def miss(self, what: str, same: int, known: Sequence[tuple[int, Any]], now: Any) -> None:
        """Count what is asked live. *known*: what was asked when recorded, each at its record.

        Raises:
            LiveEffectError: nothing may be.
        """
        if self._allows_live:
            self.lived += 1
            return
        near = [(seq, list(differences(asked, now))) for seq, asked in known]
        error = LiveEffectError("\n".join(self._refusal(what, same, near)))
        self.refused = self.refused or error
        raise error

    def _refusal(
        self, what: str, same: int, near: Sequence[tuple[int, list[Difference]]]
    ) -> Iterator[str]:
        if not self._is_there:
            yield f"{what} needs a recording, and there is none at {self.where}"
        elif same:
            times = "once" if same == 1 else f"{same} times"
            yield f"{what} is recorded {times} in {self.where}, and was made once more"
        else:
            yield f"{what} is not recorded in {self.where}, and nothing live may be touched"
        if near and not same:
            seq, leaves = min(near, key=lambda each: len(each[1]))
            values = "1 value differs" if len(leaves) == 1 else f"{len(leaves)} values differ"
            yield f"  nearest   record {seq}, {values}"
            for leaf in leaves[:LEAVES_MAX]:
                yield f"  recorded  {leaf.path}  {shown(leaf.recorded)}"
                yield f"  now       {leaf.path}  {shown(leaf.now)}"
        mode = "new" if self._is_there else "once"
        yield f"  try       --ta-record={mode} asks live and records what is not there"


def _given(done: Done, live: Runnable) -> set[bytes]:
    """Return the arguments of a recorded call: as on record, and as the tool converts them."""
    if done.arguments is None:
        return set()
    text = msgspec.json.encode(done.arguments).decode()
    given = {canonical(plain(done.arguments))}
    try:
        given.add(canonical(plain(live.arguments(k.CallRef(done.call_id, done.name), text))))
    except Exception:  # today they do not fit: then it is no run of today's tool
        return given
    return given


class _Model:
    """The source of a session whose answers are recorded."""

    def __init__(self, answers: RecordedAnswers, live: Source) -> None:
        self._answers = answers
        self._live = live

    @property
    def attempts_max(self) -> int:
        return self._live.attempts_max

    @property
    def grace_s(self) -> float:
        return self._live.grace_s

    def digest(self, asked: View) -> str:
        return self._live.digest(asked)

    def attempt(self, asked: View, key: str | None) -> Attempt:
        told = self._answers.told(asked)
        return self._live.attempt(asked, key) if told is None else _Recalled(told)


class _Recalled:
    """A recorded answer, given again piece by piece; nothing waits in fact."""

    def __init__(self, told: Told) -> None:
        self._told = told

    async def play(self, hear: Hear) -> None:
        """Give *hear* the pieces."""
        await relayed(self._pieces(), hear)

    async def _pieces(self) -> AsyncIterator[Heard]:
        for pieces in self._told.heard:
            await asyncio.sleep(0)  # as a live answer does: others run meanwhile
            yield Heard(pieces)
        end = self._told.end
        if isinstance(end, k.Failure):
            if end.kind == "cancelled":
                await asyncio.sleep(CUT_OFF_S)
            raise Failure(end.kind, end.message, status=end.status, retry_after_s=end.retry_after_s)

    def finish(self) -> Answer:
        end = self._told.end
        if not isinstance(end, k.ModelFinished):
            raise Failure("interrupted", "the recording ends in the middle of this answer")
        blocks = {p[0] for heard in self._told.heard for p in heard if p[1] == "call"}
        bad = [
            block
            for block, ref in zip(sorted(blocks), end.calls, strict=False)
            if ref.args == "bad"
        ]
        return Answer(
            reason=end.reason,
            raw_reason=end.raw,
            usage=end.usage,
            response=end.response,
            bad_calls=tuple(bad),
        )

    async def aclose(self) -> None:
        """Nothing is open."""


class _Tool:
    """A tool whose runs are recorded: its checks are today's, its results are not."""

    def __init__(self, answers: RecordedAnswers, live: Runnable, name: str) -> None:
        self._answers = answers
        self._live = live
        self._name = name
        self.effect: k.Effect = live.effect
        self.timeout_s = live.timeout_s
        self.idle_timeout_s = live.idle_timeout_s
        self.alone = live.alone

    def arguments(self, call: k.CallRef, text: str) -> dict[str, Any]:
        return self._live.arguments(call, text)

    async def run(self, invocation: Invocation) -> Returned:
        done = self._answers.done(self._live, invocation)
        if done is None:
            return await self._live.run(invocation)
        for said in done.progress:
            invocation.progress(restored(said.content), restored(said.details))
        if done.was_cut_off:
            await asyncio.sleep((self.timeout_s or 0.0) + CUT_OFF_S)
            raise LiveEffectError(
                f"the tool {self._name} was cut off when it was recorded "
                f"({self._answers.where}, record {done.seq}), and today it is not"
            )
        await self._answers.wait_turn(done)
        if isinstance(done.end, k.ToolFailed):
            failure = done.end.failure
            raise (Refused if failure.kind == "invalid" else RuntimeError)(failure.message)
        assert isinstance(done.end, k.ToolFinished)
        end = done.end
        return Returned(
            content=restored(end.content), details=restored(end.details), terminate=end.terminate
        )

    @property
    def reconcile(self) -> Reconcile | None:
        live = self._live.reconcile
        if live is None:
            return None

        def ask(invocation: Invocation) -> Awaitable[Reconciled]:
            said = self._answers.reconciled(invocation.call_id)
            return live(invocation) if said is None else _later(said)

        return ask


async def _later(said: Reconciled) -> Reconciled:
    return said
