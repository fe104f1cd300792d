"""Runs the fuzz targets in ``rust/*/fuzz``, each for a while (``make fuzz``); says what they did.

``FUZZ_S`` is the time of each target in seconds, 25 if it is not given. ``run.py chat folder``
runs only those. Nothing needs to be installed: plain cargo builds the targets on the stable
toolchain, with the flags that libFuzzer wants; whoever has cargo-fuzz may use that instead
(``cargo fuzz run -s none --fuzz-dir rust/log/fuzz scan``). Seeds are the golden logs and the
recorded streams; corpus and findings lie below cargo's target folder and stay from run to run.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "fuzz"
RECORDED = Path(os.environ.get("TINYAGENT_CORPUS") or ROOT.parent / "shared" / "corpus")
SECONDS = int(os.environ.get("FUZZ_S") or 25)
SEED_BYTES_MAX = 4_096
FLAGS = (
    "--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1"
    " -Cllvm-args=-sanitizer-coverage-level=4"
    " -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
    " -Cllvm-args=-sanitizer-coverage-pc-table"
    " -Cllvm-args=-sanitizer-coverage-trace-compares"
)
STREAMS = {
    "chat": "openai-chat",
    "anthropic": "anthropic-messages",
    "responses": "openai-responses",
    "gemini": "gemini",
}


@dataclass(frozen=True)
class Target:
    """One fuzz target: its name, and the crate that it is for."""

    name: str
    crate: str


def targets() -> list[Target]:
    """Return all targets, as the manifests name them."""
    found: list[Target] = []
    for manifest in sorted(ROOT.glob("rust/*/fuzz/Cargo.toml")):
        bins = tomllib.loads(manifest.read_text(encoding="utf-8"))["bin"]
        found += [Target(each["name"], manifest.parts[-3]) for each in bins]
    return found


def host() -> str:
    """Return the triple of this machine: with it given, build scripts are left uninstrumented."""
    said = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    return said.partition("host: ")[2].split()[0]


def build(crate: str) -> None:
    """Build all targets of *crate*."""
    manifest = ROOT / "rust" / crate / "fuzz" / "Cargo.toml"
    command = ["cargo", "build", "--quiet", "--release", "--locked", "--target", host()]
    command += ["--manifest-path", str(manifest), "--target-dir", str(TARGET)]
    subprocess.run(command, check=True, env={**os.environ, "RUSTFLAGS": FLAGS})


def pieces(stream: bytes) -> Iterator[bytes]:
    """Yield the beginning and the end of a stream, cut between events."""
    if len(stream) <= SEED_BYTES_MAX:
        yield stream
        return
    head, tail = stream[:SEED_BYTES_MAX], stream[-SEED_BYTES_MAX:]
    yield head[: head.rfind(b"\n\n") + 2] or head
    yield tail[tail.find(b"\n\n") + 2 :]


def seeds(target: Target) -> Iterator[bytes]:
    """Yield what *target* starts from."""
    if target.name in STREAMS:
        for path in sorted(RECORDED.glob(f"{STREAMS[target.name]}/*/*.sse")):
            yield from pieces(path.read_bytes())
    elif target.crate == "log":
        for path in sorted((ROOT / "replays").glob("*.jsonl")):
            yield path.read_bytes()


def run(target: Target, binary: Path) -> bool:
    """Run *target*; return whether it found nothing."""
    corpus = TARGET / "corpus" / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in seeds(target):
        (corpus / hashlib.sha256(seed).hexdigest()).write_bytes(seed)
    limits = ["-timeout=25", "-rss_limit_mb=2048", f"-max_len={2 * SEED_BYTES_MAX}"]
    findings = f"{TARGET / 'found'}/{target.name}-"
    Path(findings).parent.mkdir(exist_ok=True)
    command = [str(binary), *limits, f"-max_total_time={SECONDS}", "-print_final_stats=1"]
    command += [f"-artifact_prefix={findings}", str(corpus)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    count = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    covered = re.findall(r"cov: (\d+)", done.stderr)
    executed = int(count[1]) if count else 0
    print(
        f"fuzz: {target.name:<10} {executed:>9,} executions in {SECONDS} s,"
        f" {covered[-1] if covered else 0:>5} places covered",
        flush=True,
    )
    if done.returncode == 0 and executed > 0:
        return True
    print(done.stderr[-4_000:])
    finding = re.search(r"Test unit written to (\S+)", done.stderr)
    print(f"FAILED {target.name}\n  reproduce: {binary} {finding[1] if finding else corpus}")
    return False


def main() -> int:
    """Build and run the targets named, or all."""
    known = targets()
    wanted = sys.argv[1:] or [target.name for target in known]
    if unknown := set(wanted) - {target.name for target in known}:
        print(f"no targets: {', '.join(sorted(unknown))}; there are {[t.name for t in known]}")
        return 2
    chosen = [target for target in known if target.name in wanted]
    for crate in sorted({target.crate for target in chosen}):
        build(crate)
    folder = TARGET / host() / "release"
    outcomes = [run(target, folder / target.name) for target in chosen]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
