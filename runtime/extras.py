"""What is installed by choice: the extras, and what is said where one is missing."""

from __future__ import annotations


def missing(who: str, extra: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """Return *error* as who uses *who* is told it: with what to install."""
    told = f"{who} the extra `{extra}`: pip install '{distribution()}[{extra}]'"
    return ModuleNotFoundError(f"{told} (no module {error.name})", name=error.name)


def distribution() -> str:
    """Return the name under which the library is installed; it is read, for it may change."""
    from importlib.metadata import packages_distributions

    return (packages_distributions().get("tinyagent") or ["tinyagent"])[0]
