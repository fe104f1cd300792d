"""Every command at the other end of a pipe: closed early, interrupted, and as a shell meets it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.recordings import REPLAYS

LOG = str(REPLAYS / "one-tool.jsonl")
OTHER = str(REPLAYS / "tool-error.jsonl")
TINYAGENT = [sys.executable, "-m", "tinyagent"]


@pytest.mark.parametrize(
    "argv",
    [
        ["ls", str(REPLAYS)],
        ["show", LOG],
        ["show", LOG, "--json"],
        ["show", LOG, "--color", "always"],
        ["tail", LOG],
        ["why", f"{LOG}:11"],
        ["diff", LOG, OTHER],
        ["replay", LOG],
        ["verify", LOG, "--deep"],
        ["stats", LOG],
        ["export", LOG, "--to", "md"],
        ["doctor", "--dir", str(REPLAYS)],
        ["demo"],
        ["schema", "show"],
        ["completion", "bash"],
        ["--help"],
    ],
    ids=" ".join,
)
def test_a_pipe_that_nobody_reads_ends_a_command_quietly(argv: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    try:
        done = subprocess.run(
            [*TINYAGENT, *argv],
            stdout=writing,
            stderr=subprocess.PIPE,
            env=buffered,
            cwd=tmp_path,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupt_has_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    whole = Path(LOG).read_bytes().splitlines(keepends=True)
    log = tmp_path / "log" / "00000001.jsonl"
    log.write_bytes(b"".join(whole[:4]))
    with subprocess.Popen(
        [*TINYAGENT, "tail", str(tmp_path / "log"), "-f", "--jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Who runs the tests in the background may ignore it, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as tail:
        try:
            assert tail.stdout is not None
            assert tail.stderr is not None
            shown = [tail.stdout.readline() for _ in whole[1:4]]
            with log.open("ab") as file:
                file.write(whole[4])
            shown.append(tail.stdout.readline())  # it follows
            assert [json.loads(line)["seq"] for line in shown] == [1, 2, 3, 4]
            tail.send_signal(signal.SIGINT)
            assert tail.wait(60) == 130
            assert tail.stderr.read() == b""
        finally:
            tail.kill()


def test_an_encoding_that_has_few_characters_is_written_out(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    argv = [*TINYAGENT, "show", str(REPLAYS / "plain-text.jsonl")]
    done = subprocess.run(argv, capture_output=True, env=env, check=True)
    assert b"Gr\\xfc\\xdfe aus K\\xf6ln \\U0001f642" in done.stdout
    done = subprocess.run([*argv, "--json"], capture_output=True, env=env, check=True)
    told = json.loads(done.stdout.decode("ascii"))
    assert told["lines"][1]["text"] == "Grüße aus Köln 🙂, 你好, \u2028 «ok»"
    done = subprocess.run([*TINYAGENT, "doctor", "--dir", "none"], capture_output=True, env=env)
    assert b"\\u2713 python" in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_commands_and_options() -> None:
    program = (
        'eval "$(cat)"; '
        'COMP_WORDS=(tinyagent sh); COMP_CWORD=1; _tinyagent; echo "${COMPREPLY[@]}"; '
        'COMP_WORDS=(tinyagent show --gr); COMP_CWORD=2; _tinyagent; echo "${COMPREPLY[@]}"'
    )
    script = subprocess.run([*TINYAGENT, "completion", "bash"], capture_output=True, check=True)
    done = subprocess.run(
        ["bash", "-c", program], input=script.stdout, capture_output=True, check=True
    )
    assert done.stdout.decode().split() == ["show", "--grep"]
