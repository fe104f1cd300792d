"""Every block of README.md and docs/ runs, offline, from the top of its page to the bottom.

A ``python`` block runs in the namespace of those before it (```` ```python fresh ```` starts
anew). A ``console`` block shows commands after ``$``: each is in COMMANDS and is run where the
programs above it ran, or is a button that CI presses. All other blocks are only read.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import shlex
import socket
import subprocess
import sys
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from tests.needed import package

ROOT = Path(__file__).parents[1]
PAGES = [
    page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if page.is_file()
]
# Every command that a page may show, and the exit status that it must have there.
COMMANDS: dict[str, int] = {  # what they print is tests/cli/test_docs.py's
    "tinyagent show @demo": 0,
    "tinyagent show @demo --view timeline": 0,
    "tinyagent show @demo:20 --view context": 0,
    "tinyagent why @demo:31": 0,
    "tinyagent why @demo:20 --impact": 0,
    "tinyagent replay @demo --app tinyagent.demo:build": 0,
    "tinyagent stats @demo": 0,
    "tinyagent stats @demo --by tool": 0,
    "tinyagent tail @demo -n 3": 0,
}
# What a page's programs import and not everybody has; where it is missing, a test of CI fails.
NEEDED = {"encryption.md": ("cryptography", "crypto"), "mcp.md": ("mcp", "mcp")}
# Pressed by CI, or done before anything can be tested.
BUTTONS = ("make demo", "make test")
LANGUAGES = "python console sh text json jsonl toml mermaid rust"
PROGRAM = "documented_program"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and words, its text, and where on the page that begins."""

    info: str
    text: str
    line: int

    @property
    def language(self) -> str:
        return self.info.split()[0]


def blocks_of(page: Path) -> Iterator[Block]:
    opened: tuple[int, str, str] | None = None
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        fence = re.match(r"( *```+)(.*)$", line)
        if opened is None and fence:
            opened = (number, fence[1], fence[2].strip() or "nothing")
        elif opened and line.rstrip() == opened[1]:
            first, indent, info = opened[0], opened[1].rstrip("`"), opened[2]
            body = [each.removeprefix(indent) for each in lines[first : number - 1]]
            yield Block(info, "\n".join(body), first + 1)
            opened = None
    assert opened is None, f"{page.name}:{opened[0]}: this block is never closed"


def commands_of(block: Block) -> list[str]:
    """Return what a reader would type: all of ``sh``, of ``console`` what stands after ``$``."""
    lines = [line.split("  #")[0].strip() for line in block.text.splitlines()]
    if block.language == "sh":
        return [line for line in lines if line and not line.startswith("#")]
    return [line[2:] for line in lines if line.startswith("$ ")]


def run_page(page: Path) -> None:
    """Run the blocks of *page* in the current folder; a failure names the line of the page."""
    module = sys.modules[PROGRAM] = ModuleType(PROGRAM)  # readers of type hints look there
    for block in blocks_of(page):
        if block.info == "python fresh":
            module = sys.modules[PROGRAM] = ModuleType(PROGRAM)
        if block.language == "python":
            run_program(block, page, module)
        elif block.language in {"console", "sh"}:
            for command in commands_of(block):
                run_command(command, f"{page.name}:{block.line}")


def run_program(block: Block, page: Path, module: ModuleType) -> None:
    source = "\n" * (block.line - 1) + block.text
    code = compile(source, str(page), "exec", flags=PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, vars(module))
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(result)


def run_command(command: str, where: str) -> None:
    if command in BUTTONS:
        return
    assert command in COMMANDS, f"{where}: {command!r} is not in COMMANDS of {__file__}"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        shlex.split(command),
        env={**os.environ, "PATH": path, "PYTHONSAFEPATH": "1", "TINYAGENT_LIVE": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == COMMANDS[command], f"{where}: {command}\n{done.stdout}"


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """An empty folder, no keys, no way out of this machine; the addresses that were tried."""
    addresses: list[object] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, PROGRAM, ModuleType(PROGRAM))
    for name in [name for name in os.environ if name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else "a file"
        if self.family != socket.AF_UNIX and not re.match(r"127\.|::1$|localhost$", str(host)):
            addresses.append(address)
            raise PermissionError(f"documented programs run offline; this one tried {address!r}")
        connect(self, address)  # type: ignore[arg-type] # whatever the family takes

    monkeypatch.setattr(socket.socket, "connect", guarded)
    return addresses


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_runs(page: Path, reached: list[object]) -> None:
    if page.name in NEEDED:
        package(*NEEDED[page.name])
    run_page(page)
    assert reached == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page: Path) -> None:
    for block in blocks_of(page):
        assert block.language in LANGUAGES.split(), f"{page.name}:{block.line}: {block.info}"


def test_no_command_is_listed_that_no_page_shows() -> None:
    if not PAGES:
        pytest.skip("no README and no docs here: the tests run against an installed wheel")
    shown = {command for page in PAGES for each in blocks_of(page) for command in commands_of(each)}
    assert set(COMMANDS) <= shown


@pytest.mark.usefixtures("reached")
def test_blocks_share_a_namespace_and_failures_name_the_line_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "\n```python\nx = 1\n```\n"
        "   ```python\n   assert x == 1\n   import asyncio\n   await asyncio.sleep(0)\n   ```\n"
        "```python fresh\nassert 'x' not in vars()\nx / 0\n```\n"
    )
    with pytest.raises(NameError) as raised:
        run_page(page)
    assert Path(raised.traceback[-1].path) == page
    assert raised.traceback[-1].lineno + 1 == 12


def test_a_documented_program_cannot_leave_this_machine(reached: list[object]) -> None:
    with pytest.raises(PermissionError, match="run offline"):
        socket.create_connection(("192.0.2.1", 80))
    assert reached == [("192.0.2.1", 80)]


def test_commands_are_read_from_consoles_and_scripts() -> None:
    console = Block("console", "$ tinyagent ls  # all of them\nID", 1)
    assert commands_of(console) == ["tinyagent ls"]
    assert commands_of(Block("sh", "# first\nmake test", 1)) == ["make test"]


def test_a_command_that_is_not_listed_is_named_with_its_place() -> None:
    with pytest.raises(AssertionError, match=r"README\.md:7: 'tinyagent lz' is not in COMMANDS"):
        run_command("tinyagent lz", "README.md:7")
