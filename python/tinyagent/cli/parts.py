"""What the answers of ``--json`` are made of."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from tinyagent.runtime.repair import Report


class PlainRecord(msgspec.Struct, kw_only=True):
    """A record, its payload as it is written."""

    seq: int
    at_ns: int
    cause: int
    actor: str
    kind: str
    event: msgspec.Raw


class Leaf(msgspec.Struct, kw_only=True):
    """A leaf that differs; of what is absent the value is left out."""

    path: str
    recorded: Any | UnsetType = UNSET
    now: Any | UnsetType = UNSET


class PlainPart(msgspec.Struct, kw_only=True):
    """A part of a request."""

    path: str
    value: Any


class Changes(msgspec.Struct, kw_only=True):
    """A request against another."""

    unchanged: list[str]
    unchanged_prefix: int
    added: list[PlainPart]
    removed: list[PlainPart]
    changed: list[Leaf]


class PlainRequest(Changes, kw_only=True):
    """A request, its body as text, to the byte."""

    seq: int
    n: int
    before: int
    model: dict[str, Any]
    digest: str
    recorded: str
    usage: dict[str, Any] | None
    is_verified: bool | None
    body: str


class Step(msgspec.Struct, kw_only=True):
    """A record without its payload."""

    seq: int
    kind: str
    cause: int
    actor: str
    about: str
    depth: int | UnsetType = UNSET


class PlainApart(msgspec.Struct, kw_only=True):
    """A place where two logs say different things."""

    seq: int
    other: int
    after: int
    grade: Literal["shape", "missing", "extra"]
    here: tuple[str, Any] | None
    there: tuple[str, Any] | None
    paths: list[Leaf]


class Deep(msgspec.Struct, frozen=True, kw_only=True):
    """What reading the records told.

    Attributes:
        records: with those of a fork's parent. unknown: of kinds that a newer release wrote.
        matched: decisions and requests that today's code makes of them too.
        lost: records that a repair gave up: first and last of each gap.
        snapshots: how many of them are what the records come to. unfit: the others, each with why.
        fault: where that code decides otherwise, or cannot read on, or which snapshot would be
            used and is wrong; None if nowhere.
    """

    records: int
    unknown: int = 0
    matched: int = 0
    lost: tuple[tuple[int, int], ...] = ()
    snapshots: int = 0
    unfit: tuple[tuple[str, str], ...] = ()
    fault: str | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One log: *report* is None where there is nothing to look at byte by byte: a database."""

    path: str
    verdict: str
    message: str
    report: Report | None = None
    deep: Deep | None = None

    @property
    def is_bad(self) -> bool:
        """Whether something is damaged, or the records do not fit to each other."""
        return self.verdict == "corrupt" or (self.deep is not None and self.deep.fault is not None)


class Taken(msgspec.Struct, kw_only=True):
    """A payload, or a value of it, that was taken out."""

    seq: int
    path: str | None


class ImportedLog(msgspec.Struct, kw_only=True):
    """What became of one file. ``foreign``: what was not understood and kept, counted."""

    log: str
    where: str
    format: str
    records: int
    branches: list[str]
    foreign: dict[str, int]
    replays: bool


class Share(msgspec.Struct, kw_only=True):
    """What one model, tool or day had of the calls.

    Attributes:
        p50_s, p95_s: half of the calls, and 19 of 20, took no longer; None without an end.
        tokens: 0 for a tool. cost_usd: None where the price of one call is not known.
    """

    name: str
    calls: int = 0
    failed: int = 0
    in_doubt: int = 0
    p50_s: float | None = None
    p95_s: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cost_usd: float | None = None


class Checked(msgspec.Struct, kw_only=True):
    """One thing that was looked at; ``ok`` is False where a person should do something."""

    name: str
    ok: bool
    found: str
