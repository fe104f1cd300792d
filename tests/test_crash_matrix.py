"""A process killed beside a tool, by a real SIGKILL over a real log, is taken up by another one.

The cases, and what must come of each, are in ``crash_matrix``; ``make crash`` prints them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash_matrix import MODES, TOOLS, Case, Matrix, answer, cases, faults

from tinyagent.runtime.stores import Durability
from tinyagent.testing import ProviderServer

pytestmark = pytest.mark.slow


@pytest.fixture
def matrix(tmp_path: Path) -> Iterator[Matrix]:
    with ProviderServer.threaded(answer) as server:
        matrix = Matrix(tmp_path, server)
        yield matrix
        matrix.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("effect", "reconcile"), TOOLS)
def test_wherever_it_dies_a_tool_runs_as_often_as_its_effect_allows_and_nothing_false_is_told(
    matrix: Matrix, effect: str, reconcile: str, mode: Durability
) -> None:
    ran = 0
    for case in cases():
        if (case.effect, case.answer) == (effect, reconcile):
            ran += 1
            assert not list(faults(case, matrix.run(case, mode))), f"{case.name}, {mode}"
    assert ran == {"": 5, "done": 5, "not_done": 5, "unknown": 20}[reconcile] + 15 * (
        (effect, reconcile) == ("write", "")
    )


@pytest.mark.parametrize("decision", ["done", "failed", "tell", "again"])
def test_what_one_process_left_undecided_a_later_one_decides(matrix: Matrix, decision: str) -> None:
    case = Case("write", "", "during", decision)
    assert not list(faults(case, matrix.later(case, "group")))
