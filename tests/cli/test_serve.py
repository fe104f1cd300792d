"""``tinyagent serve`` as a process: it announces itself, answers, and ends at once."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from tests.cli.schemas import faults
from tests.recordings import REPLAYS

Run = Callable[..., tuple[int, str, str]]
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/#token=([\w-]{32})\n")


@contextmanager
def serving(*argv: str) -> Generator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "tinyagent", "serve", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Who runs the tests in the background may ignore it, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.skipif(sys.platform == "win32", reason="there, an interrupt is sent otherwise")
def test_it_says_where_it_is_answers_and_ends_when_interrupted_whoever_is_connected() -> None:
    with serving(str(REPLAYS)) as process:
        found = ADDRESS.fullmatch(first_line(process))
        assert found is not None
        port, token = found.groups()
        request = Request(f"http://127.0.0.1:{port}/api/sessions")
        request.add_header("Authorization", f"Bearer {token}")
        with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
            assert len(json.load(answer)["logs"]) == len(list(REPLAYS.glob("*.jsonl")))
        with socket.create_connection(("127.0.0.1", int(port)), timeout=60) as idle:
            idle.sendall(b"GET / HTTP/1.1\r\nHost:")  # and never goes on
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (130, "", "")


def test_the_address_is_told_as_a_document(run: Run, tmp_path: Path) -> None:
    with serving(str(tmp_path), "--json") as process:
        told = json.loads(first_line(process))
    assert faults(told, json.loads(run("schema", "serve")[1])) == []
    assert ADDRESS.fullmatch(told["url"] + "\n")
    assert (told["dir"], f":{told['port']}/" in told["url"]) == (str(tmp_path), True)


def test_it_listens_on_the_loopback_interface_alone(tmp_path: Path) -> None:
    with serving(str(tmp_path)) as process:
        found = ADDRESS.fullmatch(first_line(process))
        assert found is not None
        others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
        for other in others - {"127.0.0.1", "::1"}:
            with pytest.raises(OSError):  # noqa: PT011 - refused, or unreachable
                socket.create_connection((str(other), int(found[1])), timeout=5)


def test_wrong_use_is_told(run: Run, tmp_path: Path) -> None:
    code, out, err = run("serve", str(tmp_path / "none"))
    assert (code, out) == (3, "")
    assert err.endswith("none: there is no such folder\n")
    assert run("serve", str(tmp_path), "--port", "70000")[0] == 2
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = run("serve", str(tmp_path), "--port", str(port))
        assert (code, out) == (4, "")
        assert err == (
            f"RefusedError: 127.0.0.1:{port}: {os.strerror(errno.EADDRINUSE)}; leave out --port\n"
        )
