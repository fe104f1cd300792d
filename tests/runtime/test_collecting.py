"""When the interpreter looks for cycles."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bench.restore import build, fill, opened

from tinyagent.runtime.collecting import uncollected


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    was_collecting, before = gc.isenabled(), gc.get_threshold()
    gc.enable()
    yield
    gc.set_threshold(*before)
    (gc.enable if was_collecting else gc.disable)()


def test_what_raises_leaves_the_collector_on() -> None:
    with pytest.raises(ValueError, match="no"), uncollected():
        raise ValueError("no" if not gc.isenabled() else "it is on")
    assert gc.isenabled()


def test_whoever_turned_the_collector_off_finds_it_off() -> None:
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()


def test_nothing_is_collected_while_a_log_is_taken_up(tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path, 500))
    log = opened(tmp_path)
    agent = build(log)
    gc.collect()
    before = sum(generation["collections"] for generation in gc.get_stats())
    gc.set_threshold(20)
    agent.take_up(on_unknown=None, on_approval=None, on_interrupted="retry")
    gc.set_threshold(0)
    found = sum(generation["collections"] for generation in gc.get_stats()) - before
    asyncio.run(log.close())
    assert found < 20  # of what is made beside: it takes four times as many to look at the records
