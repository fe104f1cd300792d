"""One browser for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.viewer.chromium import Chromium, started


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    yield from started()
