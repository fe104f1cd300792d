"""Where our own side runs: the wheel, installed as a user does, under the interpreter of the peers.

Interpreters of one version differ by a third, by how they were built; so all share one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "target/bench/venv"
SIZES = """
import importlib.metadata, json, pathlib, sysconfig
tools = {"pip", "setuptools", "wheel", "uv"}
names = {found.name for found in importlib.metadata.distributions()} - tools
place = pathlib.Path(sysconfig.get_path("purelib"))
files = [file for file in place.rglob("*") if file.is_file() and file.suffix != ".pyc"]
own = [file for file in files if file.relative_to(place).parts[0].partition("-")[0] not in tools]
size = sum(file.stat().st_size for file in own)
print(json.dumps({"distributions": len(names), "installed_mb": size / 1e6}))
"""


def interpreter() -> str:
    """Return the interpreter that the peers were installed for; ours if there are none."""
    folder = os.environ.get("TINYAGENT_PEERS")
    theirs = Path(folder or "/nowhere") / "venvs/floor/bin/python"
    return str(theirs.resolve()) if theirs.exists() else sys.executable


def installed(wheel: Path) -> str:
    """Install *wheel* into an environment of its own, and return its interpreter."""
    shutil.rmtree(PLACE, ignore_errors=True)
    # Debian's Python cannot bring pip into an environment; ours works on it from outside.
    subprocess.run([interpreter(), "-m", "venv", "--without-pip", str(PLACE)], check=True)
    python = PLACE / "bin/python"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--python", str(python), "install", str(wheel)], check=True)
    return str(python)


def sizes(python: str, wheel: Path | None = None) -> dict[str, float]:
    """Return what is installed beside *python*: distributions, MB; and MB of *wheel*."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-c", SIZES]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found if wheel is None else {**found, "wheel_mb": wheel.stat().st_size / 1e6}
