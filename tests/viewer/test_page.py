"""The page as bytes: the same for the same log, closed by its policy, within its limits."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.viewer.logs import Written, attacked, long_session, trip

from tinyagent import Agent, load, tool, viewer
from tinyagent.events import kinds as k
from tinyagent.testing import scripted
from tinyagent.viewer import PageTooLargeError, to_html

REPLAYS = sorted((Path(__file__).parents[2] / "replays").glob("*.jsonl"))
TEMPLATE_BYTES_MAX = 60 * 1024
READER = "agent:main/read#1"


@tool(effect="read")
async def look() -> str:
    """Look."""
    return "a page"


class Page(HTMLParser):
    """What a parser finds: tags with attributes, and the text in each script and style."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[str, str]] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside.append((tag, ""))

    def handle_endtag(self, tag: str) -> None:
        self.inside.append(("", ""))

    def handle_data(self, data: str) -> None:
        if self.inside:
            tag, text = self.inside[-1]
            self.inside[-1] = tag, text + data

    def texts(self, tag: str) -> list[str]:
        return [text for name, text in self.inside if name == tag]


def data_of(page: bytes) -> dict[str, Any]:
    found = re.search(rb'<script id="data" type="text/plain">([^<]*)</script>', page)
    assert found is not None
    told: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return told


def without_script(page: bytes) -> str:
    found = re.search(rb"<noscript><pre>(.*?)</pre></noscript>", page, re.DOTALL)
    assert found is not None
    return found[1].decode()


@pytest.mark.parametrize("path", REPLAYS, ids=lambda path: path.stem)
def test_the_same_log_is_the_same_page_in_every_process(path: Path) -> None:
    program = (
        "import hashlib, sys; from tinyagent import load; from tinyagent.viewer import to_html; "
        "log = load(sys.argv[1]); page = to_html(log) + to_html(log, with_deltas=True); "
        "print(hashlib.sha256(page).hexdigest())"
    )
    again = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    page = to_html(load(path)) + to_html(load(path), with_deltas=True)
    assert hashlib.sha256(page).hexdigest() == again.stdout.strip()


def test_a_page_does_not_say_where_the_log_lay(tmp_path: Path) -> None:
    copied = tmp_path / "somewhere-private.jsonl"
    copied.write_bytes(REPLAYS[0].read_bytes())
    page = to_html(load(copied))
    assert page == to_html(load(REPLAYS[0]))
    assert b"somewhere-private" not in page


