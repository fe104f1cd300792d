"""What a docstring tells a model: what the tool does, and what each argument is. Pure."""

from __future__ import annotations

import re

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns?|Raises|Yields|Examples?|Notes?):$")
_ARGUMENTS = ("Args", "Arguments", "Parameters")
_ENTRY = re.compile(r"^\*{0,2}(\w+)(?: *\([^)]*\))?: *(.*)$")


def described(docstring: str) -> tuple[str, dict[str, str]]:
    """Return the text of *docstring* before its sections, and what it says of each argument.

    *docstring* is one that ``inspect.getdoc`` has dedented.
    """
    text: list[str] = []
    told: dict[str, list[str]] = {}
    section = ""
    name = ""
    indent = -1
    for line in docstring.splitlines():
        head = _SECTION.match(line)
        if head is not None:
            section, name, indent = head[1], "", -1
        elif not section:
            text.append(line)
        elif section in _ARGUMENTS and line.strip():
            depth = len(line) - len(line.lstrip())
            indent = depth if indent < 0 else indent
            entry = _ENTRY.match(line.strip()) if depth == indent else None
            if entry is not None:
                name = entry[1]
                told[name] = [entry[2]]
            elif name:
                told[name].append(line.strip())
    return "\n".join(text).strip(), {each: " ".join(said).strip() for each, said in told.items()}
