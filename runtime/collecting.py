"""When the interpreter looks for what is in cycles: not while a long log is taken up."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Generator[None]:
    """Let nothing be collected meanwhile, for a moment in which much is made of what is kept.

    Else all that is new is looked through again and again, and at times all that the process has.
    Other threads see it too, and whoever ends first lets it be collected again.
    """
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_collecting:
            gc.enable()
