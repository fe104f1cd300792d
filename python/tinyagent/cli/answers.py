"""What ``--json`` prints: a document per command, a schema per document. Part of the API.

A field is added at the end; another meaning is another number behind the name.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from tinyagent._reading.facts import Usage
from tinyagent.cli.parts import (
    Changes,
    Checked,
    ImportedLog,
    Leaf,
    PlainApart,
    PlainRecord,
    PlainRequest,
    Share,
    Step,
    Taken,
    Verdict,
)
from tinyagent.cli.summary import Summary
from tinyagent.cli.transcript import Row
from tinyagent.runtime.archive import Archived
from tinyagent.runtime.load import Damage
from tinyagent.runtime.prune import Pruned
from tinyagent.runtime.repair import Gap


class Answer(msgspec.Struct, kw_only=True, tag_field="schema"):
    """A document that says which it is."""


class Error(Answer, kw_only=True, tag="tinyagent.error/1"):
    """Why there is no answer; on standard error."""

    error: str
    message: str


class Ls(Answer, kw_only=True, tag="tinyagent.ls/1"):
    """The logs of a folder, the newest first, and what of it is no log that can be read."""

    dir: str
    logs: list[Summary]
    unreadable: dict[str, str]


class Show(Answer, kw_only=True, tag="tinyagent.show/1"):
    """A log, in one view: ``lines``, ``records``, ``request``, or ``state`` after ``record``."""

    view: Literal["transcript", "events", "timeline", "context", "state"]
    log: str
    name: str | None
    where: str
    status: str
    usage: Usage
    in_doubt: list[str]
    damage: Damage | None
    lines: list[Row] | UnsetType = UNSET
    records: list[PlainRecord] | UnsetType = UNSET
    request: PlainRequest | UnsetType = UNSET
    record: int | UnsetType = UNSET
    state: dict[str, Any] | UnsetType = UNSET
    cost_usd: float | None = None


class Tail(Answer, kw_only=True, tag="tinyagent.tail/1"):
    """The last records of a log."""

    log: str
    where: str
    durable: int | None
    records: list[PlainRecord]


class Streamed(Answer, kw_only=True, tag="tinyagent.record/1"):
    """A record of ``tail --jsonl``, its fields named as in the log; ``ts`` in nanoseconds."""

    seq: int
    ts: int
    k: str
    c: int
    actor: str
    e: msgspec.Raw


class Why(Answer, kw_only=True, tag="tinyagent.why/1"):
    """``chain``, ``request``, ``filled``: what led to ``record``; ``impact``: what it led to."""

    log: str
    record: int
    chain: list[Step] | UnsetType = UNSET
    request: int | UnsetType | None = UNSET
    filled: list[Step] | UnsetType = UNSET
    impact: list[Step] | UnsetType = UNSET


class Diff(Answer, kw_only=True, tag="tinyagent.diff/1"):
    """Two logs (``first``, ``cascade``), states, or requests (``request``, ``changes``)."""

    of: Literal["logs", "states", "requests"]
    same: bool
    records: int | list[int] | UnsetType = UNSET
    first: PlainApart | UnsetType | None = UNSET
    cascade: list[PlainApart] | UnsetType = UNSET
    changed: list[Leaf] | UnsetType = UNSET
    request: PlainRequest | UnsetType = UNSET
    changes: Changes | UnsetType = UNSET


class Replay(Answer, kw_only=True, tag="tinyagent.replay/1"):
    """What was compared. ``divergence``: the first, in words, and where.

    ``ended``: why it ended before the last record. ``outcome``: of the last run.
    """

    where: str
    ok: bool
    records: int
    matched: int
    requests: int
    unfinished: int
    unverifiable: int
    lost: tuple[int, int] | None
    divergence: str | None
    seq: int | None
    cause: str | None
    paths: list[Leaf]
    cascade: list[int]
    canonical: int = 0
    ended: str | None = None
    configuration: list[Leaf] = []
    state_before: str | None = None
    at: str | None = None
    outcome: str | None = None


class WentOn(Answer, kw_only=True):
    """What came of a live run."""

    log: str
    where: str
    status: str
    in_doubt: list[str]
    approvals: list[str]
    after: int


class Resume(WentOn, kw_only=True, tag="tinyagent.resume/1"):
    """A run was ended."""


class Fork(WentOn, kw_only=True, tag="tinyagent.fork/1"):
    """A log that shares ``at`` records with its parent."""

    at: int
    parent: str
    moved: str | None


class Rerun(WentOn, kw_only=True, tag="tinyagent.rerun/1"):
    """All of it again, in a new log."""

    parent: str


class Verify(Answer, kw_only=True, tag="tinyagent.verify/1"):
    """A verdict for each log."""

    logs: list[Verdict]


class Repair(Answer, kw_only=True, tag="tinyagent.repair/1"):
    """A new log, and what is lost."""

    log: str
    where: str
    to: str
    records: int
    lost: int
    gaps: list[Gap]


class Redact(Answer, kw_only=True, tag="tinyagent.redact/1"):
    """A new log; ``masked``: records with known keys in them."""

    where: str
    to: str
    redacted: list[Taken]
    masked: list[int]


class Archive(Answer, kw_only=True, tag="tinyagent.archive/1"):
    """What was made of the sealed segments of a log."""

    where: str
    made: list[Archived]


class Prune(Answer, kw_only=True, tag="tinyagent.prune/1"):
    """What was removed of a log's beginning. ``detached``: forks that hold it themselves now."""

    where: str
    removed: Pruned
    detached: list[str]


