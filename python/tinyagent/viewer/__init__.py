"""The viewer: one log as one HTML file, which needs nothing else and loads nothing from outside.

``viewer.html`` is layout, style and script, as they are written. ``to_html`` puts the log in, as
data that the script unpacks and only ever shows as text, and as the plain transcript for who runs
no script; and what draws a view that not every page has something for: ``pace.js``, ``forks.js``,
``divergence.js``. The policy in the page allows these scripts and this style by their hashes, and
nothing else.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tinyagent._visible import visible
from tinyagent.runtime.errors import LogError
from tinyagent.viewer.packed import packed
from tinyagent.viewer.plain import transcript

if TYPE_CHECKING:
    from tinyagent.recording import Recording
    from tinyagent.runtime.divergence import Report

PAGE_BYTES_MAX = 50_000_000
"""A larger page opens slowly, or not at all."""

_MARK = re.compile("(«policy»|«title»|«transcript»|«data»)")


class PageTooLargeError(LogError):
    """The log is too large for one page. Fewer turns of it may do."""


def to_html(
    recording: Recording,
    *,
    with_deltas: bool = False,
    content: bool = True,
    last: int | None = None,
    report: Report | None = None,
) -> bytes:
    """Return *recording* as a page: for the same log and settings, the same bytes.

    Args:
        with_deltas: every delta is a record of the page; otherwise those of one answer are one.
        content: False leaves out what was said, given and got, and keeps names and sizes.
        last: only so many model calls at the end of the log, and what belongs to them.
        report: what a replay of it found: where it diverged is a view of the page.

    Raises:
        PageTooLargeError: the page would be larger than ``PAGE_BYTES_MAX``.
    """
    data = gzip.compress(packed(recording, with_deltas, content, last, report), 9, mtime=0)
    data = data[:9] + b"\xff" + data[10:]  # the system that packed it, which nobody asks for
    views = {
        "pace.js": with_deltas,
        "forks.js": recording.meta.fork is not None,
        "divergence.js": report is not None and report.first_divergence is not None,
    }
    common, script = _inside("script")
    code = [common, *(_source(name) for name, is_shown in views.items() if is_shown), script]
    style = _style(*(["views.css"] if len(code) > 2 else []))
    page = _page(
        code,
        policy(*code, style),
        style,
        title=visible(recording.meta.name or recording.ref),
        transcript="\n".join(transcript(recording, content, last)),
        data=base64.b64encode(data).decode(),
    ).encode("utf-8", "backslashreplace")
    if len(page) > PAGE_BYTES_MAX:
        raise PageTooLargeError(
            f"{recording.ref}: the page would have {len(page):,} bytes, more than "
            f"{PAGE_BYTES_MAX:,}; take its end (--last 200), or leave out texts (--no-content)"
        )
    return page


def served_page(kind: Literal["log", "sessions"]) -> tuple[bytes, str]:
    """Return the page of a server, which fetches what it shows, and its policy."""
    common, script = _inside("script")
    names = ("followed.js", "pace.js", "forks.js") if kind == "log" else ("forks.js", "sessions.js")
    code = [common, *map(_source, ("served.js", *names)), *([script] if kind == "log" else [])]
    style = _style("views.css", "served.css")
    allowed = policy(*code, style, connects=True)
    page = _page(code, allowed, style, title="Sessions", transcript="This page needs its script.")
    return page.encode(), f"{allowed}; frame-ancestors 'none'"


def _page(
    code: list[str], allowed: str, style: str, *, title: str, transcript: str, data: str = ""
) -> str:
    """Return the template with *code* as its scripts."""
    fills = {
        "«policy»": allowed,
        "«title»": html.escape(title),
        "«transcript»": html.escape(transcript),
        "«data»": data,
    }
    before, *_, behind = re.split("<script>.*?</script>\n", _source("viewer.html"), flags=re.DOTALL)
    before = before.replace(_style(), style)
    whole = "".join([before, *(f"<script>{each}</script>\n" for each in code), behind])
    return "".join(fills.get(piece, piece) for piece in _MARK.split(whole))


def policy(*code: str, connects: bool = False) -> str:
    """Return the content security policy of a page: scripts, then the style.

    *connects*: it may ask the server that it came from.
    """
    *scripts, style = (f"'{_hash(each)}'" for each in code)
    asks = "connect-src 'self'; " if connects else ""
    return (
        f"default-src 'none'; {asks}script-src {' '.join(scripts)}; style-src {style}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


@cache
def _source(name: str) -> str:
    # A browser reads every end of line as \n, and hashes what it read.
    return Path(__file__).with_name(name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _style(*more: str) -> str:
    return "".join([*_inside("style"), *map(_source, more)])


def _inside(tag: str) -> list[str]:
    """Return the code in the elements of the template that have *tag* and no attribute."""
    return re.findall(f"<{tag}>(.*?)</{tag}>", _source("viewer.html"), re.DOTALL)


def _hash(code: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
