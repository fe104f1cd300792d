"""``tinyagent import FILE...``: sessions of other programs as logs, known to be imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tinyagent.cli import refs
from tinyagent.cli.answers import Import
from tinyagent.cli.options import COMMON, Common
from tinyagent.cli.parts import ImportedLog
from tinyagent.cli.refs import RefError
from tinyagent.cli.render import Line, answer, bold, dim, emit, line
from tinyagent.cli.summary import counted
from tinyagent.interchange import Imported, import_
from tinyagent.runtime.errors import LogNotFoundError


def run(
    *files: Annotated[
        str, Parameter(name="FILE", allow_leading_hyphen=True, help="`-`: standard input")
    ],
    form: Annotated[
        str, Parameter(name="--from", help="auto, or the name of a format; default: auto")
    ] = "auto",
    into: Annotated[
        Path | None, Parameter(help="the folder of the log; else named as the file, in --dir")
    ] = None,
    common: Common = COMMON,
) -> int:
    """Write a log for each session in the files, say what was not understood, and return 0."""
    if not files:
        raise RefError("import what? say FILE, or - for standard input")
    if into is not None and len(files) > 1:
        raise RefError("--into is for one file")
    logs: list[ImportedLog] = []
    for file in files:
        to = into or _free(refs.folder(common.dir), "stdin" if file == "-" else Path(file).stem)
        logs.extend(plain(one) for one in _read(file, form, to))
    if common.json:
        answer(Import(logs=logs))
    else:
        emit((text for log in logs for text in told(log)), color=common.color, whole=True)
    return 0


def _read(file: str, form: str, to: Path) -> list[Imported]:
    source = sys.stdin.buffer.read() if file == "-" else Path(file)
    try:
        return import_(source, form, to)
    except OSError as error:
        raise LogNotFoundError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise RefError(str(error)) from error


def _free(folder: Path, stem: str) -> Path:
    number = 1
    while (place := folder / (stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return place


def plain(one: Imported) -> ImportedLog:
    """Return as JSON what became of one source."""
    first, *others = one.recordings
    return ImportedLog(
        log=first.meta.log,
        where=first.where,
        format=one.format,
        records=len(first.records),
        branches=[str(other.where) for other in others],
        foreign=one.foreign,
        replays=first.meta.origin is None,
    )


def told(log: ImportedLog) -> Iterator[Line]:
    """Yield what became of one source, and what can be done with it."""
    count = sum(log.foreign.values())
    kept = f", {count:,} not understood and kept" if count else ""
    can = "Show, diff, export, fork: yes. Replay: " + ("yes." if log.replays else "no.")
    start = f"  from {log.format}, {counted(log.records, 'record')}{kept}; in {log.where}. "
    yield line(bold(log.log[:6]), start, dim(can))
    for branch in log.branches:
        yield line(dim(f"        a branch of it: {branch}"))
    for name, many in log.foreign.items():
        yield line(dim(f"        {many:,} × {name or 'without a name'}"))
