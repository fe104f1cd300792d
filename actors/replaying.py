"""What a replay of a session compares: the agent's decisions and every request, rebuilt.

The pure half of the streamer takes part: at each ``model.requested`` the request is built again
from the fold, and its digest is held against the one that was recorded with the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tinyagent.actors.providers import Provider, provider_for
from tinyagent.actors.providers.history import Parts
from tinyagent.actors.providers.hosted import Description, is_hosted
from tinyagent.actors.providers.patch import patched
from tinyagent.actors.session import agent_machine
from tinyagent.actors.state import POLLS
from tinyagent.events import Conversation, Event, Record, View, digest, encode, kinds as k
from tinyagent.events.children import AGENT, children_of, own, seen_from
from tinyagent.events.gone import is_redacted, without_redacted
from tinyagent.events.sealing import is_hidden
from tinyagent.runtime.divergence import (
    ABSENT,
    STEP_CHANGED,
    Difference,
    Divergence,
    Report,
    differences,
    joined,
)
from tinyagent.runtime.replay import Finding, replay


class Requests:
    """Builds the requests of one session again. Pure."""

    def __init__(self) -> None:
        self._provider: Provider | None = None
        self._description = Description()

    def body(self, asked: View) -> bytes:
        """Return the request that *asked* makes, to the byte.

        Raises:
            ValueError: as ``parts``.
        """
        return self.parts(asked).whole()

    def parts(self, asked: View) -> Parts:
        """Return the same in parts.

        Raises:
            ValueError: no provider speaks the api of the session's model.
        """
        if is_hosted(asked):
            return self._description.parts(asked)
        api = asked.settings.model.get("api", "")
        if self._provider is None or self._provider.api != api:
            self._provider = provider_for(api)
        parts = self._provider.parts(asked.settings, asked.read())
        if asked.edits:
            return Parts(patched(parts.whole(), asked.edits), "", [], b"")
        return parts

    def digest(self, asked: View) -> str:
        """Return the digest of the request that *asked* makes."""
        if is_hosted(asked):
            return self._description.digest(asked)
        return digest(self.body(asked))


def verify(
    where: str,
    records: Sequence[Record],
    today: k.SessionStarted | Mapping[str, k.SessionStarted] | None = None,
    *,
    is_loose: bool = False,
    version: str = "",
) -> Report:
    """Replay a session; *today* takes the place of the recorded configuration.

    That is one of the agent itself, or those of all that are known, by their names. Without one,
    the recorded configuration checks this library alone. *version*: of this library.
    """
    given = {AGENT: today} if isinstance(today, k.SessionStarted) else today or {}
    reports: list[Report] = []
    for name, part in each_agent(list(map(without_redacted, records))):
        instead: dict[int, Event] = {}
        changed: tuple[Difference, ...] = ()
        if name in given and part:
            now = instead[part[0].seq] = _frozen(given[name], part[0])
            then, at = part[0].event, "" if name == AGENT else name
            if isinstance(then, k.SessionStarted):
                changed = tuple(differences(_configured(then), _configured(now), at))
        machines, checks = [agent_machine(name)], [RequestCheck(part, name)]
        report = replay(where, part, machines, checks, instead=instead, is_loose=is_loose)
        found = report.first_divergence
        if found is not None:
            found = msgspec.structs.replace(found, cause=_why(found, part, changed, version))
        reports.append(
            msgspec.structs.replace(report, configuration=changed, first_divergence=found)
        )
    return joined(reports)


def _configured(event: k.SessionStarted) -> dict[str, Any]:
    """Return the configuration in *event*, without what a session keeps and what it is called."""
    options = {name: value for name, value in event.options.items() if name != "session_id"}
    known = msgspec.structs.replace(event, options=options, flags=[], versions={})
    told: dict[str, Any] = msgspec.json.decode(encode(known))
    return told


def _why(
    found: Divergence, part: Sequence[Record], changed: Sequence[Difference], version: str
) -> str:
    """Return why *found* differs: configuration, version, redaction, or else what was found."""
    if changed and found.cause == STEP_CHANGED:
        return worded(changed)
    before = [record for record in part if record.seq <= found.input]
    recorded = [
        record.event.versions.get("tinyagent", "")
        for record in before
        if isinstance(record.event, k.SessionStarted | k.SessionResumed)
    ]
    if version and recorded and recorded[-1] not in ("", version):
        return f"versions: {recorded[-1]} recorded it, this is {version}; {found.cause}"
    taken = next((record.seq for record in before if is_redacted(record)), 0)
    return f"record {taken} was redacted; {found.cause}" if taken else found.cause


def worded(changed: Sequence[Difference]) -> str:
    """Return in words what is configured differently today."""
    told = [
        f"{found.path} is "
        f"{'absent' if found.now is ABSENT else repr(found.now)} today, "
        f"{'absent' if found.recorded is ABSENT else repr(found.recorded)} when recorded"
        for found in changed
    ]
    return "configuration: " + "; ".join(told)


def each_agent(records: Sequence[Record]) -> Iterator[tuple[str, list[Record]]]:
    """Yield every agent of the log with its own records, as it sees them."""
    yield AGENT, list(own(records))
    lost = next((at for at, r in enumerate(records) if isinstance(r.event, k.LogLost)), None)
    known = records[:lost]
    for name in children_of(known):
        yield name, list(own(seen_from(name, known)))


def _frozen(today: k.SessionStarted, first: Record) -> k.SessionStarted:
    """Return *today*, but with what a session keeps for life: versions, flags, and who watched.

    The queues are polled as events are delivered only if somebody watches; that is a matter of
    how the session was run, not of its configuration.
    """
    if not isinstance(first.event, k.SessionStarted):
        return today
    then = first.event
    polls = [hook for hook in then.hooks if hook in POLLS]
    return msgspec.structs.replace(
        today,
        flags=then.flags,
        versions=then.versions,
        hooks=[*polls, *(hook for hook in today.hooks if hook not in POLLS)],
    )


class RequestCheck:
    """Holds every rebuilt request against the digest that was recorded."""

    def __init__(self, records: Sequence[Record], name: str = AGENT) -> None:
        self._who = "the streamer" if name == AGENT else f"the streamer of {name}"
        self.compared = self.unverifiable = 0
        self._is_hidden = False
        self._then, self._now = Conversation(), Conversation()
        self._requests = Requests()
        self._digests = {
            record.cause: (record.seq, record.event.request)
            for record in records
            if isinstance(record.event, k.ModelFinished | k.ModelFailed) and record.event.request
        }
        self._entered: list[Record] = []

    def see(self, record: Record, today: Record) -> Finding | None:
        """Fold the record on both sides; at a request, compare."""
        self._then.evolve(record)
        self._now.evolve(today)
        self._is_hidden = self._is_hidden or is_hidden(record) or is_redacted(record)
        if isinstance(record.event, k.ModelRetrying):
            return self._instead(record, record.event)
        if not isinstance(record.event, k.ModelRequested):
            if isinstance(record.event, _SPOKEN):
                self._entered.append(record)
            return None
        _, recorded = self._digests.get(record.seq, (0, ""))
        if not recorded:
            return None
        return self._compare(record, recorded, self._then.asked, self._now.asked)

    def _instead(self, record: Record, event: k.ModelRetrying) -> Finding | None:
        """Compare the request to the model that was asked instead of the session's."""
        if event.model is None or not event.request:
            return None
        views = (fold.asked.to(event.model) for fold in (self._then, self._now))
        return self._compare(record, event.request, *views)

    def _compare(self, record: Record, recorded: str, then: View, today: View) -> Finding | None:
        if self._is_hidden:
            self.unverifiable += 1
            return None
        self.compared += 1
        now = self._requests.digest(today)
        if now == recorded:
            self._entered = []
            return None
        return Finding(record.seq, self._who, *self._explained(recorded, now, then, today))

    def _explained(
        self, recorded: str, now: str, then: View, today: View
    ) -> tuple[tuple[Difference, ...], str]:
        if Requests().digest(then) == recorded:
            bodies = (msgspec.json.decode(Requests().body(asked)) for asked in (then, today))
            paths = tuple(differences(*bodies))
            return paths, self._configuration()
        since = ", ".join(f"{r.seq} {r.event.kind}" for r in self._entered) or "none"
        return (
            (Difference("request", recorded, now),),
            "the recorded configuration does not give the recorded request either: a record was "
            f"edited, or the request builder changed; records since the last request: {since}",
        )

    def _configuration(self) -> str:
        then, now = (
            msgspec.json.decode(msgspec.json.encode(fold.settings))
            for fold in (self._then, self._now)
        )
        changed = list(differences(then, now))
        return worded(changed) if changed else "the request builder changed"


_SPOKEN = (
    k.UserSaid,
    k.UserDelivered,
    k.ModelFinished,
    k.ToolFinished,
    k.ToolFailed,
    k.ToolBlocked,
    k.ToolSettled,
    k.HostAnswered,
    k.ContextEdited,
    k.ConfigChanged,
)
