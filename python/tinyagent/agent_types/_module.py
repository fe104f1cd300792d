"""A module that is imported when something of it is first needed.

asyncio is most of what importing this package cost, and who only names types needs none of it.
"""

from __future__ import annotations

from importlib import import_module


class Module:
    """Stands for the module *name*."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        """Import the module, and keep what was asked for."""
        value = getattr(import_module(self._name), attribute)
        setattr(self, attribute, value)
        return value
