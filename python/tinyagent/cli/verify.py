"""``tinyagent verify REF...``: whether every byte, every record and every number is in place."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tinyagent.cli.refs import resolve
from tinyagent.events import UnknownEvent
from tinyagent.runtime.errors import CorruptLogError
from tinyagent.verbs import Recording, load


def run(argv: Sequence[str]) -> int:
    """Print a verdict for each log; return 1 if one is damaged."""
    parser = argparse.ArgumentParser(prog="tinyagent verify")
    parser.add_argument("refs", nargs="*", default=["last"], metavar="REF")
    worst = 0
    for ref in parser.parse_args(argv).refs:
        path = resolve(ref)
        try:
            recording = load(path)
        except CorruptLogError as error:
            print(f"{path}   corrupt  {error}")
            worst = 1
            continue
        unknown = sum(isinstance(record.event, UnknownEvent) for record in recording.records)
        more = f", {unknown} of kinds from a newer release" if unknown else ""
        if recording.damage is None:
            print(f"{path}   ok       {len(recording.records):,} records{more}")
        else:
            print(f"{path}   {recording.damage.verdict:8} {worded(recording)}{more}")
            worst = max(worst, int(bool(recording.damage.lost_values)))
    return worst


def worded(recording: Recording) -> str:
    """Return in words what is wrong with a log that can be used all the same."""
    damage = recording.damage
    assert damage is not None
    usable = f"{len(recording.records):,} records usable"
    if damage.lost_records:
        gone = ", ".join(f"{lost.first} to {lost.last}" for lost in damage.lost_records)
        return f"{usable}; records {gone} are lost, it was repaired"
    if damage.lost_values:
        return f"{usable}; {len(damage.lost_values)} large values are missing"
    if damage.verdict == "torn":
        return (
            f"{usable}; the {damage.torn_bytes:,} bytes from {damage.path} byte {damage.offset:,} "
            "on were never acknowledged; opening to append sets them aside"
        )
    return f"{usable}; it was not closed, all is there"
