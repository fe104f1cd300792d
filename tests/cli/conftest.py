"""The command line as a test runs it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tinyagent.cli import main


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line; return exit code, standard output, standard error."""

    def call(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        out, err = capsys.readouterr()
        return code, out, err

    return call
