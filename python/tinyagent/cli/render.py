"""Text for a terminal. What comes from a log is shown, never sent: no escape sequence passes.

Views yield lines that know their plain text; ``emit`` alone prints them, and alone decides on
colour, width and pager.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

import msgspec

from tinyagent._visible import spelled, visible

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_PAGER = "less -FRX"
_SPECIAL = re.compile(r"[^ -~]")
Piece = str | tuple[str, str]
"""A text, or a text with a style of rich."""


class Line(str):
    """A line of text that knows which of its pieces are styled."""

    __slots__ = ("pieces",)
    pieces: tuple[tuple[str, str], ...]


def line(*pieces: Piece) -> Line:
    """Return *pieces* as one line, without what a terminal would obey."""
    told = tuple((safe(p), "") if isinstance(p, str) else (safe(p[0]), p[1]) for p in pieces)
    made = Line("".join(text for text, _ in told))
    made.pieces = told
    return made


def dim(text: str) -> tuple[str, str]:
    """Return *text* as secondary."""
    return text, "dim"


def bold(text: str) -> tuple[str, str]:
    """Return *text* as what a line is about."""
    return text, "bold"


def bad(text: str) -> tuple[str, str]:
    """Return *text* as an error or a doubt."""
    return text, "red"


def good(text: str) -> tuple[str, str]:
    """Return *text* as an answer that is yes."""
    return text, "green"


def emit(
    lines: Iterable[str], *, color: str = "auto", pager: bool = False, whole: bool = False
) -> None:
    """Print *lines*: cut to width on a terminal, whole in a pipe, or where they say what to do.

    With *pager*, and on a terminal only, through ``TINYAGENT_PAGER``, ``PAGER`` or ``less``.
    """
    columns = width()
    is_colored = has_color(color)
    with _sent_to(pager and columns is not None) as out:
        write = _colored(out) if is_colored else _plain(out)
        for text in lines:
            pieces = text.pieces if isinstance(text, Line) else ((safe(text), ""),)
            write(pieces if whole or columns is None else tuple(_cut(pieces, columns)))


def console(**options: Any) -> Console:
    """Return a console of rich that tells of a closed pipe, and does not end the process."""
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Piped(**options)


def has_color(choice: str = "auto") -> bool:
    """Whether standard output takes colours: as asked, as the environment says, as it is."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def safe(text: str) -> str:
    """Return *text* with control, format and direction marks written out, on one line."""
    line = text.replace("\n", " ⏎ ").replace("\t", " ")
    return visible(line)


def width() -> int | None:
    """Return how wide a line may be: the terminal's columns, without limit in a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def answer(document: msgspec.Struct) -> None:
    """Print *document* as JSON, on one line; escaped where standard output is not UTF-8."""
    text = as_json(document)
    encoding = (sys.stdout.encoding or "utf-8").lower().replace("-", "")
    if encoding != "utf8":
        text = _SPECIAL.sub(lambda found: _in_json(found[0]), text)
    print(text, flush=True)


def as_json(told: object) -> str:
    """Return *told* as JSON, safe for a terminal."""
    try:
        text = msgspec.json.encode(told).decode()
    except UnicodeEncodeError:  # the name of a file that is no UTF-8
        text = msgspec.json.encode(_spelled(told)).decode()
    return visible(text, _in_json)


def _spelled(told: Any) -> Any:
    """Return *told* with what UTF-8 has not written out in its texts."""
    match told:
        case str():
            return spelled(told)
        case dict():
            return {_spelled(key): _spelled(item) for key, item in told.items()}
        case list() | tuple():
            return [_spelled(item) for item in told]
        case msgspec.Struct():
            fields = {name: _spelled(getattr(told, name)) for name in told.__struct_fields__}
            return type(told)(**fields)
        case _:
            return told


def value(of: Any) -> str:
    """Return a JSON value as text; a plain string without quotes."""
    return of if isinstance(of, str) else msgspec.json.encode(of).decode()


def _in_json(char: str) -> str:
    return json.dumps(char)[1:-1]


def _cut(pieces: Iterable[tuple[str, str]], columns: int) -> Iterator[tuple[str, str]]:
    """Yield as much of *pieces* as fits into *columns* cells; an ellipsis stands for the rest."""
    kept = list(pieces)
    if sum(_cells(text) for text, _ in kept) <= columns:
        yield from kept
        return
    left = columns - 1
    for text, style in kept:
        for at, char in enumerate(text):
            left -= _cells(char)
            if left < 0:
                yield f"{text[:at]}…", style
                return
        yield text, style


def _cells(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def _plain(out: IO[str]) -> Any:
    return lambda pieces: out.write("".join(text for text, _ in pieces) + "\n")


def _colored(out: IO[str]) -> Any:
    from rich.text import Text

    written = console(
        file=out,
        force_terminal=True,
        color_system="standard",
        no_color=False,
        highlight=False,
        legacy_windows=False,
    )
    return lambda pieces: written.print(Text.assemble(*pieces), soft_wrap=True)


@contextmanager
def _sent_to(is_paged: bool) -> Generator[IO[str]]:
    """Yield standard output, or a pager's input; a pager that ends early ends the output."""
    command = os.environ.get("TINYAGENT_PAGER", os.environ.get("PAGER", DEFAULT_PAGER))
    words = shlex.split(command)
    if not is_paged or not words or words == ["cat"] or os.environ.get("TERM") == "dumb":
        yield sys.stdout
        return
    env = {"LESS": "FRX", **os.environ}
    try:
        pager = subprocess.Popen(words, stdin=subprocess.PIPE, text=True, encoding="utf-8", env=env)
    except OSError:
        yield sys.stdout
        return
    assert pager.stdin is not None
    with suppress(BrokenPipeError):
        yield pager.stdin
    with suppress(BrokenPipeError):
        pager.stdin.close()
    pager.wait()
