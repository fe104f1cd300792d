"""The tools that a host gives an agent, as the worker that runs them knows them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from inspect import isawaitable
from typing import Any, Protocol

import msgspec

from tinyagent._config.checks import check_tool
from tinyagent._host.arguments import ToolArgumentsError, checked, parsed
from tinyagent._host.returned import returned, sayable
from tinyagent._reading.bodies import content_of
from tinyagent._reading.state import awaited
from tinyagent.actors.tools import Invocation, Reconcile, Reconciled, Refused, Returned
from tinyagent.agent_types import AgentTool, AgentToolResult
from tinyagent.events import kinds as k, plain
from tinyagent.events.codec import text
from tinyagent.events.fact import EFFECTS


def spec_of(tool: AgentTool, timeout_s: float | None) -> k.ToolSpec:
    """Return what the log says of *tool*.

    Raises:
        TypeError: it is no tool, or a field of it is of a wrong type: no log could be read that
            has it.
    """
    try:
        spec = {
            "name": tool.name,
            "description": tool.description or "",
            "schema": tool.parameters or {},
            "effect": tool.effect,
            "reconcile": tool.reconcile is not None,
            "approval": "always" if tool.approval != "never" else None,
            "timeout_s": tool.timeout_s if tool.timeout_s is not None else timeout_s,
            "server": getattr(tool, "server", None),
        }
        told_of = msgspec.convert(spec, k.ToolSpec)
        limits = tool.timeout_s, tool.idle_timeout_s, tool.output_bytes_max
        if tool.approval != "never" or limits != (None, None, None):
            check_tool(tool)
        return told_of
    except AttributeError:
        check_tool(tool)
        raise
    except msgspec.ValidationError as error:
        told = str(error)
        if tool.effect not in EFFECTS:
            told = f"effect={tool.effect!r} is none of {', '.join(EFFECTS)}"
        raise TypeError(f"an agent cannot have the tool {tool.name!r}: {told}") from None


class Told(Protocol):
    """Who is told of what is no result of a tool."""

    def report(self, name: str, message: str) -> None:
        """Put on record something that a person may want to know."""
        ...

    def interrupt(self, stop: BaseException) -> None:
        """Close the run, and let *stop* propagate then."""
        ...


class HostTool:
    """An ``AgentTool`` that can be run."""

    def __init__(self, tool: AgentTool, timeout_s: float | None, host: Told | None) -> None:
        self._tool = tool
        self._host = host
        self._report = None if host is None else host.report
        self.effect: k.Effect = tool.effect  # type: ignore[assignment] # as in spec_of
        self.timeout_s = tool.timeout_s if tool.timeout_s is not None else timeout_s
        self.idle_timeout_s = tool.idle_timeout_s
        self.alone = tool.alone

    def arguments(self, call: k.CallRef, text: str) -> dict[str, Any]:
        """Return the call's arguments, checked and converted as the tool's schema wants them.

        Raises:
            Refused: they do not fit; the text is for the model.
        """
        try:
            return checked(self._tool, text, report=self._report)
        except ToolArgumentsError as error:
            raise Refused(str(error)) from None

    async def run(self, invocation: Invocation) -> Returned:
        """Call ``execute`` and take what it gives."""
        own = getattr(self._tool, "__tinyagent_run__", None)
        try:
            if own is not None:
                given = await own(invocation.arguments)
            else:
                given = self._executed(invocation)
                if isawaitable(given):
                    given = await given
        except (KeyboardInterrupt, SystemExit) as stop:
            if self._host is None:
                raise
            # It would leave the loop at once, with the run in the middle.
            self._host.interrupt(stop)
            raise RuntimeError(str(stop) or type(stop).__name__) from None
        bytes_max = self._tool.output_bytes_max
        if isinstance(given, str) and bytes_max is None:
            return Returned(content=str(text(given)))  # of a text, the log has all
        return returned(invocation.name, given, self._report, bytes_max)

    def _executed(self, invocation: Invocation) -> Any:
        execute, on_update = self._tool.execute, partial(self._update, invocation)
        assert execute is not None
        return execute(invocation.call_id, invocation.arguments, invocation.signal, on_update)

    def _update(self, invocation: Invocation, update: AgentToolResult) -> None:
        said = sayable(invocation.name, update, self._report)
        invocation.progress(content_of(said.content), plain(said.details) or None)

    @property
    def reconcile(self) -> Reconcile | None:
        """How the tool says what came of a run of it: by its ``reconcile`` function."""
        return self._reconcile if self._tool.reconcile is not None else None

    async def _reconcile(self, invocation: Invocation) -> Reconciled:
        """Ask the function: a result says that it is done, False that it is not, None nothing."""
        assert self._tool.reconcile is not None
        said = await awaited(self._tool.reconcile(invocation.ctx, invocation.arguments))
        if said is None or said is False:
            return Reconciled("unknown" if said is None else "not_done")
        return Reconciled("done", returned(invocation.name, said).content)


def find_tool(
    tools: Sequence[AgentTool] | None,
    name: str,
    timeout_s: float | None = None,
    host: Told | None = None,
) -> HostTool:
    """Return the first tool called *name*; *host* is told of what is no result of it.

    Raises:
        Refused: there is none, or it cannot be run.
    """
    for tool in tools or ():
        if tool.name == name:
            if tool.execute is None:
                raise Refused(f"Tool {name} has no execute function")
            return HostTool(tool, timeout_s, host)
    raise Refused(f"Tool {name} not found")


def parsed_arguments(name: str, text: str) -> dict[str, Any]:
    """Return the object that *text* is.

    Raises:
        Refused: it is none; the text says where it breaks off.
    """
    try:
        return parsed(name, text)
    except ToolArgumentsError as error:
        raise Refused(str(error)) from None
