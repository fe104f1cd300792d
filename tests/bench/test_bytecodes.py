"""The byte codes of a run: a tool for ourselves, whose figures must mean something."""

from __future__ import annotations

import asyncio

from tests.bench.bytecodes import codes_of, codes_of_restore, table
from tests.bench.peers import provider


def test_the_byte_codes_of_a_run_are_much_the_same_in_every_press() -> None:
    with provider() as (url, _):
        first, second = (asyncio.run(codes_of("tools-2", url)) for _ in range(2))
    assert first.total() > 10_000
    assert abs(first.total() / second.total() - 1) < 0.1
    rows = table(first, 3, is_by_function=True).splitlines()
    assert rows[0].split() == [f"{first.total():,}", f"{first.total() // 3:,}", "all"]
    assert any("tinyagent/runtime/journal.py:Journal.append" in row for row in rows)


def test_those_of_a_restore_grow_with_the_log() -> None:
    few, many = (codes_of_restore(records).total() for records in (200, 400))
    assert 1.2 < many / few < 2
