"""The long tier of the small worlds: each under many schedules, in as many processes as there are
processors (``make schedules``). Says how many there were, how many of them differ, and how much
time passed in them; a failure is told with the tape that repeats it.

``SCHEDULES`` says how many in all, 200,000 if it is not given. More than those of CI, so that the
rare orders are met; the worlds, what must hold in them and the seeds are the same.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.sim.scenarios import SCENARIOS

from tinyagent.testing import Explored, explore

SCHEDULES = int(os.environ.get("SCHEDULES") or 200_000)


def explored(name: str, schedules: int) -> Explored | str:
    """Run the world *name* under so many schedules; return what was tried, or why it failed."""
    try:
        return explore(SCENARIOS[name], schedules)
    except AssertionError as failure:
        return str(failure)


def main(schedules: int) -> int:
    """Return 1 if a world failed, or was tried less often than its share, having said so."""
    begun_s = time.monotonic()
    share = -(-schedules // len(SCENARIOS))
    runs, distinct, hours, failed = 0, 0, 0.0, 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        running = {pool.submit(explored, name, share): name for name in SCENARIOS}
        for each in as_completed(running):
            name, found = running[each], each.result()
            if isinstance(found, str):
                failed += 1
                print(f"{name} FAILED\n{found}", flush=True)
                continue
            runs, distinct = runs + found.schedules, distinct + found.distinct
            hours += found.virtual_s / 3600
            print(f"{name:<30}{found.schedules:>9,} run {found.distinct:>9,} differ", flush=True)
    took_s = time.monotonic() - begun_s
    told = f"{runs:,} schedules of {len(SCENARIOS) - failed} worlds, {distinct:,} differ"
    print(f"{told}, {hours:,.0f} h of virtual time, in {took_s:.0f} s; {failed} worlds failed")
    return int(failed > 0 or runs < schedules)


if __name__ == "__main__":
    sys.exit(main(SCHEDULES))
