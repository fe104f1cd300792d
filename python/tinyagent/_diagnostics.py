"""What a person may want to know, where there is no log to put it on record.

It goes to the application's own logging, each text once. Nothing is printed unless the application
asks for it.
"""

from __future__ import annotations

import logging
from functools import lru_cache

# Without a handler, logging would print warnings to standard error.
logging.getLogger("tinyagent").addHandler(logging.NullHandler())


@lru_cache(maxsize=256)
def diagnose(name: str, message: str) -> None:
    """Tell the logger *name* below ``tinyagent`` of *message*, once."""
    logging.getLogger(f"tinyagent.{name}").warning("%s", message)
