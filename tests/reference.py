"""The reference, made from the code: ``python -m tests.reference`` writes what a test holds it to.

Every kind of event, every error with its whole text, and what there is to read for a model.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
from tests.face.test_error_texts import TEXTS

import tinyagent
from tinyagent.events import KINDS, Fact
from tinyagent.runtime import errors

ROOT = Path(__file__).resolve().parents[1]
SAYS = "An event-sourced actor runtime for LLM agents: every step is an event in one log."


def pages() -> dict[str, str]:
    """Return each page by its path."""
    made = {"docs/events.md": "\n".join(events()), "docs/errors.md": "\n".join(faults())}
    return {**made, "docs/llms.txt": "\n".join(listed(made))}


def events() -> Iterator[str]:
    """Yield every kind of event: what happened, who says so, its fields."""
    yield "# Events\n"
    yield "What can be in a log. The class of a kind is the kind in CamelCase: `tool.in_doubt` is"
    yield "`ToolInDoubt`. `tinyagent schema KIND` prints the JSON schema of one.\n"
    for kind, cls in sorted(KINDS.items()):
        yield f"## {kind}\n"
        yield f"{prose(cls)}\n"
        yield f"Version {cls.v}, said by the {cls.emitter}.\n"
        yield from (f"- {told}" for told in fields(cls))
        yield ""


def fields(cls: type[Fact]) -> Iterator[str]:
    """Yield the fields of an event, with their types as they are written."""
    written: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        written |= inspect.get_annotations(base)
    for each in msgspec.structs.fields(cls):
        yield f"`{each.name}: {written[each.name]}`" + (
            "" if each.required else ", may be left out"
        )


def faults() -> Iterator[str]:
    """Yield every error: whose fault it is, and what it says, with what to do next."""
    yield "# Errors\n"
    yield "All are below `TinyAgentError`, a `RuntimeError`. Under each is an example of its text:"
    yield "what, where, and what to do next; `LOG` is the place of the log.\n"
    for name, text in sorted(TEXTS.items()):
        cls = getattr(errors, name, None) or getattr(tinyagent, name)
        yield f"## {name}\n"
        yield f"{prose(cls)}\n"
        yield f"```text\n{text}\n```\n"


def listed(made: dict[str, str]) -> Iterator[str]:
    """Yield what there is to read, as llmstxt.org wants it."""
    yield f"# tinyagent\n\n> {SAYS}\n\n- [README](../README.md): what it is, and the five verbs"
    yield "- [DESIGN](../DESIGN.md): the flow, the laws, where things are\n\n## Docs\n"
    paths = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")} | set(made)
    for path in sorted(paths):
        text = made.get(path) or (ROOT / path).read_text(encoding="utf-8")
        yield f"- [{text.partition(chr(10))[0].removeprefix('# ')}]({Path(path).name})"
    yield ""


def prose(cls: type) -> str:
    """Return the docstring of *cls* as Markdown."""
    text = inspect.getdoc(cls) or ""
    return re.sub("``(.+?)``", r"`\1`", text.replace("Attributes:\n    ", "Attributes: "))


if __name__ == "__main__":
    for place, content in pages().items():
        (ROOT / place).write_text(content, encoding="utf-8")
