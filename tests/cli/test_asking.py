"""What a live command asks at a terminal: leave to go on, and what became of a call in doubt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli import test_going_on as going_on
from tests.recordings import REPLAYS

from tinyagent import load

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a terminal of POSIX")
trip = going_on.trip
PROGRAM = (
    "import sys; from tests.cli import test_going_on as app; from tests.crashing import World; "
    "app.WORLDS.append(World()); from tinyagent.cli import main; raise SystemExit(main())"
)


def answered(lines: str, *argv: str) -> tuple[int, str, str]:
    """Run the command line with *lines* typed at a terminal."""
    master, terminal = os.openpty()
    os.write(master, lines.encode())
    paths = [str(REPLAYS.parent), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *argv, *going_on.APP],
        stdin=terminal,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(reversed(paths))},
    )
    os.close(terminal)
    os.close(master)
    return done.returncode, done.stdout, done.stderr


def test_a_person_is_asked_before_anything_runs(trip: Path) -> None:
    code, out, err = answered("n\n", "rerun", str(trip))
    assert (code, out) == (4, "")
    assert "live: m; send write" in err
    assert "Go on? [y/N] RefusedError: " in err
    assert not trip.with_name("trip-rerun-1").exists()
    code, out, err = answered("y\n", "rerun", str(trip))
    assert (code, "It is sent." in out) == (0, True), err


@pytest.mark.parametrize(
    ("typed", "outcome", "status"),
    [
        ("d\nsent before\n", "settled", "answered"),
        ("f\nno post\n", "settled", "answered"),
        ("t\n", "settled", "answered"),
        ("a\n", "finished", "answered"),
        ("w\n", "in_doubt", "paused"),
        ("\n", "in_doubt", "paused"),
    ],
)
def test_a_person_says_what_became_of_a_call_in_doubt(
    trip: Path, typed: str, outcome: str, status: str
) -> None:
    path = going_on.killed_while_sending(trip)
    code, _, err = answered(f"y\n{typed}", "resume", str(path))
    assert "in doubt: the process died while this ran" in err
    assert "send(to='ann')" in err
    assert "[d]one, give result" in err
    after = load(path)
    assert (after.tool_calls["s1"].outcome, after.status) == (outcome, status)
    assert code == (0 if status == "answered" else 1)
