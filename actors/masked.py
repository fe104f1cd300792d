"""A log that is masked while its actors are not (``Redact(scope="log")``).

Memory is then no longer the fold of the log. What follows from texts, digests above all, goes on
record as it follows from the masked ones: a second fold and a second agent read what is written,
and what the agent decides is recorded as that one decided it. So such a log replays like any other.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from tinyagent.actors.children import agent_machine
from tinyagent.actors.gate import UNSURE
from tinyagent.actors.reopening import Begun, Reopened
from tinyagent.actors.state import State
from tinyagent.actors.tools import Tools
from tinyagent.events import Conversation, Event, Failure, Record, Redactor, kinds as k
from tinyagent.events.settings import Settings, changed
from tinyagent.events.sifted import Sifted
from tinyagent.runtime.loops import Machine, Voice

RULE, SCOPE = "redact", "redact_scope"
"""Names under which a session says, among its versions, how its log is masked."""
UNKNOWN = "The arguments of this call are on record only with masks: it cannot be run again."
_BEGUN = (k.SessionStarted.kind, k.SessionResumed.kind)
_MASK = re.compile("«secret:[^»]*»")


class Shadow:
    """Reads the log as it is written, where actors are told more.

    Attributes:
        conversation: the fold of what is on record.
    """

    def __init__(self, machine: Machine[State]) -> None:
        self.conversation = Conversation()
        self._machine = machine
        self._decided: dict[int, deque[Event]] = {}
        self._args: dict[str, str] = {}

    def restore(self, records: Sequence[Record], state: State) -> None:
        """Stand where the session stands, which has read *records* in the log."""
        self._machine.state = state
        self.conversation.read(records)

    def written(self, event: Event, cause: int) -> Event:
        """Return what goes on record for *event*, which is masked: with digests of what is."""
        ahead = self._decided.get(cause)
        if ahead and event.kind == ahead[0].kind:
            decided = ahead.popleft()
            if not ahead:
                del self._decided[cause]
            if isinstance(event, k.ApprovalRequested) and isinstance(decided, k.ApprovalRequested):
                self._args[event.args] = decided.args
            return decided
        if isinstance(event, k.ApprovalDecided):
            return msgspec.structs.replace(event, args=self._args.get(event.args, event.args))
        return event

    def follow(self, record: Record) -> None:
        """Take in a record as it was written."""
        self.conversation.post(record)
        is_input = record.event.kind in self._machine.inputs
        if is_input and (decided := self._machine.take(record)):
            self._decided[record.seq] = deque(decided)


class UnknowingTools(Tools):
    """Where the arguments of some calls are not known any more: these are in doubt."""

    def __init__(self, *cast: Any, reopened: Reopened, **how: Any) -> None:
        super().__init__(*cast, reopened=reopened, **how)
        self._unknown, self._begun = reopened.unknown, dict(reopened.started)

    async def answer(self, record: Record, voice: Voice) -> None:
        """Tell as ``Tools`` does; such a call is not run, whatever it would do, with masks."""
        event = record.event
        if not isinstance(event, k.ToolRequested) or event.call_id not in self._unknown:
            await super().answer(record, voice)
            return
        began = self._begun.get(event.call_id)
        is_again = began is not None and began.attempt < event.attempt  # a person asked for it
        if self._children is not None:
            await self._children.leave(event.call_id, is_in_doubt=not is_again)
        if is_again:
            await voice.tell(k.ToolFailed(event.call_id, Failure("invalid", UNKNOWN)))
            return
        self._begun[event.call_id] = Begun("write", event.attempt)
        doubt = f"{UNKNOWN} {UNSURE}"
        await voice.tell(k.ToolInDoubt(event.call_id, "stopped", event.attempt, doubt))


def shadow_of(redactor: Redactor | None) -> Shadow | None:
    """Return what follows the log, if that alone is masked."""
    return Shadow(agent_machine()) if is_apart(redactor) else None


def versions_of(redactor: Redactor | None) -> dict[str, str]:
    """Return how the log is masked, as a session says it among its versions."""
    if redactor is None:
        return {}
    said = {RULE: redactor.rule_name} if redactor.rule_name else {}
    return {**said, SCOPE: "log"} if redactor.scope == "log" else said


def recorded(redactor: Redactor | None, now: Settings, changes: dict[str, Any]) -> dict[str, Any]:
    """Return *changes* as they go on record, without what is recorded already: as a mask."""
    if redactor is None or redactor.is_idle or redactor.scope == "log":
        return changes
    masked = redactor.take(k.ConfigChanged(changes), 0).event
    assert isinstance(masked, k.ConfigChanged)
    items = masked.set.items()
    return {name: value for name, value in items if changed(now, {name: value}) != now}


def unknown_calls(past: Sifted, conversation: Conversation) -> frozenset[str]:
    """Return the calls of the *past* whose arguments nobody knows any more: only masked ones.

    A rule of the user's leaves no mask to know them by: then it may be any call.
    """
    versions = _versions_in(past)
    if versions.get(SCOPE) != "log":
        return frozenset()
    given = conversation.given
    return frozenset(
        call.id
        for call in conversation.calls.values()
        if RULE in versions or _MASK.search(f"{call.arguments}{given.get(call.id, '')}")
    )


def is_apart(redactor: Redactor | None, past: Sifted | None = None) -> bool:
    """Whether memory is not the fold of the log: now, or in one of the sessions of the *past*."""
    is_now = redactor is not None and redactor.scope == "log"
    return is_now or (past is not None and _versions_in(past).get(SCOPE) == "log")


def _versions_in(past: Sifted) -> dict[str, str]:
    versions: dict[str, str] = {}
    for record in past.of(_BEGUN):
        if isinstance(record.event, k.SessionStarted | k.SessionResumed):
            versions |= record.event.versions
    return versions
