"""The examples in docstrings of public names run, as they are printed.

They find what the documentation speaks of: the public names, ``scripted``, a factory ``build``, and
a session that it recorded in ``runs/trip``.
"""

from __future__ import annotations

import asyncio
import doctest
import inspect
from pathlib import Path
from typing import Any

import pytest

import tinyagent
from tinyagent import Agent, edits, open_log
from tinyagent.testing import scripted

COMMON = """
Agent AgentTool Ctx Hooks Limits Price ToolReturn extract_text fork load named_model open_log replay
rerun resume subscribe tool
"""
PUBLIC = [name for name in dir(tinyagent) if name[0] != "_"]


def build(*, log: Any = None) -> Agent:
    model = scripted("Start in the Tuileries.", "Then the Louvre.")
    return Agent(model=model, system_prompt="You plan trips.", log=log)


async def record() -> None:
    async with open_log("runs/trip") as log:
        await build(log=log).run("Plan a day in Paris")


def docstring(name: str) -> str:
    found = getattr(tinyagent, name)
    is_documented = inspect.isclass(found) or inspect.isroutine(found)
    return (inspect.getdoc(found) or "") if is_documented else ""


@pytest.mark.parametrize("name", [name for name in PUBLIC if ">>>" in docstring(name)])
def test_the_example_of_a_docstring_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asyncio.run(record())
    names = {each: getattr(tinyagent, each) for each in PUBLIC}
    names |= {"asyncio": asyncio, "build": build, "edits": edits, "scripted": scripted}
    example = doctest.DocTestParser().get_doctest(docstring(name), names, name, None, None)
    doctest.DebugRunner().run(example)


def test_the_commonest_names_have_an_example() -> None:
    assert [name for name in COMMON.split() if ">>>" not in docstring(name)] == []
