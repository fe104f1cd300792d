"""A project of somebody else, in a folder of its own, whose tests run in a process of their own."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

INI = """[pytest]
addopts = --strict-markers --strict-config -p no:cacheprovider
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
pythonpath = src
filterwarnings = error
"""
IS_INSTALLED = bool(importlib.metadata.entry_points(group="pytest11", name="tinyagent"))
# In a tree whose metadata are older the plugin is named; where it is found, that would be twice.
PLUGIN = () if IS_INSTALLED else ("-p", "tinyagent.testing.plugin")


class Project:
    """Its files are written by the test; ``run`` is ``pytest`` in its root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("pytest.ini", INI)

    def write(self, name: str, text: str) -> Path:
        """Write a file and return its path."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *arguments: str, passes: bool = True) -> str:
        """Run its tests, return what was printed; raise if they do not end as *passes* says."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *PLUGIN, *arguments],
            cwd=self.root,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) is passes, done.stdout
        return done.stdout
