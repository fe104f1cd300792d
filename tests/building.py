"""The wheel of this tree, built once for all tests that look at it or install it."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(*command: str, cwd: Path = ROOT, **environment: str) -> str:
    """Run *command* and return its output, which is the message if it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": path, "PYTHONSAFEPATH": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4_000:]
    return done.stdout


def wheel_from(source: Path, out: Path) -> Path:
    """Build as an installer does, with the build tools that are here."""
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", str(out), str(source), CARGO_TARGET_DIR=str(ROOT / "target"))
    (wheel,) = out.glob("*.whl")
    return wheel


@cache
def built_wheel() -> Path:
    """Return the wheel of this tree; it is removed when the process ends."""
    out = Path(tempfile.mkdtemp(prefix="tinyagent-wheel-"))
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    return wheel_from(ROOT, out)
