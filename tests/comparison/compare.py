"""Crash, damage and storage: the same job given to named versions of peers, and to this library.

    python tests/comparison/compare.py [--only NAME,NAME] [--write]

Each peer gets an environment of its own below ``target/peers`` (made once, from the package
index). What is counted, is counted outside of the peer: effects are lines of a file, model calls
are requests at the provider, bytes are those of the files that it leaves.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.comparison.provider import Provider, provider

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "comparison.md"
OURS = "tinyagent"
RUN_S_MAX = 300
QUIET = {"LANGSMITH_TRACING": "false", "OTEL_SDK_DISABLED": "true", "PYTHONWARNINGS": "ignore"}
PEERS: dict[str, tuple[str, ...]] = {
    OURS: (),
    "langgraph": (
        "langgraph==1.2.24",
        "langchain==1.5.2",
        "langchain-openai==1.7.4",
        "langgraph-checkpoint-sqlite==3.1.2",
    ),
    "openai_agents": ("openai-agents==0.24.0",),
    "pydantic_ai": ("pydantic-ai-slim[openai]==2.68.0",),
    "adk": ("google-adk==2.13.0", "litellm==1.110.2"),
}
TEXT = b"Invoice sent."  # a tool's result, as every store has it somewhere
CUT_BYTES = 100


class Said(NamedTuple):
    """What a peer's process printed, by its name before the colon; ``failed``: how it ended."""

    told: dict[str, str]
    failed: str = ""


class Crash(NamedTuple):
    """A process that died in the tool, and the one after it."""

    effects: int
    paid: int
    paid_again: int
    said: Said


class Damage(NamedTuple):
    """A session of which a part was changed, and what can still be read: ``results`` as given."""

    noticed: str
    messages: int = 0
    results: int = 0


class Storage(NamedTuple):
    """A conversation of 100 model calls. ``payload``: its messages once, as compact JSON."""

    bytes: int
    payload: int
    messages: int


