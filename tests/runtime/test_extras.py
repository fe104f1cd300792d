"""What is said where an extra is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

KEYS = "from tinyagent.runtime.crypto import KeyFolder; KeyFolder('keys').make('ann')"


@pytest.mark.parametrize(
    ("absent", "program", "told"),
    [
        (
            "opentelemetry",
            "from tinyagent import OpenTelemetrySink; OpenTelemetrySink()",
            "an OpenTelemetrySink needs the extra `otel`",
        ),
        ("cryptography", KEYS, "encrypted logs need the extra `crypto`"),
        (
            "hypothesis",
            "import tinyagent.testing.strategies",
            "tinyagent.testing.strategies needs the extra `testing`",
        ),
        (
            "mcp",
            "from tinyagent._mcp.client import loaded; loaded()",
            "tools of MCP servers need the extra `mcp`",
        ),
    ],
)
def test_what_an_extra_is_for_says_how_to_install_it(absent: str, program: str, told: str) -> None:
    hidden = f"import sys; sys.modules[{absent!r}] = None; {program}"
    done = subprocess.run(
        [sys.executable, "-c", hidden], capture_output=True, text=True, check=False
    )
    last = done.stderr.strip().rpartition("\n")[2]
    assert last.startswith(f"ModuleNotFoundError: {told}: pip install '")
    assert f"(no module {absent}" in last
