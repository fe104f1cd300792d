"""Every planted bug of the Python side is found, and after how many runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.garden import BUGS, cuts, forks, hash_seeds, planted, schedules

pytestmark = pytest.mark.replays_itself
RUNS_MAX = 400


def hunted(name: str) -> tuple[int, str]:
    """Return after how many runs the bug *name* was found, and what was said; 0 if it was not."""
    bug = BUGS[name]
    with planted(name):
        for number in range(RUNS_MAX):
            try:
                found = bug.finder(number)
            except Exception as error:  # a test that fails, a session that ends with its bug
                found = f"{type(error).__name__}: {error}"
            if found:
                return number + 1, found
    return 0, ""


@pytest.mark.diverges
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str) -> None:
    runs, found = hunted(name)
    print(f"garden: {name:<30} {runs:>5} runs: {' '.join(found.split())[:60]}")
    assert runs, f"{name} was not found in {RUNS_MAX} runs"


@pytest.mark.parametrize("finder", [schedules, cuts, forks, hash_seeds])
def test_without_a_planted_bug_the_same_runs_find_nothing(finder: Callable[[int], str]) -> None:
    assert [finder(number) for number in range(3)] == [""] * 3
