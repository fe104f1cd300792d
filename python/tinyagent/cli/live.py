"""What the commands share that run an application: its factory, leave to go on, what came of it."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyagent.cli.answers import WentOn
from tinyagent.cli.refs import RefError, RefusedError
from tinyagent.cli.render import answer, emit, safe
from tinyagent.cli.transcript import transcript
from tinyagent.events import Settings
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.verbs import Recording, made_by

if TYPE_CHECKING:
    from tinyagent.agent import Agent
    from tinyagent.cli.options import Common
    from tinyagent.runtime.stores import Log

NOT_THEIRS = ("<frozen importlib", importlib.__file__, f"{Path(__file__).parent.parent}{os.sep}")
"""Where files are that no application wrote."""


def application(spec: str | None) -> Callable[..., Any]:
    """Return the factory that *spec* names.

    What it raises when it is called, or for what it returns, is a ``RefError``, too.

    Raises:
        RefError: it is not ``module:name``, not there, or its module fails.
    """
    if spec is None:
        raise RefError("this runs your code: say --app MODULE:FACTORY, as in myapp.agents:build")
    module, colon, name = spec.partition(":")
    if not colon or not name:
        raise RefError(f"--app {spec}: expected MODULE:FACTORY, for example myapp.agents:build")
    if "." not in sys.path:
        sys.path.insert(0, ".")
    try:
        factory: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise RefError(f"--app {spec}: {_worded(error)}") from error

    def made(*, log: Log) -> Agent:
        try:
            return made_by(factory, log)
        except Exception as error:
            raise RefError(f"--app {spec}: {_worded(error)}") from error

    return made


def try_out(factory: Callable[..., Any]) -> None:
    """Call *factory* once for a log in memory: what fails shall fail before a log is made for it.

    Raises:
        RefError: it fails.
    """
    made_by(factory, MemoryLog())


def _worded(error: Exception) -> str:
    """Return what failed in the application, and where in it."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [one for one in frames if not one.filename.startswith(NOT_THEIRS)]
    if theirs:
        name, place = type(error).__name__, theirs[-1]
        return f"{name}: {error} ({place.filename}, line {place.lineno})"
    return f"{type(error).__name__}: {error}" if isinstance(error, SyntaxError) else str(error)


def announce(what: str, settings: Settings, *, yes: bool) -> None:
    """Say that *what* runs live, and with which model and tools; return if that is allowed.

    Raises:
        RefusedError: it is not.
    """
    check(what)
    print(safe(announced(what, settings)), file=sys.stderr)
    if yes:
        return
    if not sys.stdin.isatty():
        raise RefusedError(f"{what} runs live; say --yes to allow it")
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise RefusedError(f"{what} was not allowed")


def check(what: str) -> None:
    """Refuse to run *what* where the environment forbids it.

    Raises:
        RefusedError: it does.
    """
    if os.environ.get("TINYAGENT_LIVE") == "0":
        raise RefusedError(f"{what} runs live, and TINYAGENT_LIVE=0 forbids that")


def announced(what: str, settings: Settings) -> str:
    """Return that *what* runs live, and with which model and tools."""
    tools = ", ".join(f"{tool.name} {tool.effect}" for tool in settings.tools) or "no tools"
    return f"{what}, live: {settings.model.get('id') or 'an unknown model'}; {tools}"


def report(
    told: type[WentOn], recording: Recording, common: Common, *, after: int, **more: Any
) -> int:
    """Print what came of a run behind record *after*; return 1 if no answer was reached."""
    if common.json:
        document = told(
            log=recording.meta.log,
            where=recording.where,
            status=recording.status,
            in_doubt=[call.call_id for call in recording.in_doubt],
            approvals=[call.call_id for call in recording.approvals_pending],
            after=after,
            **more,
        )
        answer(document)
    else:
        emit(transcript(recording, after=after), color=common.color)
    return int(recording.status not in ("answered", "stopped"))


def text_of(given: str) -> str:
    """Return *given*, or with ``@`` in front what the file of that name holds.

    Raises:
        RefError: there is no such file.
    """
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise RefError(f"{given}: {error.strerror}") from error


def free_name(beside: Path, word: str) -> Path:
    """Return a name for a new log beside *beside*."""
    stem = beside.name.removesuffix(".jsonl")
    number = 1
    while (place := beside.with_name(f"{stem}-{word}-{number}")).exists():
        number += 1
    return place
