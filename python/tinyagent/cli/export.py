"""``tinyagent export REF --to FORMAT``: a log as a page, as text, as what other programs read."""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tinyagent.cli import refs
from tinyagent.cli.answers import Export
from tinyagent.cli.options import COMMON, Common, Keys, Ref
from tinyagent.cli.reading import load
from tinyagent.cli.refs import RefError
from tinyagent.cli.render import Line, answer, bad, bold, dim, emit, line, safe
from tinyagent.cli.summary import counted
from tinyagent.cli.unmasked import unmasked
from tinyagent.interchange import EXPORTERS, Exported, exported, exporter

MASK = b"\xc2\xabsecret:"
OPTIONS = {
    "with_deltas": "--with-deltas",
    "content": "--[no-]content",
    "last": "--last",
    "thinking": "--no-thinking",
    "failed": "--failed",
}


def run(
    ref: Ref = "last",
    /,
    *,
    to: Annotated[str, Parameter(help="html, md, jsonl, atif, pi, openai-chat, sharegpt or otel")],
    output: Annotated[
        Path | None, Parameter(name=["-o", "--output"], help="a file; else standard output")
    ] = None,
    with_deltas: Annotated[bool, Parameter(help="html: each delta for itself")] = False,
    no_content: Annotated[bool, Parameter(help="html: names and sizes, no texts")] = False,
    content: Annotated[bool, Parameter(help="otel: with texts")] = False,
    last: Annotated[int | None, Parameter(help="html: so many model calls at the end")] = None,
    no_thinking: Annotated[bool, Parameter(help="md: without what was thought")] = False,
    failed: Annotated[
        bool, Parameter(help="openai-chat, sharegpt: with calls that failed")
    ] = False,
    keys: Keys = None,
    common: Common = COMMON,
) -> int:
    """Write the log in another format, and say what that cannot hold; return 0."""
    if common.json and output is None:
        raise RefError("--json tells of a file: say -o FILE")
    asked: dict[str, Any] = {
        "with_deltas": with_deltas or None,
        "content": False if no_content else content or None,
        "last": last,
        "thinking": False if no_thinking else None,
        "failed": failed or None,
    }
    options = {name: value for name, value in asked.items() if value is not None}
    recording = load(refs.resolve(ref, common.dir), keys)
    _check(to, options)
    made = exported(recording, to, **options)
    has_texts = content if to == "otel" else not no_content
    tokens = unmasked(recording.records if has_texts else ())
    if output is None:
        if tokens.texts:
            print(f"{safe(recording.where)}: {tokens}", file=sys.stderr)
        _print(made, common)
        return 0
    beside = _write_all(output, made)
    told = Export(
        log=recording.meta.log,
        where=recording.where,
        format=to,
        to=str(output),
        bytes=len(made.body),
        records=len(recording.records),
        beside=list(map(str, beside)),
        left_out=made.left_out,
        masked=sum(record.payload.count(MASK) for record in recording.records),
        unmasked=tokens.texts,
    )
    if common.json:
        answer(told)
    else:
        lines = worded(told, is_full=not no_content)
        lines += [line(bad(f"  {tokens}"))] if tokens.texts else []
        emit(lines, color=common.color, whole=True)
    return 0


def _write_all(output: Path, made: Exported) -> list[Path]:
    """Write what was *made*; return the files beside *output*."""
    files = {output: made.body}
    for name, body in made.beside.items():
        files[output.parent / name.replace("*", output.stem)] = body
    for path, body in reversed(files.items()):  # first what the others refer to
        _write(path, body)
    return [path for path in files if path != output]


def _write(path: Path, body: bytes) -> None:
    """Write the file *path*: whole, or not at all. A pipe, or a device, is written to as it is.

    Raises:
        OSError: the system said no.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        path.write_bytes(body)
        return
    path = path.resolve()
    half = path.with_name(f".tinyagent-{os.getpid()}.tmp")
    try:
        half.write_bytes(body)
        half.replace(path)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


def _check(to: str, options: dict[str, Any]) -> None:
    """Raise unless the format *to* is there and has these options.

    Raises:
        RefError: it has not.
    """
    if to not in EXPORTERS:
        raise RefError(f"--to {to}: formats are {', '.join(sorted(EXPORTERS))}")
    taken = inspect.signature(exporter(to)).parameters
    for option in options:
        if option not in taken:
            raise RefError(f"--to {to} takes no {OPTIONS[option]}")


def worded(told: Export, *, is_full: bool) -> list[Line]:
    """Return what was written, and what is not in it."""
    kilobytes = max(told.bytes // 1000, 1)
    parts = [f"  {kilobytes:,} KB, {counted(told.records, 'record')}"]
    if told.beside:
        parts.append(f", {counted(len(told.beside), 'large value')} beside it")
    if told.masked:
        parts.append(f", {counted(told.masked, 'value')} masked when recorded")
    lines = [line(bold(told.to), "".join(parts))]
    if told.left_out:
        left = ", ".join(f"{many:,} {name}" for name, many in told.left_out.items())
        lines.append(line(f"  not in it, for the format cannot hold it: {left}"))
    if is_full and told.format not in ("otel",):
        lines.append(line(dim("  Holds the full conversation: guard it like the log.")))
    return lines


def _print(made: Exported, common: Common) -> None:
    """Print the body: bytes as they are into a pipe, as text that is shown on a terminal."""
    if made.beside:
        raise RefError(f"large values ({len(made.beside)}) go beside it: say -o FILE")
    if sys.stdout.isatty():
        emit(made.body.decode("utf-8", "replace").splitlines(), color=common.color, pager=True)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(made.body)
        sys.stdout.buffer.flush()
