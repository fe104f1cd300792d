"""Where the session of a test is recorded: a file of its own, whatever its parameters are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from tests.outside import Project

from tinyagent.testing._recorded import NAME_BYTES_MAX, file_name, place

MANY = """\
import pytest
from tinyagent import Agent
from tinyagent.testing import scripted

@pytest.mark.replay
@pytest.mark.parametrize("said", ["a b", "a/b", "a-b", "a" * 300, "Grüße", ""])
async def test_it(recorded, said):
    run = await Agent(model=scripted(f"You said {said}."), log=recorded).run(f"I say {said}.")
    assert run.text == f"You said {said}."
"""


@pytest.mark.parametrize(
    ("test", "name"),
    [
        ("test_it", "test_it"),
        ("TestOne.test_it", "TestOne.test_it"),
        ("test_it[paris]", "test_it-paris"),
        ("test_it[a-b]", "test_it-a-b"),
        ("test_it[-1]", "test_it--1"),
        ("test_it[1.5-None]", "test_it-1.5-None"),
        ("tests/test_trip.py::test_wrong", "tests-test_trip.py-test_wrong"),
        ("test_it[a b]", "test_it-a-b-66b8cda3"),
        ("test_it[a/b]", "test_it-a-b-"),
        ("test_it[a-]", "test_it-a-"),
    ],
)
def test_a_plain_name_stays_and_any_other_has_a_digest(test: str, name: str) -> None:
    assert re.fullmatch(
        re.escape(name) + ("[0-9a-f]{8}" if name[-1] == "-" else ""), file_name(test)
    )


@given(st.lists(st.text(st.characters(codec="ascii"), max_size=4), unique=True, max_size=20))
@settings(max_examples=200, deadline=None)
def test_no_two_tests_share_a_file(parameters: list[str]) -> None:
    names = {file_name(f"test_it[{each}]") for each in parameters if each}
    assert len(names) == len([each for each in parameters if each])


def test_a_long_name_fits_on_any_disk() -> None:
    one, other = (file_name(f"test_it[{'ä' * 300}{end}]") for end in "ab")
    assert one != other
    assert max(len(one.encode()), len(other.encode())) <= NAME_BYTES_MAX + 9


def test_a_recording_of_the_name_of_before_is_read_and_not_written(tmp_path: Path) -> None:
    new, old = tmp_path / f"{file_name('test_it[a b]')}.jsonl", tmp_path / "test_it-a-b.jsonl"
    assert place(tmp_path, "test_it[a b]", records=False) == new
    old.touch()
    assert place(tmp_path, "test_it[a b]", records=False) == old
    assert place(tmp_path, "test_it[a b]", records=True) == new
    new.touch()
    assert place(tmp_path, "test_it[a b]", records=False) == new
    assert place(tmp_path, f"test_it[{'a' * 300}]", records=False).parent == tmp_path


def test_tests_whose_parameters_read_alike_have_a_recording_each(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("tests/test_many.py", MANY)
    assert "6 passed" in project.run("--ta-record=once")
    kept = [path.name for path in (tmp_path / "tests/replays/test_many").iterdir()]
    assert len(kept) == 6
    assert "test_it-a-b.jsonl" in kept
    assert "6 passed" in project.run()


def test_a_recording_that_cannot_be_read_or_written_says_what_to_do(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("tests/test_many.py", MANY.replace('"a b", "a/b", ', "").replace("300", "3"))
    project.write("tests/replays", "in the way")
    said = project.run("--ta-record=once", "-k", "a-b", passes=False)
    assert "the session was run, and not recorded: " in said
    (tmp_path / "tests/replays").unlink()
    project.run("--ta-record=once", "-k", "a-b")
    path = tmp_path / "tests/replays/test_many/test_it-a-b.jsonl"
    whole = path.read_bytes()
    for damaged, told in (
        (whole[: len(whole) // 2], "it ends without a seal, behind record"),
        (b"version https://git-lfs.github.com/spec/v1\n", "byte 0 starts no header"),
        (whole.replace(b"I say", b"I saw", 1), "record 2 is damaged"),
    ):
        path.write_bytes(damaged)
        said = project.run("-k", "a-b", passes=False)
        assert f"the recording cannot be read: {path}: " in said
        assert told in said
        assert "  try       restore the file, or --ta-record=all asks live and records it" in said
        assert "During handling" not in said
    assert "1 passed" in project.run("-k", "a-b", "--ta-record=all")
    assert "1 passed" in project.run("-k", "a-b")


LIMITED = """\
import pytest
from tinyagent import Agent, Limits, tool
from tinyagent.testing import scripted

LIMITS = None

@tool(effect="read")
def look() -> str:
    return "seen"

@pytest.mark.replay
async def test_it(recorded):
    model = scripted(("look", {}), "Done.")
    await Agent(model=model, tools=[look], limits=LIMITS, log=recorded).run("Look.")
"""


def test_another_decision_is_told_with_its_cause_and_what_to_do(tmp_path: Path) -> None:
    project = Project(tmp_path)
    path = project.write("tests/test_look.py", LIMITED)
    project.run("--ta-record=once")
    path.write_text(LIMITED.replace("LIMITS = None", "LIMITS = Limits(turns_max=1)"))
    said = project.run(passes=False)
    assert "record 11 is not what agent decides today (input 9 tool.finished, decision 2 of" in said
    assert "  cause     configuration: limits" in said
    assert "\n  try       --ta-record=all asks live and records it again, if the change is" in said
    assert "testing/plugin.py" not in said
