"""Part two: who is asked, with which key, and what is sent to whom."""

from __future__ import annotations

import subprocess
import sys


def test_row_18_an_extension_that_cannot_be_loaded_is_told_with_every_attempt() -> None:
    program = """
import sys
sys.modules["tinyagent._alchemy"] = None
from tinyagent.alchemy_provider import shared_transport
try:
    shared_transport()
except RuntimeError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Failed to import the optional alchemy binding. ")
    assert "Import failures: _alchemy: ModuleNotFoundError: No module named" in done.stdout
    assert "; tinyagent._alchemy: ModuleNotFoundError: " in done.stdout
