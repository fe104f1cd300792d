"""How a wrong value is told: which field, what is possible, what was found."""

import sys
from collections.abc import Callable
from typing import cast

Where = tuple[str | int, ...]
"""The way to a value: names of fields, keys of objects, positions in lists."""


class ValidationError(ValueError):
    """A value does not fit its field. The text names the field and what is possible there."""


class Fault(Exception):
    """A value that does not fit, on its way up to where its whole path is known."""

    def __init__(self, problem: str, value: object, where: Where = ()) -> None:
        super().__init__(problem)
        self.problem = problem
        self.value = value
        self.where = where

    def inside(self, step: str | int) -> "Fault":
        """Return this fault as seen from one level further out."""
        return Fault(self.problem, self.value, (step, *self.where))


def validation_error(title: str, fault: Fault) -> ValueError:
    """Return what to raise for *fault* in a value of the class *title*.

    A host that has imported pydantic catches pydantic's exception, so it gets that one.
    """
    theirs: object = getattr(sys.modules.get("pydantic"), "ValidationError", None)
    make: object = getattr(theirs, "from_exception_data", None)
    if make is None:
        path = ".".join(str(step) for step in fault.where)
        return ValidationError(f"{title}: {path + ': ' if path else ''}{fault.problem}")
    detail = {
        "type": "value_error",
        "loc": fault.where,
        "input": fault.value,
        "ctx": {"error": ValueError(fault.problem)},
    }
    return cast("Callable[[str, list[dict[str, object]]], ValueError]", make)(title, [detail])


def one_of(words: tuple[object, ...]) -> str:
    """Return "one of 'a', 'b'" for a message."""
    return "one of " + ", ".join(repr(word) for word in words)
