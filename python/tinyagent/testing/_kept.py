"""What is kept of a test that failed: transcripts in its report, pages and logs in folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tinyagent.runtime.errors import LogError
from tinyagent.runtime.log import write_packed
from tinyagent.runtime.stores import Log
from tinyagent.testing._recorded import file_name
from tinyagent.testing.texts import transcript
from tinyagent.verbs import load


def sections(
    logs: Sequence[Log], test: str, *, html: str | None, keep: str | None
) -> Iterator[tuple[str, str]]:
    """Yield sections of the report of *test*; write its *logs* into the folders that are given.

    A folder that takes nothing is said there: the test's own failure is what the report is for.
    """
    for number, log in enumerate(logs, 1):
        name = file_name(test) + (f"-{number}" if len(logs) > 1 else "")
        yield "tinyagent transcript", transcript(log)
        if html is not None:
            yield "tinyagent page", _written(_page, log, html, f"{name}.html")
        if keep is not None:
            yield "tinyagent log", _written(write_packed, log, keep, f"{name}.jsonl")


def _page(log: Log, path: Path) -> None:
    from tinyagent.viewer import to_html

    path.write_bytes(to_html(load(log)))


def _written(write: Callable[[Log, Path], None], log: Log, folder: str, name: str) -> str:
    """Let *log* be written to a file in *folder*, in the place of an older one; return where."""
    path = Path(folder, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        write(log, path)
    except (OSError, LogError) as error:
        return f"not written: {error}"
    return str(path)
