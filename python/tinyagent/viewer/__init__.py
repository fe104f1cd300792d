"""The viewer: one log as one HTML file, which needs nothing else and loads nothing from outside.

``viewer.html`` is the whole of it: layout, style and script, as they are written. ``to_html`` puts
the log in, as data that the script unpacks and only ever shows as text, and as the plain
transcript for who runs no script. The policy in the page allows that script and style by their
hashes, and nothing else.
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
    fills = {
        "«policy»": policy(_script(), _style()),
        "«title»": html.escape(visible(recording.meta.name or recording.ref)),
        "«transcript»": html.escape("\n".join(transcript(recording, content, last))),
        "«data»": base64.b64encode(data).decode(),
    }
    page = "".join(fills.get(piece, piece) for piece in _MARK.split(_template()))
    whole = page.encode("utf-8", "backslashreplace")
    if len(whole) > PAGE_BYTES_MAX:
        raise PageTooLargeError(
            f"{recording.ref}: the page would have {len(whole):,} bytes, more than "
            f"{PAGE_BYTES_MAX:,}; take its end (--last 200), or leave out texts (--no-content)"
        )
    return whole


def served_page(kind: Literal["log", "sessions"]) -> tuple[bytes, str]:
    """Return the page of a server, which fetches what it shows, and its policy."""
    scripts = [_source("served.js"), _script() if kind == "log" else _source("sessions.js")]
    allowed = policy(*scripts, _style(), connects=True)
    fills = {
        "«policy»": allowed,
        "«title»": "Sessions",
        "«transcript»": "This page needs its script.",
        "«data»": "",
    }
    before, _, behind = _template().partition(f"<script>{_script()}</script>")
    whole = "".join([before, *(f"<script>{code}</script>\n" for code in scripts), behind])
    page = "".join(fills.get(piece, piece) for piece in _MARK.split(whole))
    return page.encode(), f"{allowed}; frame-ancestors 'none'"


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


def _template() -> str:
    return _source("viewer.html")


@cache
def _source(name: str) -> str:
    # A browser reads every end of line as \n, and hashes what it read.
    return Path(__file__).with_name(name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _script() -> str:
    return _inside("script")


def _style() -> str:
    return _inside("style")


def _inside(tag: str) -> str:
    """Return the code of the one element of the template that has *tag* and no attribute."""
    _, _, rest = _template().partition(f"<{tag}>")
    return rest.partition(f"</{tag}>")[0]


def _hash(code: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
