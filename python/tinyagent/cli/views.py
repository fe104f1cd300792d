"""A request, a state, a list of differences as lines of text."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from tinyagent.cli.parts import Changes, Leaf, PlainPart, PlainRequest
from tinyagent.cli.render import Line, bad, bold, dim, line, value
from tinyagent.runtime.divergence import ABSENT, Difference, shown

if TYPE_CHECKING:
    from tinyagent.actors.asked import Compared, Part, RequestAt
    from tinyagent.actors.standing import Standing

_MESSAGE = re.compile(r"(messages|input|contents)\[")
_INDEX = re.compile(r"(.*)\[(\d+)\]")

WHOLE = sys.maxsize
"""Values are cut by the width of the terminal, and nowhere else."""


def request(found: RequestAt) -> Iterator[Line]:
    """Yield what a request is, and what changed since the one before it."""
    messages = sum(1 for path in _paths(found) if _MESSAGE.match(path))
    told = [f"request #{found.n} to {found.model.get('id', '?')}", f"{messages} messages"]
    if found.usage:
        told.append(f"{found.usage.get('input', 0):,} tokens in")
        told.append(f"{found.usage.get('cache_read', 0):,} read from cache")
    told.append(f"{len(found.body):,} bytes, the first {found.unchanged_prefix:,} as before")
    yield line(bold(told[0]), dim("".join(f" · {part}" for part in told[1:])))
    match found.is_verified:
        case True:
            yield line(dim(f"  digest {found.digest}, as recorded"))
        case False:
            told_then = f"recorded {found.recorded}: not the bytes sent then"
            yield line(bad(f"  ! digest {found.digest}, {told_then}"))
        case _:
            yield line(dim(f"  digest {found.digest}; none is recorded yet"))
    before = f"as in record {found.before}" if found.before else ""
    yield from changes(found, before)


def changes(found: Compared, before: str) -> Iterator[Line]:
    """Yield a line for each part of a request that stayed, came, went or changed."""
    if found.unchanged:
        same = ", ".join(grouped(found.unchanged))
        yield line(dim(f"  =  {same}   byte for byte {before}"))
    for sign, style, parts in (("-", "red", found.removed), ("+", "green", found.added)):
        for part in parts:
            size = len(msgspec.json.encode(part.value))
            gist = f"  {_gist(part)}", ""
            yield line((f"  {sign}  ", style), bold(part.path), gist, dim(f"   {size:,} bytes"))
    yield from differing(found.changed, indent="  ~  ")


def state(found: Standing) -> Iterator[Line]:
    """Yield how things stood after a record: a line for each thing known."""
    plain = found.plain()
    yield line(bold(f"after record {found.seq}"))
    if found.fault:
        yield line(bad(f"  ! agent     unknown: {found.fault}"))
    for group in ("agent", "settings"):
        for name, known in (plain[group] or {}).items():
            yield line(dim(f"  {group:9} "), name, "  ", value(known))
    for name, known in plain.get("children", {}).items():
        yield line(dim("  child     "), name, "  ", value((known or {}).get("phase", "unknown")))
    for work in plain["open"]:
        about = " ".join(str(work[name]) for name in ("call_id", "hook") if work.get(name))
        told = f"{work['seq']} {work['kind']} {about}".rstrip()
        yield line(dim("  open      "), (told, "yellow"))
    for index, message in enumerate(plain["messages"]):
        yield line(dim(f"  message   [{index}]  "), _said(message))


def differing(found: Iterable[Difference], indent: str = "  ") -> Iterator[Line]:
    """Yield each leaf that differs: its path, what it was, what it is."""
    for change in found:
        space = " " * len(indent)
        yield line(indent, bold(change.path))
        yield line((f"{space}- {shown(change.recorded, WHOLE)}", "red"))
        yield line((f"{space}+ {shown(change.now, WHOLE)}", "green"))


def grouped(paths: Sequence[str]) -> Iterator[str]:
    """Yield *paths*, neighbours of one list as one: ``messages[0..2]``."""
    runs: list[tuple[str, int, int]] = []
    for path in paths:
        found = _INDEX.fullmatch(path)
        name, index = (found[1], int(found[2])) if found else (path, -1)
        if runs and index > 0 and runs[-1][0] == name and runs[-1][2] == index - 1:
            runs[-1] = name, runs[-1][1], index
        else:
            runs.append((name, index, index))
    for name, first, last in runs:
        if first < 0:
            yield name
        else:
            yield f"{name}[{first}]" if first == last else f"{name}[{first}..{last}]"


def plain_request(found: RequestAt) -> PlainRequest:
    """Return a request as JSON; the body as text, to the byte."""
    return PlainRequest(
        seq=found.seq,
        n=found.n,
        before=found.before,
        model=found.model,
        digest=found.digest,
        recorded=found.recorded,
        usage=found.usage,
        is_verified=found.is_verified,
        body=found.body.decode(),
        **msgspec.structs.asdict(plain_changes(found)),
    )


def plain_changes(found: Compared) -> Changes:
    """Return as JSON what changed between two requests."""
    return Changes(
        unchanged=list(found.unchanged),
        unchanged_prefix=found.unchanged_prefix,
        added=[PlainPart(path=part.path, value=part.value) for part in found.added],
        removed=[PlainPart(path=part.path, value=part.value) for part in found.removed],
        changed=plain_leaves(found.changed),
    )


def plain_leaves(found: Iterable[Difference]) -> list[Leaf]:
    """Return leaves that differ as JSON; of one that is absent the value is left out."""
    return [
        Leaf(
            path=change.path,
            recorded=UNSET if change.recorded is ABSENT else change.recorded,
            now=UNSET if change.now is ABSENT else change.now,
        )
        for change in found
    ]


def _paths(found: Compared) -> set[str]:
    changed = {re.sub(r"\].*", "]", change.path) for change in found.changed}
    return {*found.unchanged, *(part.path for part in found.added), *changed}


def _gist(part: Part) -> str:
    """Return in words what a part of a request says; what is no message as JSON."""
    if not isinstance(part.value, dict) or "role" not in part.value:
        return value(part.value)
    rest = {name: item for name, item in part.value.items() if name != "role"}
    role, content = part.value["role"], rest.pop("content", None)
    calls = rest.pop("tool_calls", None) or []
    said = [_block(block) for block in (content if isinstance(content, list) else [content])]
    said += [_block(call) for call in calls]
    named = rest.pop("tool_call_id", "")
    told = [f"{role} {named}".rstrip(), *filter(None, said), *([value(rest)] if rest else [])]
    return "  ".join(told)


def _block(block: Any) -> str:
    """Return in words a piece of a message's content, as any provider writes it."""
    match block:
        case None:
            return ""
        case str(text):
            return text
        case {"function": {"name": str(name), "arguments": str(given)}}:
            return f"calls {name}({given})"
        case {"type": "text" | "input_text" | "output_text", "text": str(text), **more} if not more:
            return text
        case {"type": "tool_use", "name": str(name), "input": given}:
            return f"calls {name}({value(given)})"
        case {"type": "tool_result", "tool_use_id": str(call_id), "content": str(text)}:
            return f"{call_id} {text}"
        case _:
            return value(block)


def _said(message: dict[str, Any]) -> str:
    kept = {name: item for name, item in message.items() if item not in (None, "", [], {})}
    return value(kept)
