"""Write ``docs/decoders.md``: which check holds on how many recordings.

Run from the root: ``python -m tests.rust.decode_table``. Fails if a check does.
"""

from __future__ import annotations

from pathlib import Path

from tests.corpus import APIS, recordings
from tests.rust.decode_checks import CHECKS, outcome
from tests.rust.decode_reference import DEVIATIONS

HEAD = """\
# The decoders, held to recorded streams

Written by `python -m tests.rust.decode_table`; `tests/rust/test_decode_corpus.py` holds it true.

Each number counts recorded answers of real providers on which the check holds. Where the number is
smaller than that of the recordings, the check says nothing about the rest: they have no `[DONE]`
to leave out, or no event before the one that ends the answer.
"""

NOTES = """\

Cuts are at every event boundary and at 60 bytes per recording, at most 60 each, chosen by the
recording's name; chunks are cut at 40 places. "Interrupted" means: a failure of that kind, no
reason, and no tool call whose arguments are not complete.
"""


def table() -> str:
    """Return the file's text."""
    found = {protocol: recordings(protocol) for protocol in APIS}
    lines = [HEAD]
    names = [f"`{name}`" for name in APIS.values()]
    lines.append(f"| check | {' | '.join(names)} |")
    lines.append("| --- |" + " ---: |" * len(names))
    lines.append("| recordings | " + " | ".join(str(len(it)) for it in found.values()) + " |")
    for name in CHECKS:
        counts = [str(_count(protocol, name)) for protocol in found]
        lines.append(f"| {name} | {' | '.join(counts)} |")
    lines.append(NOTES)
    lines.append("Answers that differ from the reference, and why:\n")
    lines += [f"- {p}, `{name}`, {key}: {why}." for (p, name, key), why in DEVIATIONS.items()]
    return "\n".join(lines) + "\n"


def _count(protocol: str, check: str) -> int:
    applies, faults = outcome(protocol, check)
    assert not faults, faults
    return applies


if __name__ == "__main__":
    Path("docs/decoders.md").write_text(table(), encoding="utf-8")
