"""Which part of a host answers which question of the agent's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tinyagent.actors import state as machine

if TYPE_CHECKING:
    from tinyagent._run.binding import Binding
    from tinyagent.actors.hooks import Asked

ASKED: dict[str, Callable[[Binding], Asked]] = {
    machine.BEFORE: lambda host: host.hooks.ask_before,
    machine.AFTER: lambda host: host.hooks.ask_after,
    machine.CONTEXT: lambda host: host.hooks.ask_context,
    machine.BATCH: lambda host: host.hooks.ask_batch,
    machine.STOP: lambda host: host.ask_stop,
    machine.UNKNOWN: lambda host: host.decisions.ask_unknown,
    machine.APPROVAL: lambda host: host.decisions.ask_approval,
    machine.OUTPUT: lambda host: host.outputs.ask,
    machine.REQUEST: lambda host: host.seams.ask_request,
    machine.STEERING: lambda host: host.poll,
    machine.FOLLOW_UP: lambda host: host.poll,
}
"""Found when it is asked: most runs ask nothing."""
