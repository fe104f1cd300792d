"""Events about the session itself: how it is configured, how it ends, what went wrong in it."""

from __future__ import annotations

from typing import Any

from tinyagent.events.fact import Fact, Failure, ToolSpec


class SessionStarted(Fact, frozen=True):
    """A session began, with this configuration; the first record of every log."""

    kind = "session.started"
    emitter = "session"
    model: dict[str, Any] = {}
    system: str = ""
    tools: list[ToolSpec] = []
    hooks: list[str] = []
    options: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    flags: list[int] = []
    versions: dict[str, str] = {}


class SessionForked(Fact, frozen=True):
    """The session left another one behind the record that the header names.

    Attributes:
        edits: what is different here: ``[name, ...]``. guarded: tools that are not ``pure`` or
            ``read`` wait for an approval, each time.
    """

    kind = "session.forked"
    emitter = "session"
    edits: list[list[Any]] = []
    guarded: bool = False
    why: str = ""


class SessionResumed(Fact, frozen=True):
    """The session goes on in a new epoch. ``open``: requests that had no answer."""

    kind = "session.resumed"
    emitter = "session"
    epoch: int
    versions: dict[str, str] = {}
    open: list[int] = []


class LogRecovered(Fact, frozen=True):
    """The last epoch did not end cleanly; counts are of records, ``torn_bytes`` set aside."""

    kind = "log.recovered"
    emitter = "session"
    why: str
    torn_bytes: int = 0
    dropped: int = 0
    copied: int = 0
    segment: int = 0


class LogLost(Fact, frozen=True):
    """Stands for the records *first*..*last*, which were lost, in a log that was repaired."""

    kind = "log.lost"
    emitter = "session"
    first: int
    last: int
    bytes: int = 0


class ConfigChanged(Fact, frozen=True):
    """Part of the configuration changed; ``set`` names only what did."""

    kind = "config.changed"
    emitter = "session"
    set: dict[str, Any]


class SessionEnded(Fact, frozen=True):
    """The host closed the session."""

    kind = "session.ended"
    emitter = "session"
    reason: str = "closed"


class DiagnosticReported(Fact, frozen=True):
    """Something that a person may want to know; nothing hangs on it."""

    kind = "diagnostic.reported"
    emitter = "session"
    name: str
    message: str
    details: dict[str, Any] | None = None


class ActorFailed(Fact, frozen=True):
    """An actor raised: a bug, and the session stops. ``at``: file and line."""

    kind = "actor.failed"
    emitter = "session"
    actor: str
    error: str
    message: str
    at: str = ""


class SinkFailed(Fact, frozen=True):
    """A sink raised at record ``seq``; it is left out until it recovers."""

    kind = "sink.failed"
    emitter = "session"
    sink: str
    seq: int
    failure: Failure


class Foreign(Fact, frozen=True):
    """A record of another format, whole, that its importer did not understand; nothing hangs on it.

    ``what``: the name that it has there.
    """

    kind = "foreign"
    emitter = "import"
    what: str
    raw: Any = None
