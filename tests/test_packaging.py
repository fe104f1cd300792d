"""What is shipped: every source, one top-level name, few companions.

The wheel of a tree whose links do not lead home is empty, and the build says nothing; these
tests and ``rust/python/build.rs`` do.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tests.building import ROOT, built_wheel, run, wheel_from

DISTRIBUTION = "tinyagent-runtime"
DISTRIBUTIONS_MAX = 10
WHEEL_BYTES_MAX = 5_000_000
LINKS = ("runtime", "actors", "events")

needs_tree = pytest.mark.skipif(
    not (ROOT / "Cargo.toml").is_file(),
    reason="no source tree here: the tests run against an installed wheel",
)
needs_links = pytest.mark.skipif(
    not (ROOT / "events").is_dir(),
    reason="not a checkout: in an sdist the three folders stand where the links point from",
)


def files_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def sources() -> set[str]:
    """Return the tracked files of the package, named as in the wheel."""
    folders = [*LINKS, "python/tinyagent"]
    listed = subprocess.run(
        ["git", "ls-files", "--", *folders], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not listed:  # no git here, or an sdist
        paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py*")]
        listed = [path.relative_to(ROOT).as_posix() for path in paths]
    files = [name for name in listed if (ROOT / name).is_file() and "__pycache__" not in name]
    built = (".so", ".pyd", ".pyc")
    inside = [name.removeprefix("python/tinyagent/") for name in files if not name.endswith(built)]
    return {f"tinyagent/{name}" for name in inside}


@pytest.fixture(scope="module")
def wheel() -> Path:
    return built_wheel()


@needs_links
@pytest.mark.parametrize("folder", LINKS)
def test_the_link_leads_home(folder: str) -> None:
    link = ROOT / "python" / "tinyagent" / folder
    assert link.is_symlink(), f"{link} is no link: git config core.symlinks true; git checkout"
    assert link.readlink().as_posix() == f"../../{folder}"
    assert (link / "__init__.py").is_file()


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("guard") / "guard"
    run("rustc", "--edition", "2021", "-o", str(program), "rust/python/build.rs")
    return program


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The little of a checkout that the guard looks at, with folders where the links are."""
    (tmp_path / "rust" / "python").mkdir(parents=True)
    for folder in LINKS:
        package = tmp_path / "python" / "tinyagent" / folder
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
    return tmp_path


@needs_tree
def test_the_build_goes_on_where_the_links_lead_home(guard: Path, checkout: Path) -> None:
    run(str(guard), CARGO_MANIFEST_DIR=str(checkout / "rust" / "python"))


@needs_tree
@pytest.mark.parametrize("folder", LINKS)
def test_the_build_stops_where_a_link_became_a_text_file(
    guard: Path, checkout: Path, folder: str
) -> None:
    link = checkout / "python" / "tinyagent" / folder
    shutil.rmtree(link)
    link.write_text(f"../../{folder}")  # what core.symlinks=false checks out
    with pytest.raises(AssertionError, match=f"must be a symbolic link to ../../{folder}"):
        run(str(guard), CARGO_MANIFEST_DIR=str(checkout / "rust" / "python"))


@needs_tree
@pytest.mark.slow
def test_the_wheel_has_one_top_level_name(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in files_of(wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tinyagent"}
    assert len(tops) == 2


@needs_tree
@pytest.mark.slow
def test_every_tracked_source_is_in_the_wheel(wheel: Path) -> None:
    missing = sources() - files_of(wheel)
    assert not missing, f"add them to include in pyproject.toml: {sorted(missing)}"


@needs_tree
@pytest.mark.slow
def test_the_wheel_holds_types_and_the_extension_and_nothing_left_over(wheel: Path) -> None:
    files = files_of(wheel)
    assert {"tinyagent/py.typed", "tinyagent/_alchemy.pyi"} <= files
    assert len([name for name in files if name.endswith((".so", ".pyd"))]) == 1
    assert not [name for name in files if "__pycache__" in name or name.endswith(".pyc")]
    assert not [name for name in files if "/sboms/" in name]


@needs_tree
@pytest.mark.slow
def test_the_wheel_is_small(wheel: Path) -> None:
    size = wheel.stat().st_size
    assert size <= WHEEL_BYTES_MAX, f"{wheel.name}: {size} bytes"


@needs_tree
@pytest.mark.slow
def test_the_sdist_carries_its_tests_and_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    run("maturin", "sdist", "--out", str(tmp_path))
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {"tests/test_packaging.py", "LICENSE", "Cargo.lock"} <= names
    assert {name for name in names if name.startswith("replays/")}
    assert not [name for name in names if "__pycache__" in name]
    assert files_of(wheel_from(sdist, tmp_path / "again")) == files_of(wheel)


def test_an_installation_brings_few_distributions() -> None:
    assert len(requirements_of(DISTRIBUTION)) == 3
    found, waiting = {DISTRIBUTION}, [DISTRIBUTION]
    while waiting:
        for name in requirements_of(waiting.pop()) - found:
            found.add(name)
            waiting.append(name)
    assert len(found) <= DISTRIBUTIONS_MAX, sorted(found)


def requirements_of(distribution: str) -> set[str]:
    """Return the names that *distribution* needs here, extras aside."""
    lines = importlib.metadata.requires(distribution) or []
    needed = [Requirement(line) for line in lines]
    applying = [r for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    return {requirement.name.lower().replace("_", "-") for requirement in applying}
