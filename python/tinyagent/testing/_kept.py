"""What is kept of a test that failed: transcripts in its report, pages and logs in folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tinyagent.runtime.log import write_packed
from tinyagent.runtime.stores import Log
from tinyagent.testing._recorded import file_name
from tinyagent.testing.texts import transcript
from tinyagent.verbs import load


def sections(
    logs: Sequence[Log], test: str, *, html: str | None, keep: str | None
) -> Iterator[tuple[str, str]]:
    """Yield sections of the report of *test*; write its *logs* into the folders that are given."""
    for number, log in enumerate(logs, 1):
        name = file_name(test) + (f"-{number}" if len(logs) > 1 else "")
        yield "tinyagent transcript", transcript(log)
        if html is not None:
            from tinyagent.viewer import to_html

            path = _place(html, f"{name}.html")
            path.write_bytes(to_html(load(log)))
            yield "tinyagent page", str(path)
        if keep is not None:
            path = _place(keep, f"{name}.jsonl")
            write_packed(log, path)
            yield "tinyagent log", str(path)


def _place(folder: str, name: str) -> Path:
    """Return a place in *folder* where nothing is."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = Path(folder, name)
    path.unlink(missing_ok=True)
    return path
