"""The reference in the tree is the one that the code makes, and nothing public is missing in it."""

from __future__ import annotations

import pytest
from tests.reference import ROOT, pages

from tinyagent.events import KINDS

pytestmark = pytest.mark.skipif(
    not (ROOT / "docs").is_dir(), reason="the reference is in the source tree only"
)


@pytest.mark.parametrize("path", ["docs/events.md", "docs/errors.md", "docs/llms.txt"])
def test_the_reference_is_what_the_code_says(path: str) -> None:
    told = (ROOT / path).read_text(encoding="utf-8")
    assert told == pages()[path], "python -m tests.reference writes it anew"


def test_every_kind_and_every_page_is_in_it() -> None:
    made = pages()
    assert [kind for kind in KINDS if f"\n## {kind}\n" not in made["docs/events.md"]] == []
    linked = [path.name for path in (ROOT / "docs").glob("*.md")]
    assert [name for name in linked if f"]({name})" not in made["docs/llms.txt"]] == []
