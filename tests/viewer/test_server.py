"""The server: what it refuses, that it changes nothing, and what it gives of a log."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.cli.test_damage import unfit
from tests.viewer.logs import Written, long_log

from tinyagent.events import kinds as k
from tinyagent.viewer.acting import Acts
from tinyagent.viewer.packed import packed
from tinyagent.viewer.server import Server

REPLAYS = Path(__file__).parents[2] / "replays"
LINES = (REPLAYS / "one-tool.jsonl").read_bytes().splitlines(keepends=True)


class Served:
    """A server of *folder*, and a client that says what it is told to."""

    def __init__(self, folder: Path, acts: Acts | None = None) -> None:
        self.folder = folder
        self.server = Server(folder, 0, acts)
        self._thread = Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, Any]:
        """Return status, body and headers. Host and token are right if they are not given."""
        return self.send(method, path, None, headers)

    def send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes, Any]:
        """Return the same of a request with a body."""
        port = self.server.port
        given = {"Host": f"127.0.0.1:{port}", "Authorization": f"Bearer {self.server.token}"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(method, path, body, headers=given)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        status, body, _ = self.ask(path)
        assert status == 200, body
        return json.loads(body)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "tool.jsonl").write_bytes(b"".join(LINES))
    (tmp_path / "outside.jsonl").write_bytes(b"".join(LINES))
    server = Served(folder)
    yield server
    server.close()


@pytest.mark.parametrize("path", ["/", "/log/tool.jsonl", "/api/sessions", "/api/log/tool.jsonl"])
@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (421, {"Host": "evil.example"}),
        (421, {"Host": "127.0.0.1"}),
        (421, {"Host": "127.0.0.1.evil.example:80"}),
        (403, {"Origin": "http://evil.example"}),
        (403, {"Origin": "null"}),
        (403, {"Origin": "https://127.0.0.1:{port}"}),
        (403, {"Sec_Fetch_Site": "cross-site"}),
        (403, {"Sec_Fetch_Site": "same-site"}),
    ],
)
def test_another_host_or_origin_gets_nothing(
    served: Served, path: str, status: int, headers: dict[str, str]
) -> None:
    told = {name: value.format(port=served.server.port) for name, value in headers.items()}
    found, body, _ = served.ask(path, **told)
    assert (found, list(json.loads(body))) == (status, ["error"])


def test_this_host_by_either_name_and_its_own_origin_are_served(served: Served) -> None:
    for name in ("127.0.0.1", "localhost"):
        host = f"{name}:{served.server.port}"
        assert served.ask("/api/sessions", Host=host, Origin=f"http://{host}")[0] == 200


@pytest.mark.parametrize("path", ["/api/sessions", "/api/log/tool.jsonl"])
@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer x", "Basic {token}", "Bearer {token}x"])
def test_without_the_token_nothing_of_a_log_is_told(served: Served, path: str, token: str) -> None:
    given = token.format(token=served.server.token)
    status, body, _ = served.ask(path, Authorization=given)
    assert (status, b"Paris" in body) == (401, False)


def test_the_pages_hold_nothing_of_a_log_and_may_not_be_framed(served: Served) -> None:
    for path in ("/", "/log/tool.jsonl", "/log/no-such-log"):
        status, body, headers = served.ask(path, Authorization="")
        assert (status, b"Paris" in body, b"one-tool" in body) == (200, False, False)
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; connect-src 'self'; script-src 'sha256-")
        assert policy.endswith("frame-ancestors 'none'")
        assert "unsafe" not in policy
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW"])
def test_every_method_but_get_is_refused(served: Served, method: str) -> None:
    status, _, headers = served.ask("/api/sessions", method)
    assert (status, headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize(
    "name",
    [
        *("../outside.jsonl", "..%2Foutside.jsonl", "%2e%2e/outside.jsonl", "outside.jsonl"),
        *("%2Fetc%2Fpasswd", "", ".", "..", "link.jsonl", "tool.jsonl/x", "tool.jsonl%00"),
    ],
)
def test_no_path_leads_out_of_the_folder(served: Served, name: str) -> None:
    if sys.platform != "win32":
        (served.folder / "link.jsonl").symlink_to(served.folder.parent / "outside.jsonl")
    assert served.ask(f"/api/log/{name}")[0] == 404
    assert [log["where"] for log in served.json("/api/sessions")["logs"]] == ["tool.jsonl"]


def test_what_is_no_request_is_refused(served: Served) -> None:
    assert served.ask("/api/log/tool.jsonl?from=-1")[0] == 400
    assert served.ask("/api/log/tool.jsonl?from=1&from=2")[0] == 400
    assert served.ask("/" + "x" * 5000)[0] == 414
    with socket.create_connection(("127.0.0.1", served.server.port), timeout=60) as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        assert b"Bad request syntax" in raw.makefile("rb").read()


def test_the_sessions_are_told_the_newest_first_and_what_cannot_be_read_is_named(
    served: Served,
) -> None:
    later = Written("later", "ab" * 16)
    later.start("Be brief.")
    later.add(k.UserSaid(content="Hello?"), after_ms=1e9)
    later.write(served.folder / "later.jsonl")
    (served.folder / "broken.jsonl").write_bytes(LINES[0] + LINES[3] + LINES[5])
    unfit(served.folder / "unfit.jsonl")
    told = served.json("/api/sessions")
    assert [(log["where"], log["status"], log["first"]) for log in told["logs"]] == [
        ("later.jsonl", "crashed", "Hello?"),
        ("tool.jsonl", "answered", "Weather in Paris?"),
    ]
    assert list(told["unreadable"]) == ["broken.jsonl", "unfit.jsonl"]
    assert str(served.folder.parent) not in json.dumps(told["logs"])
    assert served.ask("/api/log/broken.jsonl")[0] == 500
    assert b"record 2 is whole, but no tool.in_doubt" in served.ask("/api/log/unfit.jsonl")[1]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files that are no UTF-8")
def test_a_name_that_is_no_text_is_told_among_what_cannot_be_read(served: Served) -> None:
    odd = Path(os.fsdecode(os.fsencode(served.folder) + b"/odd\xff"))
    odd.mkdir()
    (odd / "00000001.jsonl").write_bytes(b"".join(LINES))
    told = served.json("/api/sessions")
    assert [log["where"] for log in told["logs"]] == ["tool.jsonl"]
    assert told["unreadable"] == {"odd\\udcff": "its name is no UTF-8: give it another one"}


def test_a_log_is_told_by_range_as_a_page_of_it_says(served: Served) -> None:
    log = long_log(700)
    log.write(served.folder / "long.jsonl")
    items: list[Any] = []
    rounds = 0
    while True:
        told = served.json(f"/api/log/long.jsonl?from={len(items)}")
        items += told["items"]
        rounds += 1
        assert told["next"] == len(items)
        if not told["more"]:
            break
    assert rounds > 1
    assert told["total"] == len(log.stored)
    page = json.loads(packed(log.recording(), False, True, None))
    apart = {"items", "version", "live", "next", "more"}
    assert {n: told[n] for n in told.keys() - apart} == {n: page[n] for n in page.keys() - apart}
    # Of an answer that was given while it was written, deltas may stand in more than one item.
    others = [item for item in page["items"] if item["k"] != "model.delta"]
    assert [item for item in items if item["k"] != "model.delta"] == others


def test_a_log_that_grows_is_followed_and_a_line_that_is_not_whole_is_waited_for(
    served: Served,
) -> None:
    path = served.folder / "log" / "00000001.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"".join(LINES[:4]) + LINES[4][:30])
    first = served.json("/api/log/log")
    assert [item["s"] for item in first["items"]] == [1, 2, 3]
    with path.open("ab") as file:
        file.write(LINES[4][30:] + LINES[5])
    then = served.json(f"/api/log/log?from={first['next']}")
    (deltas,) = then["items"]
    assert (deltas["s"], deltas["l"], then["next"], then["total"]) == (4, 5, 4, 5)
    assert then["version"] == first["version"]
    assert served.json("/api/log/log?from=4")["items"] == []


def test_a_log_that_was_opened_again_is_told_anew(served: Served) -> None:
    path = served.folder / "trip.jsonl"
    trip_log = Written("one")
    trip_log.start("")
    trip_log.write(path)
    before = served.json("/api/log/trip.jsonl")
    path.unlink()
    other = Written("two", "cd" * 16)
    other.start("")
    other.add(k.UserSaid(content="Hello?"))
    other.write(path)
    after = served.json("/api/log/trip.jsonl?from=0")
    assert (before["name"], after["name"], after["next"]) == ("one", "two", 2)
    assert after["version"] != before["version"]


def test_serving_writes_nothing(served: Served) -> None:
    def all_of_it() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in served.folder.rglob("*") if path.is_file()}

    before = all_of_it()
    served.json("/api/sessions")
    served.json("/api/log/tool.jsonl")
    assert all_of_it() == before
