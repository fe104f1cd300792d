"""The page in a browser: every view, by keyboard and pointer, in light and dark, under attack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.viewer.chromium import Chromium
from tests.viewer.logs import Written, long_session, tool, trip

from tinyagent import load
from tinyagent.events import kinds as k
from tinyagent.recording import Recording
from tinyagent.viewer import to_html

REPLAYS = sorted((Path(__file__).parents[2] / "replays").glob("*.jsonl"))
Open = Callable[..., None]
VIEWS = ("transcript", "timeline", "context", "state", "causes")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "trip.html"
    path.write_bytes(to_html(trip()))
    return path


@pytest.fixture
def shown(browser: Chromium, page: Path) -> Open:
    """Open the trip at a place; afterwards nothing was loaded and nothing complained."""

    def at(place: str = "") -> None:
        browser.open(page, place)

    return at


def write(recording: Recording, to: Path, **settings: Any) -> Path:
    to.write_bytes(to_html(recording, **settings))
    return to


def place(browser: Chromium) -> dict[str, str]:
    told: dict[str, str] = browser.run(
        "Object.fromEntries(new URLSearchParams(location.hash.slice(1)))"
    )
    return told


def rows(browser: Chromium) -> list[str]:
    """Return the rows that are there, each as a line."""
    return [" ".join(text.split()) for text in browser.texts(".row .top")]


def test_the_transcript_tells_the_session_in_order(browser: Chromium, shown: Open) -> None:
    shown()
    told = rows(browser)
    assert [line.split(" ")[3] for line in told[1:4]] == ["user", "model", "tool"]
    assert "Plan a day in Paris for tomorrow" in told[1]
    assert 'forecast(city="Paris", days=1)' in told[2]
    stats = "3 turns 6.3 s 3,147 tokens 1,782 from cache"
    assert browser.text("#stats").split() == stats.split()
    assert browser.text("h1") == "trip"
    assert browser.said == []
    assert all(url.startswith(("file:", "about:")) for url in browser.asked)


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_has_its_address_and_its_key(browser: Chromium, shown: Open, view: str) -> None:
    shown(f"#seq=17&view={view}")
    assert browser.text("nav [aria-selected=true]").endswith(view)
    assert place(browser) == {"seq": "17", "view": view}
    browser.press("1" if view != "transcript" else "2")
    assert place(browser)["view"] != view
    browser.press(str(VIEWS.index(view) + 1))
    assert place(browser) == {"seq": "17", "view": view}
    browser.click("nav button", (VIEWS.index(view) + 1) % 5)
    assert place(browser)["view"] == VIEWS[(VIEWS.index(view) + 1) % 5]
    assert browser.said == []


def test_the_context_says_what_is_new_since_the_call_before(browser: Chromium, shown: Open) -> None:
    shown("#seq=28&view=context")
    assert browser.text("#panel h2").startswith("Request #3 to planner-1")
    parts = [" ".join(text.split()) for text in browser.texts("#panel > .part > summary")]
    assert parts[0].startswith("= 12 parts unchanged, byte for byte: model")
    assert parts[1].startswith("+ messages[5] assistant No forecast, so a museum first")
    assert parts[2].startswith("+ messages[6] tool Le Petit Pont: table for 2")
    assert "✓ digest as recorded" in browser.text("#panel")
    assert "1,002 of 1,105 tokens read from cache (91 %)" in browser.text("#panel")
    browser.click("#panel > .part > summary", 2)
    assert "no. 4711" in browser.texts("#panel > .part")[2]


def test_the_context_says_how_much_of_it_was_there_before(browser: Chromium, shown: Open) -> None:
    shown("#seq=17&view=context")
    assert browser.text("#panel .pair > span").split()[:4] == ["+3", "−0", "~0", "=9"]
    browser.click("#panel .pair .chip")
    assert len(browser.texts("#panel > .part")) == 12


def test_the_state_is_held_against_the_row_before_or_any_other(
    browser: Chromium, shown: Open
) -> None:
    shown("#seq=28&view=state&vs=2")
    assert browser.text("#panel h2") == "State after record 28"
    told = [" ".join(text.split()) for text in browser.texts("#panel table.wide tr")]
    assert "agent.n − 1 + 3" in told
    assert place(browser) == {"seq": "28", "view": "state", "vs": "2"}


def test_the_causes_light_what_led_to_a_record_and_what_it_led_to(
    browser: Chromium, shown: Open
) -> None:
    shown("#seq=14&view=causes")
    chain = [text.split()[0] for text in browser.texts("#panel ol.chain:first-of-type .seq")]
    assert chain == ["2", "3", "9", "11", "14"]
    lit = [text[:1] for text in rows(browser)]
    assert lit[1:4] == ["▲", "▲", "▸"]
    assert '"call_id": "call_m1"' in browser.text("#panel pre")
    browser.click("#panel .chain button", 0)
    assert place(browser) == {"seq": "2", "view": "causes"}


def test_the_timeline_has_a_lane_per_actor_and_a_mark_per_failure(
    browser: Chromium, shown: Open
) -> None:
    shown("#view=timeline")
    assert browser.run(
        "[...document.querySelectorAll('#chart svg text[x=\"12\"]')].map((n) => n.textContent)"
    ) == ["host", "model", "tools"]
    assert browser.run("document.querySelectorAll('#chart .bad .hit').length") == 1
    line = next(t for t in browser.texts("#panel table tr") if t.startswith("forecast"))
    assert line.split() == ["forecast", "1", "1", "550", "ms", "550", "ms", "550", "ms"]


def test_keys_step_through_records_calls_turns_and_errors(browser: Chromium, shown: Open) -> None:
    shown("#seq=1")
    steps = "j 2  m 3  t 14  n 15  n 18  N 15  ] 17  [ 3"
    for key, seq in (step.split() for step in steps.split("  ")):
        browser.press(key)
        assert place(browser)["seq"] == seq, key
    browser.press("k")
    assert place(browser)["seq"] == "2"
    browser.press("g", "2", "6", "Enter")
    assert place(browser)["seq"] == "26"


def test_rows_open_by_key_and_by_pointer(browser: Chromium, shown: Open) -> None:
    shown("#seq=14")
    browser.press("e")
    assert "Louvre 9:00-21:00\nCluny closed" in browser.text(".row .body")
    browser.press("e")
    assert browser.texts(".row .body") == []
    browser.click(".row .top", 1)
    assert browser.texts(".row .body .text") == [
        "Plan a day in Paris for tomorrow, and book a table for two."
    ]
    browser.press("E")
    assert len(browser.texts(".row .body")) > 3


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("louvre cluny", ["14"]),
        ("tool:book", ["26"]),
        ("kind:model seq:10..40", ["17", "18", "28"]),
        ("is:error", ["15"]),
        ("is:retry", ["18"]),
        ("actor:tools took:>0.35", ["15", "26"]),
        ('"no such words"', []),
        ("tokens:>1000 no-forecast", []),
    ],
)
def test_search_finds(browser: Chromium, shown: Open, query: str, found: list[str]) -> None:
    shown()
    browser.press("/")
    browser.call("Input.insertText", text=query)
    assert browser.run("[...document.querySelectorAll('.row')].map((r) => r.dataset.seq)") == found
    assert place(browser)["q"] == query
    browser.press("Escape")
    assert len(rows(browser)) > 8


def test_filters_hide_kinds_but_never_an_error_or_a_retry(browser: Chromium, shown: Open) -> None:
    shown()
    browser.click("[data-chip=tool]")
    browser.click("[data-chip=model]")
    seqs = "[...document.querySelectorAll('.row')].map((r) => r.dataset.seq)"
    assert browser.run(seqs) == ["1", "2", "15", "18", "34"]
    assert browser.text("#count") == "5 rows, 8 not shown · deltas joined"
    assert place(browser)["chips"] == "model.tool"
    browser.click("[data-chip=every]")
    assert rows(browser)[0].split()[:4] == ["▸", "record", "1", "session.started"]


def test_dark_and_light_follow_the_system_and_the_button(browser: Chromium, shown: Open) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    browser.dark()
    shown()
    assert browser.run(colour) == "rgb(18, 21, 27)"
    browser.click("#tools button", 0)
    assert browser.run(colour) == "rgb(246, 247, 249)"
    browser.dark(False)


def test_what_is_printed_is_the_whole_transcript(browser: Chromium, shown: Open) -> None:
    shown()
    browser.run("dispatchEvent(new Event('beforeprint'))")
    printed = browser.run("document.getElementById('print').textContent")
    assert "Bon voyage!" in printed
    assert "Cluny closed for works" in printed
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run("document.getElementById('print').textContent") == ""


def test_commands_are_copied_for_a_shell(browser: Chromium, shown: Open) -> None:
    shown("#seq=17")
    browser.press("f")
    browser.until("#toast", "tinyagent fork 7f3a9c00:17")
    browser.press("3", "y")
    browser.until("#toast", "tinyagent show 7f3a9c00:17 --view context")


def test_a_reader_of_the_screen_is_told_roles_and_places(browser: Chromium, shown: Open) -> None:
    shown("#seq=15&view=context")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    told = {(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if "role" in n}
    assert ("tab", "context") in {(role, name.split(" ")[-1]) for role, name in told}
    assert ("searchbox", "Search") in told
    names = [name for role, name in told if role == "button"]
    assert any("record 15" in name and "failed" in name for name in names)
    assert "light or dark" in names
    browser.press("4")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    fields = [n["name"]["value"] for n in nodes if n.get("role", {}).get("value") == "spinbutton"]
    assert fields == ["compared with record"]


def test_an_image_of_the_log_is_shown_from_its_own_bytes(browser: Chromium, tmp_path: Path) -> None:
    dot = (
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5"
        "ErkJggg=="
    )
    log = Written()
    log.start("")
    log.add(k.UserSaid(content=[{"type": "image", "mime_type": "image/png", "data": dot}]))
    browser.open(write(log.recording(), tmp_path / "image.html"), "#seq=2")
    browser.press("e")
    assert browser.run("document.images[0].decode().then(() => document.images[0].naturalWidth)")
    assert browser.said == []


EVERYWHERE = """(async () => {
    const seen = [];
    for (const view of ["1", "2", "3", "4", "5"]) {
        document.dispatchEvent(new KeyboardEvent("keydown", { key: view }));
        for (let at = 0; at < 60; at++) {
            document.dispatchEvent(new KeyboardEvent("keydown", { key: view === "1" ? "j" : "]" }));
            if (view === "1") document.dispatchEvent(new KeyboardEvent("keydown", { key: "e" }));
        }
        document.querySelectorAll("#panel details").forEach((d) => { d.open = true; });
        await new Promise((done) => requestAnimationFrame(done));
        const part = document.getElementById(view === "1" ? "list" : "panel");
        seen.push(part.textContent.length > 10);
    }
    return seen;
})()"""


@pytest.mark.parametrize("path", REPLAYS, ids=lambda path: path.stem)
def test_every_recording_can_be_walked_through_in_every_view(
    browser: Chromium, tmp_path: Path, path: Path
) -> None:
    browser.open(write(load(path), tmp_path / "log.html"))
    assert browser.run(EVERYWHERE) == [True] * 5
    assert browser.said == []


@pytest.mark.parametrize("settings", [{"content": False}, {"with_deltas": True}])
def test_the_page_is_the_same_program_without_texts_and_with_deltas(
    browser: Chromium, tmp_path: Path, settings: dict[str, bool]
) -> None:
    browser.open(write(trip(), tmp_path / "log.html", **settings))
    assert browser.run(EVERYWHERE) == [True] * 5
    assert browser.said == []


def test_what_the_reader_does_not_know_is_shown_as_it_is(browser: Chromium, tmp_path: Path) -> None:
    log = Written()
    log.start("")
    for kind, payload in (
        ("tool.finished", b'{"failure":[1],"call_id":{}}'),
        ("model.finished", b'{"calls":7,"usage":"much"}'),
        ("user.waved", b'"with both hands"'),
        ("user.waved", b"null"),
    ):
        log.unknown(kind, payload)
    browser.open(write(log.recording(), tmp_path / "log.html"), "#chips=more")
    assert browser.run(EVERYWHERE) == [True] * 5
    assert browser.said == []
    assert "with both hands" in browser.run("document.getElementById('list').textContent")


def test_a_call_in_doubt_is_marked_and_found(browser: Chromium, tmp_path: Path) -> None:
    log = Written()
    log.start("", tool("pay", "Pays.", "write", who="string"))
    said = log.add(k.UserSaid(content="Pay Ann."))
    done = log.answer(log.ask(said), "", ("c1", "pay", '{"who":"Ann"}'))
    requested = log.add(k.ToolRequested(call_id="c1", name="pay"), done)
    log.add(k.ToolStarted(call_id="c1", effect="write"), requested)
    log.add(k.ToolInDoubt(call_id="c1", why="stopped"), requested)
    browser.open(write(log.recording(), tmp_path / "log.html"), "#q=is:in-doubt")
    (line,) = rows(browser)
    assert "pay nobody knows whether it was done (stopped) ? in doubt" in line.replace(
        "?in", "? in"
    )
    assert browser.texts("#stats span")[-1] == "1 in doubt"
    assert browser.text(".pill") == "crashed"


def test_a_child_has_its_own_lane_and_can_be_left_out(browser: Chromium, tmp_path: Path) -> None:
    log = Written()
    log.start("")
    said = log.add(k.UserSaid(content="Ask the others."))
    child = log.add(k.UserSaid(content="What is it?"), said, actor="agent:main/research#1")
    log.add(k.RunEnded(outcome="answered"), child)
    browser.open(write(log.recording(), tmp_path / "log.html"))
    assert "agent:main/research#1 What is it?" in rows(browser)[2]
    browser.click("[data-chip=child]")
    assert len(rows(browser)) == 3


@pytest.mark.slow
def test_a_thousand_turns_open_and_only_what_is_seen_is_built(
    browser: Chromium, thousand_turns: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "long.html"
    path.write_bytes(thousand_turns)
    browser.open(path, "#seq=5000")
    # A machine that does nothing else needs less than 2 s.
    assert browser.run("performance.now()") < 20_000
    assert len(rows(browser)) < 80
    assert place(browser)["seq"] == "5000"
    for view in "2345":
        browser.press(view)
    assert browser.said == []


def test_of_a_long_context_what_is_folded_is_built_when_it_is_opened(
    browser: Chromium, tmp_path: Path
) -> None:
    path = write(long_session(60), tmp_path / "long.html")
    browser.open(path, "#seq=590&view=context")
    counting = "partNode = (...given) => (count++, built(...given))"
    browser.run(f"{{ const built = partNode; count = 0; {counting}; }}")
    browser.run("draw()")
    assert browser.texts("#panel > .part > summary")[0].startswith("=\n121 parts")
    assert browser.run("count") == 2
    browser.click("#panel > .part > summary")
    browser.run("new Promise(requestAnimationFrame)")
    assert browser.run("count") == 2 + 121
    assert len(browser.texts("#panel .part .part > summary")) == 121


def test_without_a_script_the_transcript_is_there(browser: Chromium, page: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.call("Page.navigate", url=page.as_uri())
        browser.loaded()
        node = browser.call("DOM.getDocument")["root"]["nodeId"]
        found = browser.call("DOM.querySelector", nodeId=node, selector="noscript > pre")
        told = browser.call("DOM.getOuterHTML", nodeId=found["nodeId"])["outerHTML"]
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert "Plan a day in Paris for tomorrow" in told
