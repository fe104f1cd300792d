"""What is installed by choice: the extras, and what is said where one is missing."""

from __future__ import annotations


def missing(who: str, extra: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """Return *error* as who uses *who* is told it: with what to install."""
    return ModuleNotFoundError(f"{told(who, extra)} (no module {error.name})", name=error.name)


def told(who: str, extra: str) -> str:
    """Return what *who*, with its verb, and *extra* are to each other, and what to install."""
    from importlib.metadata import packages_distributions

    # The distribution's name is read from what is installed: it may change. Of an editable install
    # it is not told, and another project has the plain one.
    named = (packages_distributions().get("tinyagent") or ["tinyagent-runtime"])[0]
    return f"{who} the extra `{extra}`: pip install '{named}[{extra}]'"
