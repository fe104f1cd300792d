"""What a host gives an agent (tools, callbacks, options), as the actors understand it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tinyagent._arguments import ToolArgumentsError, checked
from tinyagent._bodies import content_of
from tinyagent._state import awaited
from tinyagent.actors.tools import Invocation, Reconcile, Reconciled, Refused, Returned
from tinyagent.agent_types import (
    AgentMessage,
    AgentTool,
    AgentToolResult,
)
from tinyagent.events import kinds as k, plain
from tinyagent.runtime.loops import Live


def spec_of(tool: AgentTool, timeout_s: float | None) -> k.ToolSpec:
    """Return what the log says of *tool*."""
    return k.ToolSpec(
        name=tool.name,
        description=tool.description,
        schema=tool.parameters or {},
        effect=tool.effect,  # type: ignore[arg-type] # one of the four words, checked below
        reconcile=tool.reconcile is not None,
        approval=tool.approval if tool.approval != "never" else None,
        timeout_s=tool.timeout_s if tool.timeout_s is not None else timeout_s,
    )


class HostTool:
    """An ``AgentTool`` that can be run."""

    def __init__(
        self, tool: AgentTool, timeout_s: float | None, report: Callable[[str], object] | None
    ) -> None:
        self._tool = tool
        self._report = report
        self.effect: k.Effect = tool.effect  # type: ignore[assignment] # as in spec_of
        self.timeout_s = tool.timeout_s if tool.timeout_s is not None else timeout_s

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
        execute = self._tool.execute
        assert execute is not None

        def on_update(update: AgentToolResult) -> None:
            invocation.progress(content_of(update.content), plain(update.details or {}) or None)

        given = await awaited(
            execute(invocation.call_id, invocation.arguments, invocation.signal, on_update)
        )
        return returned(invocation.name, given)

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
    report: Callable[[str], object] | None = None,
) -> HostTool:
    """Return the first tool called *name*; *report* is told of a schema that is none.

    Raises:
        Refused: there is none, or it cannot be run.
    """
    tool = next((tool for tool in tools or () if tool.name == name), None)
    if tool is None:
        raise Refused(f"Tool {name} not found")
    if tool.execute is None:
        raise Refused(f"Tool {name} has no execute function")
    return HostTool(tool, timeout_s, report)


def parsed_arguments(name: str, text: str) -> dict[str, Any]:
    """Return the object that *text* is.

    Raises:
        Refused: it is none; the text says where it breaks off.
    """
    if not text.strip():
        return {}
    try:
        value: Any = msgspec.json.decode(text)
        fault = "" if isinstance(value, dict) else f"expected an object, got {type(value).__name__}"
    except msgspec.DecodeError as error:
        value, fault = None, str(error)
    if fault:
        received = text if len(text) <= 2000 else text[:2000]
        raise Refused(f"Invalid arguments for tool {name}:\n- $: {fault}\nReceived: {received}")
    return dict(value)


def returned(name: str, given: object) -> Returned:
    """Return what a tool gave back as the log holds it.

    Raises:
        TypeError: it is nothing that a tool may give back.
    """
    if isinstance(given, str):
        given = AgentToolResult(content=given)  # type: ignore[arg-type] # mended two lines down
    if not isinstance(given, AgentToolResult):
        kind = type(given).__name__
        raise TypeError(f"Tool {name} returned {kind}, expected AgentToolResult")
    content: Any = given.content
    if isinstance(content, str):
        from tinyagent.agent_types import TextContent

        content = [TextContent(text=content)]
        given = AgentToolResult(content, given.details, given.terminate)
    return Returned(
        content=content_of(content),
        details=details_of(given.details),
        terminate=bool(given.terminate),
        live=given,
    )


def details_of(details: Any) -> dict[str, Any] | None:
    """Return *details* as JSON; what JSON cannot say is told by its ``repr``."""
    try:
        return plain(details or {}) or None
    except TypeError:
        return {str(key): _plain_or_repr(value) for key, value in dict(details).items()} or None


def _plain_or_repr(value: object) -> Any:
    try:
        return plain(value)
    except TypeError:
        return repr(value)


def parsed_or_empty(text: str) -> dict[str, Any]:
    """Return the arguments that *text* is, or none."""
    try:
        return parsed_arguments("", text)
    except Refused:
        return {}


def dumped(message: AgentMessage | dict[str, Any]) -> dict[str, Any]:
    """Return *message* as a log holds it."""
    if isinstance(message, dict):
        given: dict[str, Any] = plain(message)
        return given
    out: dict[str, Any] = plain(message.model_dump(exclude_none=True))
    return out


def said(message: AgentMessage, via: Any) -> Live:
    """Return the input that *message* is."""
    dump = dumped(message)
    known = {"role", "content", "timestamp"}
    if dump.get("role") == "user" and dump.keys() <= known:
        content = content_of(message.content)  # type: ignore[union-attr] # a user message
        return Live(k.UserSaid(content, via, dump.get("timestamp")), message)
    return Live(k.UserSaid(via=via, message=dump), message)
