"""Text that has the form of a token, as those write them who issue keys and passwords."""

from __future__ import annotations

import re

# Prefixes that nothing but a token has, as their issuers document them.
TOKEN = re.compile(
    r"sk-(?:ant|proj|or|svcacct)-[A-Za-z0-9_-]{20,}|sk-[A-Za-z0-9]{32,}"
    r"|(?:sk|rk)_live_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{24,}"
    r"|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|xox[abprs]-[A-Za-z0-9-]{20,}|AIza[A-Za-z0-9_-]{35}|(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}"
)
_TOKEN = re.compile(TOKEN.pattern.encode())
# To look for each is faster by far than for the pattern, and most records have none.
_PARTS = (
    *(b"sk-", b"_live_", b"whsec_", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"),
    *(b"glpat-", b"xox", b"AIza", b"AKIA", b"ASIA", b"hf_", b"npm_", b"pypi-"),
)


def tokens_in(payload: bytes) -> int:
    """Return how many texts of this form are in *payload*, the JSON of a record."""
    if not any(part in payload for part in _PARTS):
        return 0
    return len(_TOKEN.findall(payload))
