"""The names of the kit: each where the lazy table says, and the same for type checkers."""

from __future__ import annotations

import ast
import importlib
import inspect

import tinyagent.testing as kit


def test_the_lazy_table_says_what_the_type_checkers_see() -> None:
    typed: dict[str, str] = {}
    for node in ast.walk(ast.parse(inspect.getsource(kit))):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for line in node.body:
                if isinstance(line, ast.ImportFrom):
                    typed.update((alias.name, str(line.module)) for alias in line.names)
    lazy: dict[str, str] = vars(kit)["_HOME"]
    assert {name: f"tinyagent.{home}" for name, home in lazy.items()} == typed
    assert sorted(lazy) == sorted(kit.__all__)


def test_each_name_is_the_one_of_its_home_and_hides_no_module() -> None:
    lazy: dict[str, str] = vars(kit)["_HOME"]
    for name, home in lazy.items():
        assert getattr(kit, name) is getattr(importlib.import_module(f"tinyagent.{home}"), name)
        assert home != f"testing.{name}"