@pytest.mark.parametrize("with_deltas", [False, True])
def test_the_policy_allows_these_scripts_and_this_style_and_nothing_else(
    with_deltas: bool,
) -> None:
    page = Page(to_html(attacked(), with_deltas=with_deltas))
    assert len(page.texts("script")) == 3 + with_deltas
    (policy,) = [a["content"] for _, a in page.tags if "content-security-policy" in str(a).lower()]
    *scripts, style = (
        f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
        for code in (*page.texts("script")[1:], *page.texts("style"))
    )
    assert policy == (
        f"default-src 'none'; script-src {' '.join(scripts)}; style-src {style}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    first = [tag for tag, _ in page.tags].index("meta")
    assert page.tags[first + 1][1].get("http-equiv") == "Content-Security-Policy"


def test_a_page_refers_to_nothing_outside_and_has_no_inline_handler() -> None:
    page = Page(to_html(attacked()))
    tags = [tag for tag, _ in page.tags]
    template = Path(viewer.__file__).with_name("viewer.html").read_bytes()
    assert tags == [tag for tag, _ in Page(template).tags]
    for _, attributes in page.tags:
        assert not {"src", "href", "style", "action", "srcset"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]


def test_the_script_parses_no_markup_and_keeps_nothing() -> None:
    folder = Path(viewer.__file__).parent
    files = [folder / name for name in ("viewer.html", "pace.js", "forks.js", "divergence.js")]
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    forbidden = (
        "innerHTML outerHTML insertAdjacentHTML document.write eval( new\u00a0Function DOMParser"
        " localStorage sessionStorage indexedDB document.cookie fetch( XMLHttpRequest import("
        " WebSocket http:// https://"
    )
    allowed = "http://www.w3.org/2000/svg"  # a name, which nobody loads
    code = source.replace(allowed, "")
    assert [word for word in forbidden.split(" ") if word.replace("\u00a0", " ") in code] == []


def test_the_template_is_small() -> None:
    assert len(Path(viewer.__file__).with_name("viewer.html").read_bytes()) < TEMPLATE_BYTES_MAX


def test_a_page_carries_the_code_of_a_view_only_where_that_has_something_to_show() -> None:
    views = (b"function pace(", b"function forks(", b"function divergence(")
    assert [code in to_html(trip()) for code in views] == [False, False, False]
    assert [code in to_html(trip(), with_deltas=True) for code in views] == [True, False, False]


def test_an_attack_is_text_where_no_script_runs() -> None:
    told = without_script(to_html(attacked()))
    assert "<" not in told
    assert "&lt;script&gt;" in told
    assert "\\u202e" in told
    assert "\u202e" not in told
    assert "\\u001b[31m" in told


def test_the_plain_transcript_holds_what_was_said_so_that_grep_finds_it() -> None:
    lines = without_script(to_html(trip())).splitlines()
    assert lines[0] == "trip · 7f3a9c00 · answered · 34 records · 3,147 tokens"
    assert "     2  user (prompt)" in lines
    assert "        Plan a day in Paris for tomorrow, and book a table for two." in lines
    assert "    15  tool forecast failed" in lines
    assert "        503 Service Unavailable" in lines


def test_deltas_are_joined_unless_asked_for() -> None:
    joined = data_of(to_html(trip()))["items"]
    deltas = data_of(to_html(trip(), with_deltas=True))["items"]
    assert len(deltas) == len(trip().records)
    first = next(item for item in joined if item["k"] == "model.delta")
    apart = [item for item in deltas if item["k"] == "model.delta" and item["c"] == first["c"]]
    assert first["n"] == len(apart)
    assert first["l"] == apart[-1]["s"]
    text = "".join(p[2] for item in apart for p in item["e"]["pieces"] if p[1] == "text")
    assert first["e"]["pieces"][0] == [0, "text", text]


def test_requests_fold_to_the_bytes_that_were_sent() -> None:
    recording = trip()
    fields: dict[str, list[str]] = {}
    found = 0
    for item in data_of(to_html(recording))["items"]:
        if "q" not in item:
            continue
        now: dict[str, list[str]] = {}
        body: list[str] = []
        for name, is_list, kept, parts in item["q"]["f"]:
            now[name] = fields.get(name, [])[:kept] + [raw for _, raw, _ in parts]
            whole = ",".join(now[name])
            body.append(f'"{name}":{f"[{whole}]" if is_list else whole}')
        fields = now
        assert f"{{{','.join(body)}}}".encode() == recording.request_at(item["s"]).body
        found += 1
    assert found == 3


def test_states_fold_to_what_the_library_says() -> None:
    recording = trip()
    agent: dict[str, Any] = {}
    messages: list[Any] = []
    for item in data_of(to_html(recording))["items"]:
        patch = item.get("p", {})
        agent |= patch.get("a", {})
        if "m" in patch:
            kept, more = patch["m"]
            messages = messages[:kept] + more
        if item["k"] == "model.delta":
            continue
        plain = recording.state_at(item["s"]).plain()
        for name in ("approving", "effectful"):
            plain["agent"][name] = sorted(plain["agent"][name])
        assert json.loads(json.dumps(agent)) == json.loads(json.dumps(plain["agent"]))
        assert [m["seq"] for m in messages] == [m["seq"] for m in plain["messages"]]


def test_without_content_no_text_of_the_log_is_in_the_page() -> None:
    page = to_html(trip(), content=False)
    told = json.dumps(data_of(page)) + without_script(page)
    for said in ("Paris", "museum first", "503 Service", "Orsay", "You plan trips", "a city"):
        assert said in json.dumps(data_of(to_html(trip())), ensure_ascii=False), said
        assert said not in told
    assert "forecast" in told  # the name of a tool
    assert "3,147 tokens" in told


def test_the_end_of_a_log_can_be_shown_alone_and_says_what_is_missing() -> None:
    recording = long_session(12)
    told = data_of(to_html(recording, last=2))
    asked = [item["s"] for item in told["items"] if "q" in item]
    assert asked == [r.seq for r in recording.records if isinstance(r.event, k.ModelRequested)][-2:]
    assert told["before"] == told["items"][0]["s"] - 1
    assert told["before"] + sum(item.get("n", 1) for item in told["items"]) == told["total"]
    assert told["items"][0]["p"]["m"][0] == 0  # the first state is whole


@pytest.mark.slow
def test_a_thousand_turns_take_less_than_5_mb(thousand_turns: bytes) -> None:
    assert len(thousand_turns) < 5_000_000


def test_more_than_50_mb_is_refused_with_what_to_do() -> None:
    log = Written()
    log.start("")
    noise = base64.b85encode(b"".join(hashlib.sha256(bytes([n])).digest() for n in range(256)))
    log.add(k.UserSaid(content=noise.decode() * 5_000))
    with pytest.raises(PageTooLargeError, match=r"50,000,000; take its end \(--last 200\)"):
        to_html(log.recording())


def test_an_empty_log_is_a_page_too() -> None:
    assert data_of(to_html(Written().recording()))["items"] == []


def test_what_an_agent_below_was_asked_is_held_against_what_it_was_asked_before() -> None:
    reader = Agent(model=scripted(("look", {}), "Found."), tools=[look])
    agent = Agent(
        model=scripted(("read", {"task": "Read."}), "Done."),
        tools=[reader.as_tool("read", "Reads.")],
    )
    agent.run_sync("Go.")
    data = data_of(to_html(agent.log.recording))
    asked = [(item["a"], item["s"], item["q"]) for item in data["items"] if "q" in item]
    before: dict[str, int] = {}
    assert [actor for actor, _, _ in asked] == ["agent", READER, READER, "agent"]
    for actor, seq, request in asked:
        assert (request["d"], request["b"]) == (request["r"], before.get(actor, 0))
        before[actor] = seq
    shown = without_script(to_html(agent.log.recording))
    assert "read#1 begins" in shown
    assert "read#1  tool look finished" in shown
