"""The command line: a table of commands, each in a file of its own.

Exit codes: 0 fine, or the same; 1 the answer is no (diverged, damaged); 2 usage; 3 not found or
unreadable; 4 refused; 70 our own bug; 130 interrupted.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "show": "what was said and done in a log",
    "why": "the chain of causes that led to a record, or what it led to",
    "diff": "where two logs part, or two records, or a request and the one before",
    "verify": "whether a log is whole; --deep: and what its records say",
    "repair": "a new log of what can be read of a damaged one",
    "redact": "a new log without what must not be in it",
    "replay": "today's code over a recorded log; nothing is run",
    "resume": "end the run that a crash cut off, live",
    "fork": "a log that shares another up to a record; with --run, live from there",
    "rerun": "all of a log again, live, in a new one",
    "demo": "a real agent turn on this machine: recorded, shown, replayed",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["--version"]:
        from tinyagent._version import VERSION

        print(f"tinyagent {VERSION}")
        return 0
    if not given or given[0] not in COMMANDS:
        return _usage(given)
    command = import_module(f"tinyagent.cli.{given[0]}")
    try:
        return int(command.run(given[1:]))
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        code = _code(error)
        if code is None:
            traceback.print_exc()
            return 70
        _tell(error, is_json="--json" in given)
        return code


def _code(error: Exception) -> int | None:
    """Return the exit code that *error* has; None if it is our own bug."""
    from tinyagent.cli.live import RefusedError
    from tinyagent.cli.refs import RefError
    from tinyagent.runtime.errors import (
        CorruptLogError,
        DivergenceError,
        ImportedLogError,
        LogError,
    )

    match error:
        case RefError():
            return 2
        case RefusedError() | ImportedLogError():
            return 4
        case CorruptLogError() | DivergenceError():
            return 1
        case LogError():
            return 3
        case _:
            return None


def _tell(error: Exception, *, is_json: bool) -> None:
    from tinyagent.cli.render import document, safe

    name, message = type(error).__name__, str(error)
    if is_json:
        print(document("error", error=name, message=message), file=sys.stderr)
    else:
        print(f"{name}: {safe(message)}", file=sys.stderr)


def _usage(given: Sequence[str]) -> int:
    asked = given[:1] in (["-h"], ["--help"])
    out = sys.stdout if asked else sys.stderr
    print("tinyagent COMMAND [REF] ...\n", file=out)
    for name, what in COMMANDS.items():
        print(f"  {name:8} {what}", file=out)
    print(
        "\nREF: a log's folder, a packed .jsonl file, `-`; in ./runs also `last`, `@name`, or the "
        "first digits\nof an id. Then `:N` for record N.",
        file=out,
    )
    if given and not asked:
        print(f"\nno command {given[0]!r}", file=out)
    return 0 if asked else 2
