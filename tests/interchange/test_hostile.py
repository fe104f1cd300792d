"""Whatever a file says in the place of what it should say: a log comes of it, or a refusal."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tinyagent.interchange import import_
from tinyagent.runtime.errors import ForeignFormatError

HERE = Path(__file__).parent
WRONG: tuple[Any, ...] = (None, 7, -1.5, True, "", "text", [], [3], {}, {"type": "text"}, [[]])

EVERY = 5
"""Of some thousand spoiled files; prime to the number of wrong values: each has its turn."""


def spoiled(value: Any) -> Iterator[Any]:
    """Yield *value* with each part of it replaced by each wrong one, or taken away."""
    for path in paths(value):
        for wrong in WRONG:
            whole = copy.deepcopy(value)
            holder = whole
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = wrong
            yield whole
        whole = copy.deepcopy(value)
        holder = whole
        for step in path[:-1]:
            holder = holder[step]
        del holder[path[-1]]
        yield whole


def paths(value: Any) -> Iterator[tuple[Any, ...]]:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for name, inner in items:
        yield (name,)
        yield from ((name, *path) for path in paths(inner))


FILES = sorted(path.name for path in HERE.iterdir() if path.suffix in (".json", ".jsonl"))


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_any_value_wrong_is_a_log_or_refused(name: str) -> None:
    text = (HERE / name).read_text("utf-8")
    is_lines = name.endswith(".jsonl")
    value = [json.loads(line) for line in text.splitlines()] if is_lines else json.loads(text)
    logs = refused = 0
    for wrong in islice(spoiled(value), 0, None, EVERY):
        body = "\n".join(map(json.dumps, wrong)) if is_lines else json.dumps(wrong)
        try:
            (found,) = import_(body.encode(), name.partition(".")[0])
        except ForeignFormatError:
            refused += 1
            continue
        for recording in found.recordings:
            assert recording.open_work == ()
            assert recording.messages is not None
        logs += 1
    assert logs > 5 * refused
