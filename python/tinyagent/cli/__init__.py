"""The command line: a table of commands, each in a file of its own.

Exit codes: 0 fine, or the same; 1 the answer is no (diverged, damaged); 2 usage; 3 not found or
unreadable; 70 our own bug; 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "show": "what was said and done in a log",
    "verify": "whether a log is whole, and every record readable",
    "replay": "today's code over a recorded log; nothing is run",
    "demo": "a real agent turn on this machine: recorded, shown, replayed",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    from tinyagent.runtime.errors import CorruptLogError, LogError, LogNotFoundError

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
    except CorruptLogError as error:
        print(f"CorruptLogError: {error}", file=sys.stderr)
        return 1
    except LogNotFoundError as error:
        print(f"LogNotFoundError: {error}", file=sys.stderr)
        return 3
    except LogError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 3


def _usage(given: Sequence[str]) -> int:
    asked = given[:1] in (["-h"], ["--help"])
    out = sys.stdout if asked else sys.stderr
    print("tinyagent COMMAND [REF] ...\n", file=out)
    for name, what in COMMANDS.items():
        print(f"  {name:8} {what}", file=out)
    print("\nREF: the folder of a log, a packed .jsonl file, or `last` in ./runs", file=out)
    if given and not asked:
        print(f"\nno command {given[0]!r}", file=out)
    return 0 if asked else 2
