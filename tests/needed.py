"""Parts that a test needs and a machine may lack: in CI the test fails then, elsewhere it skips."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import NoReturn

import pytest


def lacking(told: str) -> NoReturn:
    """End the test, which cannot be run here; *told*: what is not there, and how to get it."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(told)


def package(name: str, extra: str) -> None:
    """End the test if the package *name*, of the extra *extra*, is not installed."""
    if find_spec(name) is None:
        lacking(f"{name} is not installed: it comes with the extra `{extra}`")


def workers() -> None:
    """End the test if pytest has no workers here."""
    if find_spec("xdist") is None:
        lacking("pytest-xdist is not installed: it comes with the group `dev`")
