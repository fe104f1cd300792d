"""The command line: a table of commands, each in a file of its own, imported when it is used.

Exit codes: 0 fine, or the same; 1 the answer is no (diverged, damaged); 2 usage; 3 not found or
unreadable; 4 refused; 70 our own bug; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from io import TextIOWrapper
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts import App

COMMANDS = {
    "ls": "the sessions of a folder, a line each",
    "show": "what was said and done in a log",
    "tail": "the last records of a log; -f: and those that are still to come",
    "why": "the chain of causes that led to a record, or what it led to",
    "diff": "where two logs part, or two records, or a request and the one before",
    "replay": "today's code over a recorded log; nothing is run",
    "resume": "end the run that a crash cut off, live",
    "fork": "a log that shares another up to a record; with --run, live from there",
    "rerun": "all of a log again, live, in a new one",
    "verify": "whether a log is whole; --deep: and what its records say",
    "repair": "a new log of what can be read of a damaged one",
    "redact": "a new log without what must not be in it",
    "archive": "the sealed segments of a log in one compressed file",
    "prune": "the beginning of a log, removed for good below a snapshot",
    "export": "a log as a page, as text, as what other programs read",
    "import": "sessions of other programs as logs, known to be imported",
    "stats": "calls, failures, durations and tokens by model, tool or day",
    "serve": "the sessions of a folder in a browser, also while they are written",
    "mcp": "the logs of a folder for a model to ask about, over standard input and output",
    "doctor": "whether what is installed fits together, and whether logs are safe",
    "schema": "the JSON schema of an event, or of what --json prints",
    "completion": "a script that lets a shell complete commands and options",
    "demo": "a real agent turn on this machine: recorded, shown, replayed",
}
MODULES = {"import": "importing"}
"""Where a command is whose name is none for a module."""
REF = (
    "REF: a log's folder, a packed .jsonl file, `-`; in ./runs also `last`, `@name`, or the first "
    "digits of an id. Then `:N` for record N."
)
EXTRA = ("cyclopts", "rich", "attrs")
REINSTALL = "it is in every wheel: install the package again, for this Python and platform"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["--version"]:
        from tinyagent._version import VERSION

        print(f"tinyagent {VERSION}")
        return 0
    if isinstance(sys.stdout, TextIOWrapper):  # what an encoding has not is written out
        sys.stdout.reconfigure(errors="backslashreplace")
    is_json = "--json" in given or "--jsonl" in given
    try:
        code = _run(given)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # What is left in the buffer goes nowhere, or Python complains about it when it ends.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except ImportError as error:
        return _not_installed(error, is_json=is_json)
    except Exception as error:
        code = _code(error)
        if code == 70:
            traceback.print_exc()
        else:
            name = type(error).__name__ if code != 2 or _is_ours(error) else "UsageError"
            _tell(name, _message(error), is_json=is_json)
        return code


def _not_installed(error: ImportError, *, is_json: bool) -> int:
    """Tell what of us is not installed, and return the exit code; 70 if it is something else."""
    name = error.name or ""
    if name.rpartition(".")[2] == "_alchemy":
        told = f"the extension cannot be loaded: {error.__cause__ or error}; {REINSTALL}"
        _tell("ImportError", told, is_json=is_json)
        return 2
    if not isinstance(error, ModuleNotFoundError) or name.partition(".")[0] not in EXTRA:
        traceback.print_exc()
        return 70
    from tinyagent.cli.refs import MissingExtraError

    told = str(MissingExtraError("cli", "the command line"))
    _tell("MissingExtraError", told, is_json=is_json)
    return 2


def _run(given: list[str]) -> int:
    app = application()
    if not given or not {"-h", "--help"}.isdisjoint(given):
        from tinyagent.cli.render import console

        app.console, app.error_console = console(), console(stderr=True)
    if given and given[0] not in (*COMMANDS, "-h", "--help"):
        from tinyagent.cli.refs import RefError

        near = _near(given[0], COMMANDS) or f"; there are: {', '.join(COMMANDS)}"
        raise RefError(f"no command {given[0]!r}{near}")
    if not given:
        app.help_print([], console=app.error_console)
        return 2
    _check_options(app, given)
    return int(app(given) or 0)


def _check_options(app: App, given: list[str]) -> None:
    """Name an option that is none: where `-` is taken, it would be taken for a log.

    Raises:
        RefError: there is one.
    """
    if given[0] not in COMMANDS:
        return
    command = app[given[0]]
    known = {name for argument in command.assemble_argument_collection() for name in argument.names}
    known.update(app.help_flags)
    for word in given[1:]:
        if word == "--":
            return
        name = word.partition("=")[0] if word.startswith("--") else word[:2]
        if word.startswith("-") and word != "-" and name not in known:
            from tinyagent.cli.refs import RefError

            raise RefError(f"unknown option {name}{_near(name, known)}")


def _near(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, known, 1)
    return f"; did you mean {near[0]}?" if near else ""


def application() -> App:
    """Return the application, no command of which is imported yet.

    Raises:
        ModuleNotFoundError: the extra ``cli`` is not installed.
    """
    from cyclopts import App, Parameter

    if find_spec("rich") is None:  # loaded for colours and help alone
        raise ModuleNotFoundError("No module named 'rich'", name="rich")
    app = App(
        name="tinyagent",
        help="Record, replay, debug: what an agent did, from its log.",
        usage="tinyagent COMMAND [REF] ...",
        help_epilogue=REF,
        help_format="plaintext",
        version_flags=(),
        default_parameter=Parameter(negative=(), show_default=False),
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    for at, (name, what) in enumerate(COMMANDS.items()):
        module = MODULES.get(name, name)
        app.command(f"tinyagent.cli.{module}:run", name=name, help=what, sort_key=at)
    return app


def _is_ours(error: Exception) -> bool:
    return type(error).__module__.startswith("tinyagent.")


def _code(error: Exception) -> int:
    """Return the exit code that *error* has; 70 if it is our own bug."""
    from cyclopts import CycloptsError

    from tinyagent.cli.refs import MissingExtraError, RefError, RefusedError
    from tinyagent.runtime.errors import (
        CorruptLogError,
        DivergenceError,
        ImportedLogError,
        LogError,
        PrunedLogError,
        UnknownModelError,
    )
    from tinyagent.runtime.prune import NeededError

    match error:
        case RefError() | CycloptsError() | MissingExtraError() | UnknownModelError():
            return 2
        case RefusedError() | ImportedLogError() | PrunedLogError() | NeededError():
            return 4
        case CorruptLogError() | DivergenceError():
            return 1
        case LogError() | OSError():
            return 3
        case _:
            return 70


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _tell(name: str, message: str, *, is_json: bool) -> None:
    if is_json:
        from tinyagent.cli.render import as_json

        told = {"schema": "tinyagent.error/1", "error": name, "message": message}
        print(as_json(told), file=sys.stderr)
    else:
        from tinyagent.cli.render import safe

        print(f"{name}: {safe(message)}", file=sys.stderr)