class Peer:
    """One that is compared, in its environment."""

    def __init__(self, name: str, python: str | Path) -> None:
        self.name = name
        self._python = str(python)
        [self._program] = (HERE / "peers").glob(f"{name}*.py")

    def do(self, what: str, folder: Path, url: str, die: str = "") -> Said:
        """Let it do *what*; one that should die and does not is a fault of the comparison."""
        paths = [str(HERE / "peers"), *filter(None, [os.environ.get("PYTHONPATH")])]
        ended = subprocess.run(
            [self._python, str(self._program), what, str(folder), url],
            env={**os.environ, **QUIET, "DIE": die, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            timeout=RUN_S_MAX,
            check=False,
        )
        if die and ended.returncode != -9:
            raise RuntimeError(f"{self.name} did not die in its tool:\n{ended.stderr}")
        lines = [line.partition(": ") for line in ended.stdout.splitlines()]
        return Said(
            {name: value for name, _, value in lines},
            _complaint(ended.stderr) if ended.returncode else "",
        )

    def crash(self, die: str) -> Crash:
        """Kill it in its tool, *before* or *after* the effect, and let it go on."""
        with workplace() as (folder, model):
            self.do("run", folder, model.url, die)
            paid = len(model.requests)
            said = self.do("resume", folder, model.url)
            effects = folder / "effects"
            seen = len(effects.read_text().splitlines()) if effects.exists() else 0
            return Crash(seen, paid, len(model.requests) - paid, said)

    def long(self) -> tuple[Storage, Damage, Damage]:
        """Let it hold a conversation; then flip a bit of it, and cut its end off."""
        with workplace() as (folder, model):
            if failed := self.do("long", folder, model.url).failed:
                raise RuntimeError(f"{self.name}: {failed}")
            messages = model.requests[-1]["messages"]
            payload = len(json.dumps(messages, separators=(",", ":")).encode())
            files = [each for each in folder.rglob("*") if each.is_file()]
            size = sum(each.stat().st_size for each in files if each.name != "effects")
            read = self.do("read", folder, model.url)
            storage = Storage(size, payload, int(read.told["messages"]))
            store = max(files, key=lambda each: each.stat().st_size)
            whole = store.read_bytes()
            flipped = bytearray(whole)
            flipped[whole.rindex(TEXT)] ^= 1
            found = []
            for damaged in (flipped, whole[:-CUT_BYTES]):
                store.write_bytes(damaged)
                found.append(_damage(self.do("read", folder, model.url)))
            return storage, found[0], found[1]


def _complaint(stderr: str) -> str:
    """Return the last line that names an error, without its module."""
    named = re.findall(r"^(?:\w+\.)*(\w*Error\b.*)$", stderr, re.MULTILINE)
    return named[-1] if named else "an end without a word"


def _damage(said: Said) -> Damage:
    if said.failed:
        return Damage(said.failed)
    told = said.told
    return Damage(told.get("noticed", "nothing"), int(told["messages"]), int(told["results"]))


@contextmanager
def workplace() -> Generator[tuple[Path, Provider]]:
    """An empty folder and a provider that nobody has asked anything yet."""
    with tempfile.TemporaryDirectory() as folder, provider() as model:
        yield Path(folder), model


def environment(name: str) -> Path | str:
    """Return the Python that has the peer *name*, made if it is not there."""
    if name == OURS:
        return sys.executable
    place = ROOT / "target" / "peers" / name
    python = place / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        subprocess.run([*install, *PEERS[name]], check=True)
    return python


class Row(NamedTuple):
    """A peer, and what came of it."""

    name: str
    before: Crash
    after: Crash
    storage: Storage
    flipped: Damage
    cut: Damage


def row(name: str) -> Row:
    """Compare the peer *name*."""
    peer = Peer(name, environment(name))
    return Row(name, peer.crash("before"), peer.crash("after"), *peer.long())


def _crash_cell(crash: Crash) -> str:
    told = "; ".join(f"{name} {value}" for name, value in crash.said.told.items() if value)
    return f"{crash.effects} | {crash.paid} + {crash.paid_again} | {crash.said.failed or told}"


def _damage_cell(damage: Damage) -> str:
    noticed = damage.noticed[:50].replace("|", "/")
    return f"{noticed} | {damage.messages} | {damage.results}"


def table(rows: Sequence[Row]) -> str:
    """Return the three tables."""
    lines = [
        "| killed inside the tool | effects | model calls, before + after | then |",
        "| --- | --- | --- | --- |",
        *(
            f"| {row.name}, {when} its effect | {_crash_cell(crash)} |"
            for row in rows
            for when, crash in (("before", row.before), ("after", row.after))
        ),
        "",
        "| 100 model calls | messages | bytes of the conversation | bytes kept | times |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {row.name} | {size.messages} | {size.payload:,} | {size.bytes:,} |"
            f" {size.bytes / size.payload:.2f} |"
            for row, size in ((row, row.storage) for row in rows)
        ),
        "",
        "| the same session, damaged | what its reader says | messages | results as given |",
        "| --- | --- | --- | --- |",
        *(
            f"| {row.name}, {what} | {_damage_cell(damage)} |"
            for row in rows
            for what, damage in (
                ("one bit of a tool's result flipped", row.flipped),
                (f"the last {CUT_BYTES} bytes of its file missing", row.cut),
            )
        ),
    ]
    return "\n".join(lines)


BEGIN, END = "<!-- measured -->", "<!-- end -->"


def main() -> None:
    """Compare, print, and write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", help="names with commas between them")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.relative_to(ROOT)}")
    asked = parser.parse_args()
    names = asked.only.split(",") if asked.only else list(PEERS)
    measured = table([row(name) for name in names])
    print(measured)
    if asked.write:
        head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        _, _, tail = rest.partition(END)
        PAGE.write_text(f"{head}{BEGIN}\n\n{measured}\n\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
