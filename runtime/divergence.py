"""Where today's code parts from a recorded log: found here, worded here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

Grade = Literal["shape", "missing", "extra"]


class Difference(msgspec.Struct, frozen=True):
    """One leaf that differs. ``None`` as a value means JSON null; absent is the text below."""

    path: str
    recorded: Any
    now: Any


ABSENT = "(absent)"
STEP_CHANGED = "the code of the step changed, or the record was edited"


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """The first place where replay and record part.

    Attributes:
        seq: the record that is not what is decided today; 0 if today decides one more.
        input: the record at which it was decided, and its kind.
        ordinal, of: which decision at that input, and how many are recorded there.
        recorded, now: kind and payload, or None where there is none.
        agreed: the last record up to which everything was the same.
        state_before: digest of the machine's state when it took the input; empty for a request.
        cause: why, as far as it can be told.
        at: where in today's code it is decided, as ``agent.py:118 in _think``; empty for a request.
    """

    where: str
    seq: int
    machine: str
    input: int
    input_kind: str
    ordinal: int
    of: int
    grade: Grade
    recorded: tuple[str, Any] | None
    now: tuple[str, Any] | None
    paths: tuple[Difference, ...] = ()
    cause: str = STEP_CHANGED
    agreed: int = 0
    not_compared: int = 0
    state_before: str = ""
    at: str = ""

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        at = f"record {self.seq}" if self.seq else f"a record after {self.agreed}"
        yield (
            f"{at} is not what {self.machine} decides today "
            f"(input {self.input} {self.input_kind}, decision {self.ordinal} of {self.of})"
        )
        fields = ", ".join(difference.path for difference in self.paths) or "kind"
        code = f"  at {self.at}" * bool(self.at)
        yield f"  where     {self.where}:{self.seq or self.agreed}  {fields}{code}"
        for difference in self.paths or (Difference("", self.recorded, self.now),):
            name = f"{difference.path}  " if difference.path else ""
            yield f"  recorded  {name}{shown(difference.recorded)}"
            yield f"  now       {name}{shown(difference.now)}"
        yield f"  cause     {self.cause}"
        state = f", state before input {self.input}: {self.state_before}" * bool(self.state_before)
        later = f"{self.not_compared} later records not compared"
        yield f"  agreed    records 1-{self.agreed}{state}; {later}"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found.

    Attributes:
        records: how many were replayed. matched: decisions and requests that are the same.
        canonical: decisions among them whose bytes are others: of an older version, or sorted
            otherwise.
        unverifiable: decisions that cannot be compared and requests that cannot be rebuilt, because
            something was redacted, or is encrypted and there is no key.
        unfinished: decisions that a crash kept from being recorded, at the very end.
        lost: the first and the last record of which something is lost; the replay ended before.
        ended: why it ended before the last record, in words; empty if it did not.
        configuration: what is configured differently today.
        cascade: what else differs, if the replay went on behind the first divergence.
        result: the ``RunResult`` of the last run; None if none ended, or the replay found another.
    """

    where: str
    records: int
    matched: int
    requests: int
    canonical: int = 0
    unverifiable: int = 0
    unfinished: int = 0
    lost: tuple[int, int] | None = None
    ended: str = ""
    configuration: tuple[Difference, ...] = ()
    first_divergence: Divergence | None = None
    cascade: tuple[Divergence, ...] = ()
    result: Any = None

    @property
    def ok(self) -> bool:
        """Whether everything that was compared is the same."""
        return self.first_divergence is None

    def check(self) -> None:
        """Raise if something differs.

        Raises:
            DivergenceError: with the whole report as its text.
        """
        from tinyagent.runtime.errors import DivergenceError

        if self.first_divergence is not None:
            raise DivergenceError(str(self.first_divergence))


def joined(reports: Sequence[Report]) -> Report:
    """Return what *reports* say together: of one log, and of each agent in it."""
    found = [d for r in reports for d in (r.first_divergence, *r.cascade) if d is not None]
    found.sort(key=lambda divergence: divergence.seq or divergence.agreed)
    is_loose = any(report.cascade for report in reports)
    short = next((report for report in reports if report.ended), reports[0])
    return msgspec.structs.replace(
        reports[0],
        records=sum(report.records for report in reports),
        matched=sum(report.matched for report in reports),
        requests=sum(report.requests for report in reports),
        canonical=sum(report.canonical for report in reports),
        unverifiable=sum(report.unverifiable for report in reports),
        unfinished=sum(report.unfinished for report in reports),
        lost=short.lost,
        ended=short.ended,
        configuration=tuple(found for report in reports for found in report.configuration),
        first_divergence=found[0] if found else None,
        cascade=tuple(found[1:]) if is_loose else (),
    )


def differences(recorded: Any, now: Any, path: str = "") -> Iterator[Difference]:
    """Yield every leaf at which two JSON values differ, with its path."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key in [*recorded, *(key for key in now if key not in recorded)]:
            at = f"{path}.{key}" if path else key
            yield from differences(recorded.get(key, ABSENT), now.get(key, ABSENT), at)
    elif isinstance(recorded, list) and isinstance(now, list):
        for index in range(max(len(recorded), len(now))):
            at = f"{path}[{index}]"
            old = recorded[index] if index < len(recorded) else ABSENT
            yield from differences(old, now[index] if index < len(now) else ABSENT, at)
    elif (
        recorded != now
        or type(recorded) is not type(now)
        or (recorded is ABSENT) is not (now is ABSENT)  # a value may read the same
    ):
        yield Difference(path, recorded, now)


def shown(value: Any, width_max: int = 200) -> str:
    """Return *value* as JSON, cut to *width_max* characters."""
    text = value if value is ABSENT else msgspec.json.encode(value).decode()
    return text if len(text) <= width_max else f"{text[:width_max]}… ({len(text)} characters)"
