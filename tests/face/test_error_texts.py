"""What each public error says, word for word. Each is provoked, none is made."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
from pathlib import Path

import pytest
from tests.face import provoked
from tests.face.provoked import PROVOKED

import tinyagent
from tinyagent.runtime import errors
from tinyagent.runtime.errors import TinyAgentError

TEXTS = {
    "OutOfOrderError": (
        "LOG: record 5 was appended, but the next is 1; another writer was here, or a record was "
        "appended twice with different bytes"
    ),
    "LogClosedError": ("LOG: record 1 was appended after the log was closed; reopen it"),
    "LogOwnedError": (
        "LOG: process PID on HOST is writing this log (epoch 1); wait "
        "for it to close, or read and fork the log meanwhile"
    ),
    "LogFencedError": (
        "LOG/00000001.jsonl: it is 172 bytes long, expected 277; records after 1 were never "
        "acknowledged as durable; close this log, another process owns it now"
    ),
    "LogBehindError": (
        "LOG: 105 bytes wait for the disk, at most 0 may; record N was not accepted; the disk is "
        "stuck, or sources do not wait for room"
    ),
    "LogLimitError": (
        "LOG: record 1 (user.said of its usual emitter) holds a value of 268435457 bytes, at most "
        "268435456 are possible; the log goes on, store the value elsewhere"
    ),
    "LogFullError": (
        "LOG/log/00000001.jsonl: the disk is full; the segment is sealed; records 1..N are "
        "durable; make room and reopen the log"
    ),
    "LogFailedError": (
        "LOG/log: creating the folder failed: Not a directory (os error 20); look at that path, "
        "and try again"
    ),
    "LogNotFoundError": ("LOG: there is no log here; check the path"),
    "NotInLogError": ("LOG: there is no record 7; there are 1 to 1"),
    "ImportedLogError": (
        "LOG/log: imported from pi a, not recorded: there is nothing to hold a replay against; "
        "show, diff, export and fork it"
    ),
    "ForeignFormatError": (
        "LOG: of no format that is known (jsonl, pi, atif, codex, claude-code, langgraph, "
        "openai-agents); say which"
    ),
    "PrunedLogError": (
        "LOG: records 1..2 were removed on purpose (pruned); a replay begins with record 1: it "
        "needs a copy from before"
    ),
    "LogVersionError": (
        "LOG.jsonl: it is of format 2, written by tinyagent 9.0; this library reads up to format "
        "1; upgrade tinyagent to read it"
    ),
    "CorruptLogError": (
        "LOG/00000001.jsonl: byte 172: record 1 is damaged, although record 3 was durable (CRC "
        "3b430823, expected 89b63f54: edited by hand?); nothing was changed; restore a copy, or "
        "keep the records before 1"
    ),
    "RunUnfinishedError": (
        "LEFT: the run that began with record 2 did not end; end it first: await agent.run() "
        "without a message, or resume(...)"
    ),
    "ForkedProcessError": (
        "LOG: opened by process PID, this is its child CHILD; open a log of its own here"
    ),
    "MailboxFullError": (
        "face is 2 records behind and does not read any more; the session ends here, its log is "
        "whole"
    ),
    "ProviderError": ("the script fails here: overloaded"),
    "RunFailedError": ("the script fails here: overloaded (REF:12)"),
    "NoOutputError": (
        "the run has no output: it ended answered (REF:7); give run() output=, and look at "
        ".outcome first"
    ),
    "DivergenceError": (
        "record 3 is not what the streamer decides today (input 2 model.requested, decision 1 of "
        """1)
  where     LOG:3  system
  recorded  system  "Be brief."
  now       system  "Be long."
  cause     configuration: system is 'Be long.' today, 'Be brief.' when recorded
  agreed    records 1-2; 4 later records not compared"""
    ),
    "EffectInReplayError": (
        "a step used open('/dev/null', 'r', FLAGS) during replay; only decide here"
    ),
    "MissingExtensionError": (
        "Failed to import the optional alchemy binding. It was wanted for a log on disk; scripted "
        "models and logs in memory work without it. It is part of every wheel and of every build "
        "from source: install the package again, for this Python and platform, or run `make dev` "
        "in a checkout. Import failures: tinyagent._alchemy: ModuleNotFoundError: import of "
        "tinyagent._alchemy halted; None in sys.modules"
    ),
    "UnknownModelError": (
        """no provider is named 'nobody'
  got       'nobody:gpt'
  expected  provider:model, with a provider of: PROVIDERS
  try       a model object for any other provider"""
    ),
    "ToolDefinitionError": (
        """`forecast` cannot become a tool
  where     HERE  parameter `when`: no annotation, so no schema
  try       when: datetime.date"""
    ),
    "UnexpectedEventError": (
        "record 3 (model.finished) cannot occur while the agent is idle; please report this"
    ),
    "InvariantError": ("the agent is thinking, and nothing is open; please report this"),
}
BASES = {"TinyAgentError", "LogError"}
ELSEWHERE = {"LiveEffectError", "McpServerError"}
"""Where what provokes them is: tests/testing/test_answering.py, tests/mcp_client/test_life.py."""


def plain(told: str, at: Path) -> str:
    """Return *told* without what differs from run to run."""
    for pattern, word in (
        (re.escape(str(at)), "LOG"),
        (re.escape(str(at.parent / "left")), "LEFT"),
        (rf"process {os.getpid()}\b", "process PID"),
        (r"PID on \S+ is", "PID on HOST is"),
        (r"record \d+ was not accepted", "record N was not accepted"),
        (r"records 1\.\.[1-9]\d* are durable", "records 1..N are durable"),
        (r"\([0-9a-f]{8}:", "(REF:"),
        (r"'r', \d+\)", "'r', FLAGS)"),
        (r"with a provider of: [a-z, -]+", "with a provider of: PROVIDERS"),
        (rf"{re.escape(provoked.__file__)}:\d+", "HERE"),
    ):
        told = re.sub(pattern, word, told)
    return told


@pytest.mark.parametrize("name", TEXTS)
def test_an_error_says_what_where_and_what_to_do_next(name: str, tmp_path: Path) -> None:
    provoke = PROVOKED[name]

    async def main() -> None:
        await provoke(tmp_path / "log")

    with pytest.raises(TinyAgentError) as told:
        asyncio.run(main()) if inspect.iscoroutinefunction(provoke) else provoke(tmp_path / "log")
    assert type(told.value).__name__ == name
    assert plain(str(told.value), tmp_path / "log") == TEXTS[name]


def test_every_public_error_has_its_text_here() -> None:
    named = {name for name in [*vars(errors), *dir(tinyagent)] if name.endswith("Error")}
    assert named == {*PROVOKED, *BASES, *ELSEWHERE} == {*TEXTS, *BASES, *ELSEWHERE}


def test_what_the_root_of_errors_is_lets_compatible_code_catch_it() -> None:
    assert issubclass(TinyAgentError, RuntimeError)
