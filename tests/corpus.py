"""The recorded streams of real providers: where they are, and what is in them.

They are test data of several licences and stay outside the repository: in the folder named by
``TINYAGENT_CORPUS``, else in ``../shared/corpus`` beside the tree. Without them the tests that
need them are skipped, except in CI, where they fail: a skipped test there would go unseen.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.needed import lacking

APIS = {
    "openai-chat": "openai-completions",
    "anthropic-messages": "anthropic-messages",
    "openai-responses": "openai-responses",
    "gemini": "google-generative-ai",
}
"""The folders of streams, and the protocols as the library names them."""


@dataclass(frozen=True)
class Recording:
    """One recorded answer: its bytes, and the reference answer."""

    path: Path
    protocol: str

    @property
    def name(self) -> str:
        """Unique among the recordings of a protocol."""
        return f"{self.path.parent.name}/{self.path.stem}"

    @property
    def api(self) -> str:
        """The decoder to use."""
        return APIS[self.protocol]

    @cached_property
    def body(self) -> bytes:
        """The response body as received."""
        return self.path.read_bytes()

    @cached_property
    def expected(self) -> dict[str, Any]:
        """The reference answer."""
        return _object(self.path.with_suffix(".expected.json"))

    @cached_property
    def features(self) -> frozenset[str]:
        """What is peculiar about it."""
        return frozenset(_object(self.path.with_suffix(".meta.json"))["features"])


def folder() -> Path:
    """Return the folder of the corpus; skip the test without it, or fail it in CI."""
    given = os.environ.get("TINYAGENT_CORPUS")
    root = Path(__file__).resolve().parents[1]
    found = Path(given) if given else root.parent / "shared" / "corpus"
    if not found.is_dir():
        lacking(f"no recorded streams at {found} (TINYAGENT_CORPUS)")
    return found


def recordings(protocol: str) -> list[Recording]:
    """Return all recordings of *protocol*, in the order of their names."""
    paths = sorted((folder() / protocol).glob("*/*.sse"))
    return [Recording(path, protocol) for path in paths]


def errors() -> list[tuple[str, dict[str, Any]]]:
    """Return the recorded HTTP errors: name, and ``status headers body ...``."""
    paths = sorted((folder() / "errors").glob("*/*.json"))
    return [(f"{path.parent.name}/{path.stem}", _object(path)) for path in paths]


def _object(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
