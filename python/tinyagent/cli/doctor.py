"""``tinyagent doctor``: whether what is installed fits together, and whether logs are safe."""

from __future__ import annotations

import os
import platform
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from tinyagent._version import VERSION
from tinyagent.cli import REINSTALL, refs
from tinyagent.cli.answers import Doctor
from tinyagent.cli.options import COMMON, Common
from tinyagent.cli.parts import Checked, Verdict
from tinyagent.cli.render import Line, answer, bad, dim, emit, good, line
from tinyagent.cli.unmasked import Unmasked, unmasked
from tinyagent.cli.verify import of_database, verdict_on
from tinyagent.runtime.errors import LogError, LogNotFoundError
from tinyagent.runtime.stores.sqlite_checks import wrong_in
from tinyagent.runtime.stores.sqlite_tables import SCHEME, rows_in
from tinyagent.verbs import load

Look = Callable[[], tuple[Verdict, Unmasked]]
EXTRAS = {
    "cli": ("cyclopts", "rich"),
    "testing": ("pytest", "syrupy", "hypothesis"),
    "otel": ("opentelemetry",),
    "mcp": ("mcp",),
    "crypto": ("cryptography",),
}
"""What each brings, by the name under which it is imported."""


def run(*, common: Common = COMMON) -> int:
    """Print what was looked at; return 1 if a person should do something."""
    checks = list(looked_at(refs.folder(common.dir)))
    is_well = all(check.ok for check in checks)
    if common.json:
        answer(Doctor(ok=is_well, checks=checks))
    else:
        emit(map(told, checks), color=common.color, whole=True)
    return int(not is_well)


def told(check: Checked) -> Line:
    """Return *check* as a line."""
    return line(good("✓ ") if check.ok else bad("! "), dim(f"{check.name:10} "), check.found)


def looked_at(folder: Path) -> Iterator[Checked]:
    """Yield what there is to say of the installation and of the logs in *folder*."""
    yield _owners()
    yield Checked(
        name="python",
        ok=sys.version_info >= (3, 11),
        found=f"{platform.python_implementation()} {platform.python_version()}",
    )
    extension = _extension()
    yield extension
    there = [name for name, needs in EXTRAS.items() if all(map(find_spec, needs))]
    yield Checked(name="extras", ok=True, found=", ".join(there))
    yield _live()
    if sys.modules.get("tinyagent._alchemy"):  # without it no log can be read
        yield from _logs(folder)


def _owners() -> Checked:
    """Tell which distributions installed the package: two overwrite each other silently."""
    owners = sorted(set(metadata.packages_distributions().get("tinyagent", ())))
    if len(owners) > 1:
        told = f"{len(owners)} owners of `tinyagent`: {', '.join(owners)}; uninstall all but one"
        return Checked(name="package", ok=False, found=told)
    name = owners[0] if owners else "tinyagent, not installed: run from its sources"
    return Checked(name="package", ok=True, found=f"{name} {VERSION}")


def _extension() -> Checked:
    try:
        import tinyagent._alchemy as _alchemy
    except ImportError as error:
        told = f"{error}; {REINSTALL}"
        return Checked(name="extension", ok=False, found=told)
    is_same = _alchemy.__version__ == VERSION
    told = "same version" if is_same else f"{_alchemy.__version__}: build it again"
    return Checked(name="extension", ok=is_same, found=told)


def _live() -> Checked:
    is_forbidden = os.environ.get("TINYAGENT_LIVE") == "0"
    told = "forbidden by TINYAGENT_LIVE=0" if is_forbidden else "allowed, after asking"
    return Checked(name="live runs", ok=True, found=told)


def _logs(folder: Path) -> Iterator[Checked]:
    if not folder.is_dir():
        yield Checked(name="logs", ok=True, found=f"{folder}: none yet")
        return
    mode = stat.S_IMODE(folder.stat().st_mode)
    is_private = os.name == "nt" or not mode & 0o077
    told = f"{folder}/ {mode:04o}"
    advice = "" if is_private else f"; others can look into it: chmod 700 {folder}"
    yield Checked(name="folder", ok=is_private, found=told + advice)
    formats: set[int] = set()
    count = 0
    unreadable: dict[str, str] = {}
    for place, written_as, look in _looks(folder, unreadable):
        try:
            found, tokens = look()
        except LogError as error:
            unreadable[place] = f"{type(error).__name__}: {error}"
            continue
        count += 1
        formats.add(written_as)
        if found.is_bad or found.verdict == "torn":
            told = f"{place}: {found.verdict}, {found.message}"
            yield Checked(name="log", ok=not found.is_bad, found=told)
        if tokens.texts:
            yield Checked(name="log", ok=False, found=f"{place}: {tokens}")
    for place, why in unreadable.items():
        yield Checked(name="log", ok=False, found=f"{place}: {why}")
    formats.discard(0)  # of a log without a header
    written = f", format {', '.join(map(str, sorted(formats)))}" if formats else ""
    yield Checked(name="logs", ok=True, found=f"{count:,} readable{written}")


def _looks(folder: Path, unreadable: dict[str, str]) -> Iterator[tuple[str, int, Look]]:
    """Yield every log in *folder*, its format, and what looks at it; in databases, too."""
    for path, header in refs.headers(folder, unreadable):
        yield str(path), header.tinyagent_log, partial(_verified, path)
    for path in refs.databases(folder):
        try:
            logs = [row for row in rows_in(path).values() if row.epoch]  # the others are mirrors
            wrong = list(wrong_in(path))
        except LogNotFoundError:
            continue  # of another program
        except LogError as error:
            unreadable[str(path)] = f"{type(error).__name__}: {error}"
            continue
        names = Counter(row.meta.name for row in logs)
        for row in logs:
            name = row.meta.name if names[row.meta.name] == 1 else None
            address = f"{SCHEME}{path}#{name or row.meta.log}"
            yield address, row.meta.format, partial(_in_database, address, wrong)


def _in_database(address: str, wrong: list[str]) -> tuple[Verdict, Unmasked]:
    found, recording = of_database(address, wrong, is_deep=False)
    return found, unmasked(recording.records if recording is not None else ())


def _verified(path: Path) -> tuple[Verdict, Unmasked]:
    """Return what there is to say of the log at *path*, which is read once if all is well.

    Raises:
        LogError: it cannot be read, and why in full.
    """
    found = load(path)
    tokens = unmasked(found.records)
    if found.damage is not None or found.meta.level != "crc":
        return verdict_on(path, is_deep=False), tokens
    return Verdict(path=str(path), verdict="ok", message=""), tokens
