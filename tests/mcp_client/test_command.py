"""``tinyagent mcp`` as a process, asked by a client of the protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.cli.schemas import faults
from tests.recordings import REPLAYS

from tinyagent import Agent, mcp_server, open_log
from tinyagent.testing import scripted

Run = Callable[..., tuple[int, str, str]]
Ask = Callable[..., Any]
NAMES = ["sessions", "show", "request", "tail", "why", "diff", "verify", "stats"]
ASKED: list[tuple[str, dict[str, Any], list[str]]] = [
    ("sessions", {}, ["ls"]),
    ("show", {"log": "one-tool.jsonl"}, ["show", "one-tool.jsonl"]),
    (
        "show",
        {"log": "one-tool.jsonl:8", "view": "events", "only": ["tool.requested"]},
        ["show", "one-tool.jsonl:8", "--view", "events", "--only", "tool.requested"],
    ),
    ("show", {"view": "state"}, ["show", "--view", "state"]),
    ("request", {"log": "one-tool.jsonl:11"}, ["show", "one-tool.jsonl:11", "--view", "context"]),
    ("tail", {"log": "one-tool.jsonl", "count": 2}, ["tail", "one-tool.jsonl", "-n", "2"]),
    ("why", {"log": "one-tool.jsonl:11"}, ["why", "one-tool.jsonl:11"]),
    ("why", {"log": "one-tool.jsonl:2", "impact": True}, ["why", "one-tool.jsonl:2", "--impact"]),
    (
        "diff",
        {"a": "one-tool.jsonl", "b": "tool-error.jsonl"},
        ["diff", "one-tool.jsonl", "tool-error.jsonl"],
    ),
    ("diff", {"a": "one-tool.jsonl:11"}, ["diff", "one-tool.jsonl:11"]),
    (
        "verify",
        {"log": "one-tool.jsonl", "deep": True},
        ["verify", str(REPLAYS / "one-tool.jsonl"), "--deep"],
    ),
    ("stats", {"log": "one-tool.jsonl", "by": "tool"}, ["stats", "one-tool.jsonl", "--by", "tool"]),
]


@asynccontextmanager
async def asking(folder: Path, *options: str) -> AsyncGenerator[Ask]:
    """Start the server on *folder*; yield what calls a tool of it and returns the result."""
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    command = ["-m", "tinyagent", "mcp", str(folder), *options]
    started = StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ))
    with Path(os.devnull).open("w") as told:  # noqa: ASYNC230 - which never waits
        async with Client(stdio_client(started, told)) as client:
            yield (
                lambda tool="", /, **arguments: (
                    client.call_tool(tool, arguments) if tool else client.list_tools()
                )
            )


def text_of(result: Any) -> str:
    [block] = result.content
    return str(block.text)


def bytes_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file below *folder* with when it was written to."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


async def test_it_tells_what_the_commands_tell_as_text_and_as_their_documents(run: Run) -> None:
    async with asking(REPLAYS) as ask:
        for tool, arguments, argv in ASKED:
            _, printed, _ = run(*argv, "--dir", str(REPLAYS))
            result = await ask(tool, **arguments)
            assert (text_of(result), result.is_error) == (printed, False)
            assert result.structured_content is None

            _, printed, _ = run(*argv, "--dir", str(REPLAYS), "--json")
            result = await ask(tool, **arguments, json=True)
            assert text_of(result) == printed
            assert result.structured_content == json.loads(printed)
            schema = json.loads(run("schema", argv[0])[1])
            assert faults(result.structured_content, schema) == []


async def test_its_tools_say_what_they_take_and_that_they_change_nothing() -> None:
    async with asking(REPLAYS) as ask:
        tools = (await ask()).tools
        assert [tool.name for tool in tools] == NAMES
        assert all(tool.annotations.read_only_hint for tool in tools)
        [why] = [tool for tool in tools if tool.name == "why"]
        assert why.description == (
            "The chain of causes that led to a record, or what the record led to."
        )
        assert why.input_schema == {
            "type": "object",
            "properties": {
                "log": {"type": "string", "description": "LOG:N, record N of a log."},
                "impact": {"type": "boolean", "default": False, "description": "what it led to."},
                "json": {
                    "type": "boolean",
                    "default": False,
                    "description": "the document that `tinyagent why --json` prints.",
                },
            },
            "required": ["log"],
            "additionalProperties": False,
        }


async def test_an_agent_can_ask_it_while_it_writes_its_own_log_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tinyagent", "mcp", str(tmp_path)]
    environment = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    model = scripted.calls("sessions").text("One, and it is running.")
    async with mcp_server(command, name="logs", env=environment, trust_hints=True) as logs:
        assert {tool.effect for tool in logs.tools} == {"read"}
        async with open_log(tmp_path / "own") as log:
            result = await Agent(model=model, tools=[logs], log=log).run("Which are there?")
            [call] = log.tool_calls.values()
    assert result.text == "One, and it is running."
    assert "running" in str(call.content)
    assert "Which are there?" in str(call.content)


async def test_nothing_in_the_folder_is_written_and_an_owned_log_is_read(tmp_path: Path) -> None:
    for name in ("one-tool", "tool-error"):
        shutil.copy(REPLAYS / f"{name}.jsonl", tmp_path)
    async with open_log(tmp_path / "open") as log:
        await Agent(model=scripted("Hello."), log=log).run("Hi.")
        before = bytes_of(tmp_path)
        async with asking(tmp_path) as ask:
            for name in ("open", "one-tool.jsonl"):
                for tool in ("show", "request", "tail", "verify", "stats"):
                    assert not (await ask(tool, log=name)).is_error
            assert not (await ask("verify", log="open", deep=True)).is_error
            assert not (await ask("sessions")).is_error
        assert bytes_of(tmp_path) == before


REFUSED = {
    "nowhere": "LogNotFoundError: nowhere: there is no log (",
    str(REPLAYS / "tool-error.jsonl"): "tool-error.jsonl: not one of the logs in ",
    "../outside": "RefError: ../outside: not one of the logs in ",
    "..": "RefError: ..: not one of the logs in ",
    "": "RefError: : not one of the logs in ",
    "@demo": "RefError: @demo: not one of the logs in ",
    "sqlite:///x.db#a": "RefError: sqlite:///x.db#a: not one of the logs in ",
    "-": "RefError: -: not the name of a log",
    "--dir=/": "RefError: --dir=/: not the name of a log",
}


async def test_a_log_that_is_not_in_the_folder_is_refused_and_arguments_that_do_not_fit(
    tmp_path: Path,
) -> None:
    shutil.copy(REPLAYS / "tool-error.jsonl", tmp_path / "outside")
    (tmp_path / "logs").mkdir()
    shutil.copy(REPLAYS / "one-tool.jsonl", tmp_path / "logs" / "a.jsonl")
    async with asking(tmp_path / "logs") as ask:
        for named, why in REFUSED.items():
            result = await ask("show", log=named)
            assert result.is_error
            assert why in text_of(result)
        for arguments, why in (
            ({"log": 1}, "RefError: /log: expected str, got int"),
            ({"log": "a.jsonl", "view": "none"}, "RefError: /view: "),
            ({"logs": "a.jsonl"}, "RefError: show: got an unexpected keyword argument 'logs'"),
            ({"log": "a.jsonl:99"}, "NotInLogError: "),
            ({"grep": "("}, "RefError: --grep (: "),
        ):
            result = await ask("show", **arguments)
            assert result.is_error
            assert text_of(result).startswith(why)
        assert text_of(await ask("why")) == "RefError: why: missing a required argument: 'log'"
        assert text_of(await ask("replay", log="a.jsonl")) == (
            f"RefError: no tool 'replay'; there are: {', '.join(NAMES)}"
        )


async def test_a_long_answer_is_cut_and_a_long_document_refused() -> None:
    async with asking(REPLAYS, "--answer-chars-max", "100") as ask:
        whole = {"log": "one-tool.jsonl", "view": "events"}
        assert text_of(await ask("show", **whole)).endswith(" more characters: ask for less]")
        result = await ask("show", **whole, json=True)
        assert result.is_error
        assert ", of 100 that are told: ask for less, or for text" in text_of(result)


def test_without_the_extra_one_line_names_it(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["mcp"] = None
from tinyagent.cli import main
raise SystemExit(main(["mcp", sys.argv[1]]))
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(
        "MissingExtraError: `tinyagent mcp` needs the extra `mcp`: pip install '"
    )
    assert "[mcp]'" in done.stderr


def test_a_folder_that_is_not_there_is_named(run: Run) -> None:
    told = "LogNotFoundError: nowhere: there is no such folder\n"
    assert run("mcp", "nowhere") == (3, "", told)
