"""The native transport: the contract, and what only it can do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from tests.contract_failures import FailureContract
from tests.contracts import TransportContract

from tinyagent.actors.transports.native import NativeTransport


@pytest.fixture
async def transport() -> AsyncIterator[NativeTransport]:
    async with aclosing(NativeTransport()) as opened:
        yield opened


class TestAnswers(TransportContract):
    """With the extension."""


class TestFailures(FailureContract):
    """With the extension."""
