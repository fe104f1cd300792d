"""One browser for the tests of a module, and one long log for all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.viewer.chromium import Chromium, started
from tests.viewer.logs import long_session

from tinyagent.viewer import to_html


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    yield from started()


@pytest.fixture(scope="session")
def thousand_turns() -> bytes:
    return to_html(long_session(1000))
