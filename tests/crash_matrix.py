"""Every way to die beside a tool, and what must be true of the process that goes on.

``python tests/crash_matrix.py`` (``make crash``) kills some hundred processes and prints the table:
for each effect class, place of death and decision, how often the tool took effect, with which
outcome the run ended, and in how many of the durability modes all of it held.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.crash_forge import Job, Point, Told

from tinyagent import load
from tinyagent.actors.context import idempotency_key
from tinyagent.runtime.stores import Durability
from tinyagent.testing import ProviderServer, Reply, chat

FORGE = Path(__file__).with_name("crash_forge.py")
KILLED = -9
CALL = "call_b2"
MODES: tuple[Durability, ...] = ("interval", "group", "strict")
POINTS: tuple[Point, ...] = ("requested", "started", "during", "returned", "finished")
TOOLS = (
    ("pure", ""),
    ("read", ""),
    ("idempotent", ""),
    ("write", ""),
    ("write", "done"),
    ("write", "not_done"),
    ("write", "unknown"),
)
DECISIONS = ("done", "failed", "tell", "again", "wait")
UNSURE = (
    "The process stopped while this tool ran. "
    "Its outcome is unknown: it may or may not have taken effect."
)


class Case(msgspec.Struct, frozen=True):
    """One crash and what is decided after it. ``answer``: of the tool's ``reconcile``."""

    effect: str
    answer: str
    point: Point
    decision: str = ""

    @property
    def is_doubtful(self) -> bool:
        """Whether nobody can know what the killed process did."""
        return self.effect == "write" and self.point in ("started", "during", "returned")

    @property
    def name(self) -> str:
        """For people."""
        reconcile = f" reconcile={self.answer}" if self.answer else ""
        return f"{self.effect}{reconcile}, {self.point}, {self.decision or '-'}"


class Expected(msgspec.Struct, frozen=True):
    """What must come of a case. ``attempts``: of each effect, in order. ``told``: to the model."""

    attempts: list[int]
    outcome: str
    told: str
    doubts: int = 0


class Seen(msgspec.Struct, frozen=True):
    """What came of it: the effects as key, attempt and argument; tool results that models saw."""

    effects: list[tuple[str, int, str]]
    outcome: str
    asked: list[dict[str, Any]]
    requests: list[list[str]]
    kinds: list[str]
    log_id: str
    divergence: str
    told: str


def cases() -> Iterator[Case]:
    """Yield every case."""
    for effect, answer in TOOLS:
        for point in POINTS:
            case = Case(effect, answer, point)
            yield case
            if case.is_doubtful and answer in ("", "unknown"):
                for decision in DECISIONS:
                    yield Case(effect, answer, point, decision)


def expected(case: Case) -> Expected:
    """Return what the specification promises."""
    first = [] if case.point in ("requested", "started") else [1]
    match case:
        case Case(point="requested"):
            return Expected([1], "answered", "booked")
        case Case(point="finished"):
            return Expected([1], "answered", "booked")
        case Case(effect="pure" | "read" | "idempotent"):
            return Expected([*first, 2], "answered", "booked")
        case Case(answer="done"):
            return Expected(first, "answered", "the trip was booked", 1)
        case Case(answer="not_done") | Case(decision="again"):
            return Expected([*first, 2], "answered", "booked", 1)
        case Case(decision="done"):
            return Expected(first, "answered", "It was booked.", 1)
        case Case(decision="failed"):
            return Expected(first, "answered", "It was not booked.", 1)
        case Case(decision="tell"):
            return Expected(first, "answered", UNSURE, 1)
        case _:
            return Expected(first, "paused", "", 1)


def answer(request: Any) -> Reply:
    """Answer as a model does that books once: what it says depends on the conversation alone."""
    results = [message for message in request["messages"] if message["role"] == "tool"]
    if results:
        return chat(text="It is done.")
    return chat(text="I book it.", calls=[(CALL, "book", {"what": "the trip"})])


