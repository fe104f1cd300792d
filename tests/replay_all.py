"""Replay every packed log in a folder; a program, so that it can be run under a hash seed."""

from __future__ import annotations

import sys
from pathlib import Path

from tinyagent.actors.replaying import verify
from tinyagent.runtime.load import read_log
from tinyagent.runtime.stores import as_record


def main(folder: Path) -> int:
    """Return 1 if one of them diverged, having said which."""
    logs = records = requests = 0
    for path in sorted(folder.glob("*.jsonl")):
        found = [as_record(stored) for stored in read_log(path).records]
        report = verify(path.name, found)
        logs, records, requests = logs + 1, records + len(found), requests + report.requests
        if not report.ok:
            print(report.first_divergence)
            return 1
    print(
        f"{logs} recorded sessions replayed ({records} records, {requests} requests), none diverges"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
