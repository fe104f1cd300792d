"""Actors at work on a stage of their own, until a test lets them end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinyagent.events import kinds as k
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.loops import Machine, Stage, Worker
from tinyagent.runtime.mailbox import Mailbox

CONTROL = frozenset({k.CancelRequested.kind})


async def serve(worker: Worker, mailbox: Mailbox, journal: Journal) -> None:
    """Let *worker* have what is in *mailbox*, until that is closed and all is answered."""
    async with Stage(journal) as stage:
        reader = stage.serve(worker, CONTROL)
        while (record := await mailbox.get()) is not None:
            reader.post(record)
        stage.close()


async def drive(
    machine: Machine[Any], mailbox: Mailbox, journal: Journal, before: Callable[[], None]
) -> None:
    """Let *machine* step on what is in *mailbox*, and no more."""
    async with Stage(journal) as stage:
        stage.drive(machine, mailbox, before)
        stage.close()
        mailbox.close()