class Export(Answer, kw_only=True, tag="tinyagent.export/1"):
    """A log in another format. ``left_out``: what that cannot hold, counted.

    ``masked``: secrets that the log has a mask of. ``unmasked``: texts in it that have the form of
    a token.
    """

    log: str
    where: str
    format: str
    to: str
    bytes: int
    records: int
    beside: list[str]
    left_out: dict[str, int]
    masked: int
    unmasked: int


class Import(Answer, kw_only=True, tag="tinyagent.import/1"):
    """Sessions of other programs, as logs."""

    logs: list[ImportedLog]


class Stats(Answer, kw_only=True, tag="tinyagent.stats/1"):
    """Calls, by model, tool or day, of all logs together."""

    by: Literal["model", "tool", "day"]
    logs: int
    rows: list[Share]


class Serve(Answer, kw_only=True, tag="tinyagent.serve/1"):
    """Where the sessions of a folder are served. ``url`` holds the token that opens them."""

    dir: str
    url: str
    port: int


class Doctor(Answer, kw_only=True, tag="tinyagent.doctor/1"):
    """How the installation and the folder of logs are."""

    ok: bool
    checks: list[Checked]


class Completion(Answer, kw_only=True, tag="tinyagent.completion/1"):
    """What a shell reads to complete commands and options."""

    shell: Literal["bash", "zsh", "fish", "powershell"]
    script: str


class Schema(Answer, kw_only=True, tag="tinyagent.schema/1"):
    """The names that ``tinyagent schema`` knows."""

    answers: list[str]
    events: list[str]


class Demo(Answer, kw_only=True, tag="tinyagent.demo/1"):
    """The logs that the demonstration left; what it told is on standard error."""

    logs: list[str]


ANSWERS: dict[str, type[Answer]] = {
    kind.__name__.lower(): kind
    for kind in (
        *(
            Ls,
            Show,
            Tail,
            Streamed,
            Why,
            Diff,
            Replay,
            Resume,
            Fork,
            Rerun,
            Verify,
            Repair,
            Archive,
            Prune,
            Redact,
            Export,
            Import,
        ),
        *(Stats, Serve, Doctor, Completion, Demo, Schema, Error),
    )
}