class Matrix:
    """Runs cases below one folder, against one provider."""

    def __init__(self, folder: Path, server: ProviderServer) -> None:
        self._folder = folder
        self._server = server
        self._forge = subprocess.Popen(
            [sys.executable, FORGE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._killed: set[str] = set()

    def close(self) -> None:
        """End the program that forks."""
        self._forge.communicate()

    def perform(self, job: Job) -> int:
        """Let a process do *job*; return its exit code."""
        assert self._forge.stdin is not None
        assert self._forge.stdout is not None
        self._forge.stdin.write(msgspec.json.encode(job) + b"\n")
        self._forge.stdin.flush()
        return int(self._forge.stdout.readline())

    def run(self, case: Case, mode: Durability) -> Seen:
        """Kill a process, take up its log in another one, and return what is to be seen.

        A case that differs from another in its decision alone takes up a copy of the same log.
        """
        crashed = "-".join(filter(None, (case.effect, case.answer, case.point, mode)))
        if crashed not in self._killed:
            self._killed.add(crashed)
            code = self.perform(self.job(case, mode, crashed))
            assert code == KILLED, f"{case.name}: the process ended with {code}, not of SIGKILL"
        taken = f"{crashed}-{case.decision or 'nobody'}"
        self.copy(crashed, taken)
        self.resume(case, mode, taken)
        return self.seen(crashed, taken)

    def later(self, case: Case, mode: Durability) -> Seen:
        """Run *case*, where nobody decides, then let a third process decide about the same log."""
        undecided = msgspec.structs.replace(case, decision="wait")
        self.run(undecided, mode)
        crashed = "-".join(filter(None, (case.effect, case.answer, case.point, mode)))
        self.resume(case, mode, f"{crashed}-wait")
        return self.seen(crashed, f"{crashed}-wait")

    def job(self, case: Case, mode: Durability, name: str) -> Job:
        """Return the job of a process that dies, below *name*."""
        return Job(
            folder=str(self._folder / name),
            url=f"{self._server.url}/{name}/v1/chat/completions",
            effect=case.effect,
            answer=case.answer,
            mode=mode,
            point=case.point,
            decision=case.decision,
        )

    def resume(self, case: Case, mode: Durability, taken: str) -> None:
        """Let a new process take up the log *taken*."""
        job = msgspec.structs.replace(self.job(case, mode, taken), point="")
        code = self.perform(job)
        assert code == 0, f"{case.name}: the process that resumed ended with {code}"

    def copy(self, crashed: str, taken: str) -> None:
        """Copy a log, and what was done outside while it was written."""
        shutil.copytree(self._folder / crashed, self._folder / taken)
        effects = self._folder / f"{crashed}.effects"
        if effects.exists():
            shutil.copy(effects, self._folder / f"{taken}.effects")

    def requests(self, name: str) -> list[list[str]]:
        """Return the tool results in each request that was made under *name*."""
        return [
            [text_of(message) for message in received.json["messages"] if message["role"] == "tool"]
            for received in self._server.requests
            if received.path.split("/")[1] == name
        ]

    def seen(self, crashed: str, taken: str) -> Seen:
        """Return what is to be seen of a case outside of all processes."""
        effects = self._folder / f"{taken}.effects"
        lines = effects.read_text().splitlines() if effects.exists() else []
        told = msgspec.json.decode((self._folder / f"{taken}.json").read_bytes(), type=Told)
        recording = load(self._folder / taken)
        first = recording.replay().first_divergence
        given = [text_of(m.model_dump()) for m in recording.messages if m.role == "tool_result"]
        return Seen(
            effects=[(key, int(n), what) for key, n, what in (e.split(" ", 2) for e in lines)],
            outcome=told.outcome,
            asked=told.asked,
            requests=[*self.requests(crashed), *self.requests(taken)],
            kinds=[record.event.kind for record in recording.records],
            log_id=recording.meta.log,
            divergence="" if first is None else str(first),
            told="".join(given),
        )


def text_of(message: Any) -> str:
    """Return the text of a message, whatever form its content has."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def faults(case: Case, seen: Seen) -> Iterator[str]:
    """Yield what is not as it must be."""
    must = expected(case)
    key = idempotency_key(seen.log_id, CALL)
    if seen.effects != [(key, attempt, "the trip") for attempt in must.attempts]:
        yield f"effects {seen.effects}, expected attempts {must.attempts} with key {key}"
    if seen.outcome != must.outcome:
        yield f"outcome {seen.outcome}, expected {must.outcome}"
    if seen.told != must.told:
        yield f"the conversation says {seen.told!r}, expected {must.told!r}"
    # The turn that was paid for is not asked for again; the next one is, unless a person must
    # decide first.
    requests = [[]] if must.outcome == "paused" else [[], [must.told]]
    if seen.requests != requests:
        yield f"models saw {seen.requests}, expected {requests}"
    if seen.kinds.count("tool.in_doubt") != must.doubts:
        yield f"{seen.kinds.count('tool.in_doubt')} tool.in_doubt, expected {must.doubts}"
    if case.decision:
        yield from _misasked(case, seen, key)
    if seen.divergence:
        yield f"the log does not replay: {seen.divergence}"


def _misasked(case: Case, seen: Seen, key: str) -> Iterator[str]:
    asked = {
        "call_id": CALL,
        "name": "book",
        "arguments": {"what": "the trip"},
        "attempt": 1,
        "why": "stopped",
        "idempotency_key": key,
    }
    if seen.asked != [asked]:
        yield f"the host was asked {seen.asked}, expected {asked} once"


def main() -> None:
    """Run all of it and print the table; exit 1 if something did not hold."""
    held: dict[Case, int] = {}
    complaints: list[str] = []
    with tempfile.TemporaryDirectory() as folder, ProviderServer.threaded(answer) as server:
        matrix = Matrix(Path(folder), server)
        for case in cases():
            for mode in MODES:
                found = list(faults(case, matrix.run(case, mode)))
                held[case] = held.get(case, 0) + (not found)
                complaints += (f"{case.name}, {mode}: {fault}" for fault in found)
        matrix.close()
    print(f"{'tool':26}{'killed':11}{'decided':9}{'runs':>5}  {'outcome':10}{'held':>5}")
    for case, modes in held.items():
        must = expected(case)
        tool = f"{case.effect} {case.answer and f'reconcile={case.answer}'}"
        print(
            f"{tool:26}{case.point:11}{case.decision or '-':9}{len(must.attempts):5}  "
            f"{must.outcome:10}{modes:3}/{len(MODES)}"
        )
    print(*complaints, sep="\n")
    print(f"{len(held) * len(MODES)} crashes taken up, {len(complaints)} faults")
    sys.exit(bool(complaints))


__all__: Sequence[str] = ("MODES", "Case", "Matrix", "cases", "expected", "faults")

if __name__ == "__main__":
    main()
