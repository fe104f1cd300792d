"""Logs to other formats and back: one module per format, imported when it is used.

An exporter is ``(recording, **options) -> Exported`` (or bytes, or text) and deterministic: the
same log gives the same bytes. An importer is ``(source) -> list[LoadedLog]``; its module tells by
``is_mine(body)`` whether something is of its format. Importers from elsewhere are entry points of
the group ``tinyagent.importers``, named as their format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from tinyagent.events import kinds as k
from tinyagent.interchange.writing import places, write
from tinyagent.recording import Recording
from tinyagent.runtime.errors import ForeignFormatError
from tinyagent.runtime.load import LoadedLog
from tinyagent.runtime.stores import Log, as_record
from tinyagent.verbs import load

EXPORTERS: dict[str, str] = {
    "atif": "tinyagent.interchange.atif_export:export",
    "html": "tinyagent.viewer:to_html",
    "jsonl": "tinyagent.interchange.own:export",
    "md": "tinyagent.interchange.markdown:export",
    "openai-chat": "tinyagent.interchange.openai_chat:export",
    "otel": "tinyagent.interchange.otlp:export",
    "pi": "tinyagent.interchange.pi_export:export",
    "sharegpt": "tinyagent.interchange.sharegpt:export",
}
"""Format to ``module:function``."""
IMPORTERS: dict[str, str] = {
    "jsonl": "tinyagent.interchange.own:read",
    "pi": "tinyagent.interchange.pi:read",
    "atif": "tinyagent.interchange.atif:read",
    "codex": "tinyagent.interchange.codex:read",
    "claude-code": "tinyagent.interchange.claude_code:read",
    "langgraph": "tinyagent.interchange.langgraph:read",
    "openai-agents": "tinyagent.interchange.openai_agents:read",
}
"""The same; in the order in which ``auto`` tries them."""
GROUP = "tinyagent.importers"


class Exported(msgspec.Struct, frozen=True):
    """What an exporter made of a log.

    Attributes:
        left_out: what the format cannot hold, counted by its name.
        beside: files that belong to ``body``, by their path relative to it, where ``*`` stands
            for its name without the suffix.
    """

    body: bytes
    left_out: dict[str, int] = {}
    beside: dict[str, bytes] = {}


class Source(msgspec.Struct, frozen=True):
    """What is to be imported. ``path``: where it lies, if it is a file."""

    body: bytes
    path: Path | None = None

    @property
    def name(self) -> str:
        """Its path, for messages."""
        return str(self.path) if self.path is not None else "(bytes)"


class Imported(msgspec.Struct, frozen=True):
    """What became of one source: a log, and one more for each branch of a session with several.

    Attributes:
        format: as what it was read. logs: what it became; the first is the parent of the others.
    """

    format: str
    logs: tuple[LoadedLog, ...]

    @property
    def recordings(self) -> list[Recording]:
        """The logs, read."""
        return [Recording(log.where, log.meta, log.records, log.damage) for log in self.logs]

    @property
    def foreign(self) -> dict[str, int]:
        """How many records were not understood and kept, by the names that they have there."""
        found: Counter[str] = Counter()
        for log in self.logs:
            for stored in log.records:
                if stored.seq >= log.base and stored.kind == k.Foreign.kind:
                    event = as_record(stored).event
                    found[event.what if isinstance(event, k.Foreign) else ""] += 1
        return dict(sorted(found.items()))


def export(recording: Recording | str | Path | Log, to: str, **options: Any) -> bytes:
    """Return *recording* in the format *to*.

    Raises:
        ValueError: there is no such format, or the log does not fit into one file (see
            ``exported``). LogError: the log cannot be read.
    """
    made = exported(recording, to, **options)
    if made.beside:
        raise ValueError(
            f"{len(made.beside)} large values of the log lie in files of their own; use exported()"
        )
    return made.body


def exported(recording: Recording | str | Path | Log, to: str, **options: Any) -> Exported:
    """Return *recording* in the format *to*, and what that format cannot hold.

    Raises:
        ValueError: there is no such format. LogError: the log cannot be read.
    """
    found = recording if isinstance(recording, Recording) else load(recording)
    made = exporter(to)(found, **options)
    if isinstance(made, Exported):
        return made
    return Exported(made.encode() if isinstance(made, str) else made)


def exporter(to: str) -> Callable[..., Any]:
    """Return who makes the format *to*: its options are parameters.

    Raises:
        ValueError: there is no such format.
    """
    return _function(EXPORTERS, to, "exported to")


def import_(
    source: bytes | str | Path | Sequence[str | Path],
    from_: str = "auto",
    into: str | Path | None = None,
) -> list[Imported]:
    """Read sessions of other programs, and write them as logs that are known to be imported.

    Args:
        source: the bytes of one file, or the path of one or several.
        from_: their format; ``auto`` finds out.
        into: a folder to make for the log; what is more than one goes beside it, ``into-2`` and
            so on. Without it the logs are in memory.

    Raises:
        ForeignFormatError: a source is not of that format. ValueError: there is no such format,
            or a folder that is to be made is there. OSError: a file cannot be read.
    """
    found: list[Imported] = []
    for one in _sources(source):
        name = _guessed(one) if from_ == "auto" else from_
        read = _function(IMPORTERS, name, "imported from")
        found.append(Imported(name, tuple(read(one))))
    if into is None:
        return found
    named = places(Path(into), sum(len(each.logs) for each in found))
    return [
        msgspec.structs.replace(each, logs=tuple(write(log, next(named)) for log in each.logs))
        for each in found
    ]


def _sources(source: bytes | str | Path | Sequence[str | Path]) -> list[Source]:
    if isinstance(source, bytes | bytearray):
        return [Source(bytes(source))]
    paths = [source] if isinstance(source, str | Path) else source
    return [Source(Path(path).read_bytes(), Path(path)) for path in paths]


def _guessed(source: Source) -> str:
    for name, where in IMPORTERS.items():
        module = import_module(where.partition(":")[0])
        if module.is_mine(source.body):
            return name
    known = ", ".join(IMPORTERS)
    raise ForeignFormatError(f"{source.name}: of no format that is known ({known}); say which")


def _function(table: dict[str, str], name: str, verb: str) -> Callable[..., Any]:
    if name in table:
        module, _, function = table[name].partition(":")
        found: Callable[..., Any] = getattr(import_module(module), function)
        return found
    if table is IMPORTERS:
        from importlib.metadata import entry_points

        for point in entry_points(group=GROUP, name=name):
            loaded: Callable[..., Any] = point.load()
            return loaded
    raise ValueError(f"nothing can be {verb} {name!r}; formats: {', '.join(sorted(table))}")
