"""Servers for tests: started by us, or over HTTP."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import run as run
from tests.mcp_client.serving import PROGRAM, Calls, Make, environment, serving
from tests.needed import package

from tinyagent import McpServer, mcp_server


@pytest.fixture(autouse=True, scope="module")
def installed() -> None:
    """The package: where it is missing, a test of CI fails and any other is skipped."""
    package("mcp", "mcp")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers write what they were asked."""
    return tmp_path_factory.mktemp("mcp") / "calls"


@pytest.fixture
def calls(written: Path) -> Calls:
    """Returns what the servers were asked since the test began."""
    written.write_text("")
    return written.read_text


@pytest.fixture
def piped(written: Path, calls: object) -> Make:
    """Makes a server that is started here."""

    def make(*flags: str, env: dict[str, str] | None = None, **settings: Any) -> McpServer:
        command = [sys.executable, str(PROGRAM), *flags]
        env = {**environment(written), **(env or {})}
        return mcp_server(command, name="hotel", env=env, **settings)

    return make


@pytest.fixture(scope="module")
def url(written: Path) -> Iterator[str]:
    """A server over HTTP."""
    with serving(written) as address:
        yield address


@pytest.fixture
def remote(url: str, calls: object) -> Make:
    """Makes a server over HTTP, which is there already: quicker than one that must be started."""
    return lambda **settings: mcp_server(url, name="hotel", **settings)


@pytest.fixture(params=["piped", "remote"])
def hotel(request: pytest.FixtureRequest, calls: object) -> Make:
    """Makes a server: each test runs over both transports."""
    made: Make = request.getfixturevalue(request.param)
    return made
