"""One line of a log, about 300 bytes, that everybody appends or reads."""

from __future__ import annotations

import json

TEXT = "The handler reads the request body. " * 6
EVENT = {"pieces": [[0, "text", TEXT, 20_000]]}
LINE = (
    json.dumps({"seq": 1, "k": "model.delta", "e": EVENT}, separators=(",", ":")).encode() + b"\n"
)
