"""Texts that have the form of a token: ``export``, ``serve`` and ``doctor`` count them and warn."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from tests.cli.test_serve import ADDRESS, first_line, serving

from tinyagent import open_log

Run = Callable[..., tuple[int, str, str]]
TOLD = (
    "2 texts have the form of a token, first in record 2; `tinyagent redact` takes them out, "
    "Redact(patterns=True) masks them"
)
SAID = ("a task-list", "ghp_" + "a" * 36, "AKIA" + "A" * 16, "«secret:pattern:1»")


def written(place: Path | str, said: Sequence[str] = SAID) -> None:
    async def write() -> None:
        async with open_log(place) as log:
            for seq, text in enumerate(said, log.seq + 1):
                payload = json.dumps({"content": text}).encode()
                log.store.append(seq, seq, None, "user.said", 1, 0, payload)

    asyncio.run(write())


def test_an_export_warns_of_them_unless_it_has_no_texts(run: Run, tmp_path: Path) -> None:
    log, to = str(tmp_path / "log"), str(tmp_path / "out")
    written(log)
    code, out, _ = run("export", log, "--to", "html", "-o", to)
    assert (code, out.splitlines()[-1]) == (0, f"  {TOLD}")
    assert json.loads(run("export", log, "--to", "md", "-o", to, "--json")[1])["unmasked"] == 2
    assert run("export", log, "--to", "md")[2] == f"{log}: {TOLD}\n"
    for argv in (["html", "--no-content"], ["otel"]):
        assert TOLD not in run("export", log, "--to", *argv, "-o", to)[1]
    assert TOLD in run("export", log, "--to", "otel", "--content", "-o", to)[1]


@pytest.mark.parametrize("address", ["{}/log", "sqlite:///{}/runs.db#log"])
def test_the_doctor_finds_them(run: Run, tmp_path: Path, address: str) -> None:
    place = address.format(tmp_path)
    written(place)
    tmp_path.chmod(0o700)
    code, out, _ = run("doctor", "--dir", str(tmp_path))
    assert (code, f"! log        {place}: {TOLD}" in out) == (1, True), out


@pytest.mark.skipif(sys.platform == "win32", reason="there, an interrupt is sent otherwise")
def test_a_folder_that_is_served_warns_once_of_each_log_whenever_one_is_written(
    tmp_path: Path,
) -> None:
    written(tmp_path / "log", SAID[:1])
    with serving(str(tmp_path)) as process:
        found = ADDRESS.fullmatch(first_line(process))
        assert found is not None
        asked = Request(f"http://127.0.0.1:{found[1]}/api/sessions")
        asked.add_header("Authorization", f"Bearer {found[2]}")
        for said in (SAID[1:], SAID, ()):
            with urlopen(asked, timeout=60) as answer:
                assert len(json.load(answer)["logs"]) == 1
            written(tmp_path / "log", said)
        process.terminate()
        assert process.stderr is not None
        assert process.stderr.read() == f"{tmp_path / 'log'}: {TOLD}\n"


def test_one_text_is_told_as_one(run: Run, tmp_path: Path) -> None:
    """And a program that looks for tokens finds what it writes."""
    log = tmp_path / "log"
    written(log)
    done = subprocess.run(
        [sys.executable, "-m", "tinyagent", "redact", str(log), "--seq", "2", "-o", f"{log}-new"],
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    code, out, _ = run("doctor", "--dir", str(tmp_path))
    assert f"{log}-new: 1 text has the form of a token, first in record 3; " in out
    assert code == 1
