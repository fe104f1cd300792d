"""Somebody else's project on the built wheel: its tests pass beside other plugins' fixtures."""

from __future__ import annotations

import ast
import os
import shutil
import sys
from pathlib import Path

import pytest
from tests.building import ROOT, built_wheel, run

PROJECT = Path(__file__).with_name("example_project")
BESIDE = ("pytest", "syrupy", "hypothesis", "pytest-asyncio", "pytest-recording")
FIXTURES = """
agent_log crash_everywhere crashed echo_model eventlog_snapshot recorded replay_path scripted_model
sim transcript_snapshot virtual_clock
"""


def test_it_uses_nothing_but_the_public_face() -> None:
    used: set[str] = set()
    for path in PROJECT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                used.add(str(node.module))
            elif isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
    assert {name for name in used if name.startswith("tinyagent")} == {
        "tinyagent",
        "tinyagent.testing",
        "tinyagent.transports",
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in a folder of its own, with the wheel in an environment of its own."""
    if not (ROOT / "Cargo.toml").is_file():
        pytest.skip("no source tree here: the tests run against an installed wheel")
    root = tmp_path_factory.mktemp("outside")
    shutil.copytree(PROJECT, root / "clerk", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    run(sys.executable, "-m", "venv", "--without-pip", str(root / "venv"))
    pip = (sys.executable, "-m", "pip", "--python", str(python_in(root)), "install", "--quiet")
    run(*pip, str(built_wheel()), *BESIDE)
    return root


def python_in(root: Path) -> Path:
    folder = "Scripts" if os.name == "nt" else "bin"
    return root / "venv" / folder / "python"


def run_pytest(root: Path, *arguments: str) -> str:
    """Run the project's tests, where nothing of this tree is in sight."""
    pytest_ = (str(python_in(root)), "-m", "pytest", "-q", "-p", "no:cacheprovider")
    return run(
        *pytest_,
        *arguments,
        cwd=root / "clerk",
        PYTHONPATH="",
        PYTHONDONTWRITEBYTECODE="1",
        HYPOTHESIS_STORAGE_DIRECTORY=str(root / "hypothesis"),
    )


@pytest.mark.slow
def test_its_tests_pass_on_the_wheel_and_nothing_is_written(project: Path) -> None:
    before = {path: path.read_bytes() for path in project.rglob("clerk/**/*") if path.is_file()}
    said = run_pytest(project)
    assert "46 passed" in said
    assert "2 snapshots passed." in said
    after = {path: path.read_bytes() for path in project.rglob("clerk/**/*") if path.is_file()}
    assert after == before


@pytest.mark.slow
def test_the_plugin_is_found_and_offers_its_fixtures(project: Path) -> None:
    said = run_pytest(project, "--fixtures", "-v")
    assert {name for name in FIXTURES.split() if f"\n{name} -- " not in said} == set()
    markers = run_pytest(project, "--markers")
    assert "@pytest.mark.replay(name=None, tools='recorded'):" in markers
    assert "@pytest.mark.explore(schedules=500, strategy='portfolio'):" in markers
    assert "@pytest.mark.crash(points='all'):" in markers
    assert "--ta-record={none,once,new,all}" in run_pytest(project, "--help")
