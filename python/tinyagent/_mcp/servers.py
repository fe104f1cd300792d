"""Tools of MCP servers. What a server lists is on record, so only a live run needs the server.

A server stands in an agent's ``tools`` for all that it lists. The list is read when a run begins
and stays for the run; what the log holds takes its place where nothing is run: in a replay, and
where a recording answers.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, final

import msgspec

from tinyagent._host.returned import cut
from tinyagent._mcp.shapes import Listed, Place, Said, Terms, place_of
from tinyagent.actors.context import current_ctx
from tinyagent.agent_types import AgentTool, AgentToolResult, TextContent
from tinyagent.events import Record, kinds as k
from tinyagent.events.fact import Effect
from tinyagent.events.settings import Settings, changed, settings_of
from tinyagent.runtime.errors import McpServerError
from tinyagent.runtime.stores import Log, as_record

if TYPE_CHECKING:
    from tinyagent._mcp.client import Connection

TIMEOUT_S = 60.0
OUTPUT_BYTES_MAX = 100_000
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
PROGRESS_S = 0.1
"""A server that tells of its progress more often than this is heard this often."""


@dataclass
class McpTool(AgentTool):
    """A tool of the MCP server *server*."""

    server: str = ""


@final
class McpServer:
    """A server that an agent can have among its tools; see ``mcp_server``.

    Attributes:
        name: what the log and errors call it. effect: what its tools may do, for who asks before
            they are known.
    """

    effect: Effect = "write"

    def __init__(self, place: Place, terms: Terms) -> None:
        self.name = place.name
        self._place = place
        self._terms = terms
        self._tools: list[McpTool] = []
        self._remote: dict[str, Listed] = {}
        self._connection: Connection | None = None
        self._end: Callable[[], object] = lambda: None
        self._is_fresh = False

    def __repr__(self) -> str:
        return f"<MCP server {self.name}, {len(self._tools)} tools>"

    def __deepcopy__(self, memo: dict[int, object]) -> McpServer:
        return self

    @property
    def tools(self) -> list[McpTool]:
        """Its tools: as it listed them last, or as they are on record; none before either."""
        return self._tools

    # Its life

    def __await__(self) -> Generator[Any, None, McpServer]:
        """Connect, list its tools, and return this."""
        return self._begun().__await__()

    async def __aenter__(self) -> McpServer:
        """Connect, and list its tools."""
        return await self._begun()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.aclose()

    async def aclose(self) -> None:
        """End the connection, and the server if it was started here. It can be opened again."""
        connection, self._connection = self._connection, None
        self._end()
        if connection is not None and connection.loop is asyncio.get_running_loop():
            await connection.closed()

    async def ready(self) -> None:
        """Be connected in this loop, and know what it lists now.

        Raises:
            McpServerError: it cannot be reached, or has not what was asked for.
            ModuleNotFoundError: the extra ``mcp`` is not installed.
        """
        before = self._connection
        connection = await self._connected()
        if self._is_fresh:
            self._is_fresh = False
            return
        try:
            listed = await connection.list_tools()
        except McpServerError:
            if connection is not before:
                raise
            listed = await (await self._connected()).list_tools()  # one that has gone stale
        self._take(listed)

    def recall(self, specs: Iterable[k.ToolSpec]) -> None:
        """Let the tools be those on record, unless the server itself has listed some."""
        if self._remote:
            return
        terms = self._terms
        self._tools = [
            self._tool(spec.name, spec.description, spec.schema, terms.recalled_effect_of(spec))
            for spec in specs
            if spec.server == self.name
        ]

    async def _begun(self) -> McpServer:
        try:
            await self.ready()
        except BaseException:
            await self.aclose()
            raise
        self._is_fresh = True
        return self

    async def _connected(self) -> Connection:
        from tinyagent._mcp.client import Connection, loaded

        if self._connection is None:
            await asyncio.to_thread(loaded)  # it takes its time
        loop, connection = asyncio.get_running_loop(), self._connection
        if connection is not None and connection.loop is not loop:
            if not connection.loop.is_closed() and not connection.is_over:
                why = "it is connected in another event loop"
                raise McpServerError(self.name, why, "mcp_server(...) once for each loop")
            connection = None
        if connection is None or connection.is_over:
            self._end()
            connection = self._connection = Connection(self._place)
            self._end = weakref.finalize(self, connection.close)
            self._is_fresh = False
        await connection.opened()
        return connection

    # Its tools

    def _take(self, listed: list[Listed]) -> None:
        self._remote = remote = self._named(listed)
        terms = self._terms
        self._tools = [
            self._tool(name, tool.description, tool.schema, terms.effect_of(tool))
            for name, tool in remote.items()
        ]

    def _named(self, listed: list[Listed]) -> dict[str, Listed]:
        """Return the tools that are wanted, by the names that models know them by.

        Raises:
            McpServerError: one is wanted that is not there, or two have one name.
        """
        terms, names = self._terms, sorted(tool.name for tool in listed)
        for what, wanted in (("effects", terms.effects), ("only", terms.only or ())):
            if unknown := sorted(set(wanted) - set(names)):
                why = f"{what}= names what it does not have: {', '.join(unknown)}"
                raise McpServerError(self.name, why, f"one of {', '.join(names)}")
        found: dict[str, Listed] = {}
        for tool in listed:
            if terms.only is None or tool.name in terms.only:
                other = found.setdefault(terms.name_of(tool.name), tool)
                if other.name != tool.name:
                    why = f"models would know {other.name!r} and {tool.name!r} by one name"
                    raise McpServerError(self.name, why, "only=[...], without one of them")
        return found

    def _tool(self, name: str, description: str, schema: dict[str, Any], effect: Effect) -> McpTool:
        return McpTool(
            name=name,
            description=description,
            parameters=schema,
            execute=partial(self._execute, name),
            effect=effect,
            timeout_s=self._terms.timeout_s,
            approval=self._terms.approval,
            output_bytes_max=self._terms.output_bytes_max,
            server=self.name,
        )

    async def _execute(
        self,
        name: str,
        call_id: str,
        arguments: dict[str, Any],
        signal: object,
        on_update: Callable[[AgentToolResult], None],
    ) -> AgentToolResult:
        connection = await self._connected()
        if name not in self._remote:  # known from a recording so far
            self._remote = self._named(await connection.list_tools())
        if name not in self._remote:
            why = f"it has no tool {name} any more"
            raise McpServerError(self.name, why, f"one of {', '.join(self._remote) or 'none'}")
        loop, heard_s = asyncio.get_running_loop(), 0.0

        def progress(text: str) -> None:
            nonlocal heard_s
            if loop.time() - heard_s >= PROGRESS_S:
                heard_s = loop.time()
                on_update(AgentToolResult([TextContent(text=text)]))

        key = current_ctx().idempotency_key
        return self._result(
            await connection.call(self._remote[name].name, arguments, key, progress)
        )

    def _result(self, said: Said) -> AgentToolResult:
        bytes_max = self._terms.output_bytes_max
        if said.is_error:
            told = [
                block.text or "" for block in cut(said.blocks, bytes_max) if block.type == "text"
            ]
            raise RuntimeError("\n".join(told) or "the tool failed and does not say why")
        if said.structured is None:
            return AgentToolResult(said.blocks)
        encoded = msgspec.json.encode(said.structured)
        blocks = said.blocks or [TextContent(text=encoded.decode())]
        is_small = len(encoded) <= bytes_max
        details = {"structured": said.structured} if is_small else {"structured_cut": True}
        return AgentToolResult(blocks, details)


def mcp_server(
    where: str | Sequence[str],
    *,
    name: str | None = None,
    prefix: str = "",
    only: Collection[str] | None = None,
    effects: Mapping[str, Effect] | None = None,
    trust_hints: bool = False,
    approval: str | Callable[..., Any] = "never",
    timeout_s: float = TIMEOUT_S,
    output_bytes_max: int = OUTPUT_BYTES_MAX,
    connect_timeout_s: float = TIMEOUT_S,
    message_bytes_max: int = MESSAGE_BYTES_MAX,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    headers: Mapping[str, str] | None = None,
) -> McpServer:
    """Return the tools of an MCP server, as one member of an agent's ``tools``.

    Nothing is started yet. The first run connects; so do ``await mcp_server(...)``, which tells at
    once whether it can, and ``async with``, which ends it too. What is not ended so ends with the
    event loop, with the last reference to it, or with the process.

    Args:
        where: a command, which is started and spoken to over its standard streams, or the
            ``http(s)`` URL of a server that speaks streamable HTTP.
        name: what the log and errors call it; else the program's name, or the URL's host.
        prefix: is put before the name of each tool. only: the tools to have, by the server's names.
        effects: what a run of a tool may do, by the server's name of it; others are ``write``.
        trust_hints: believe what the server says of the effects of its tools.
        approval: as of ``@tool``, for each tool.
        timeout_s: the longest call. output_bytes_max: so much text of a result reaches the model.
        connect_timeout_s: the longest wait for a connection, or for the list of tools.
        message_bytes_max: the longest message that is read.
        env: what a command finds in its environment, beside a few harmless variables of ours.
        headers: are sent with every request to a URL.

    Raises:
        ValueError: *where* is no command, or an effect is none of the four.
    """
    terms = Terms(
        prefix=prefix,
        only=only,
        effects=effects or {},
        trust_hints=trust_hints,
        approval=approval,
        timeout_s=timeout_s,
        output_bytes_max=output_bytes_max,
    )
    limits = {"connect_timeout_s": connect_timeout_s, "message_bytes_max": message_bytes_max}
    return McpServer(place_of(where, name, env, cwd, headers, **limits), terms)


class Servers:
    """The servers among the tools of one agent, and what each of them had when the run began.

    Args:
        tools: returns the agent's list. log: its log; what was listed last in it is known.
    """

    def __init__(self, tools: Callable[[], list[Any] | None], log: Log | None) -> None:
        self._given = tools
        self._listed: dict[McpServer, list[McpTool]] = {}
        if log is not None and self._servers:
            recall(tools(), reversed([as_record(stored) for stored in log.read()]))

    @property
    def tools(self) -> list[AgentTool] | None:
        """The agent's tools, each server's in its place; the list itself if there is no server."""
        given = self._given()
        if given and McpServer in map(type, given):
            return [tool for each in given for tool in self._of(each)]
        return given

    async def ready(self, log: Log) -> None:
        """Connect to each server, or know what is on record of it, if that is what answers.

        Raises:
            McpServerError: one cannot be reached, or two tools have one name.
        """
        servers = self._servers
        if not servers:
            self._listed = {}
            return
        understudy = log.options.understudy
        if understudy is not None and understudy.records:
            recall(servers, understudy.records)
        else:
            await asyncio.gather(*(server.ready() for server in servers))
        self._listed = {server: server.tools for server in servers}
        known: dict[str, AgentTool] = {}
        for tool in self.tools or ():
            other = known.setdefault(tool.name, tool)
            for each in (tool, other):
                if other is not tool and isinstance(each, McpTool):
                    why = f"there are two tools called {tool.name}"
                    raise McpServerError(each.server, why, "a prefix= of its own for each server")

    @property
    def is_idle(self) -> bool:
        """Whether there are none."""
        return not self._listed and not self._servers

    @property
    def _servers(self) -> list[McpServer]:
        return [tool for tool in self._given() or () if isinstance(tool, McpServer)]

    def _of(self, tool: Any) -> Sequence[AgentTool]:
        return self._listed.get(tool, tool.tools) if isinstance(tool, McpServer) else (tool,)


def recall(tools: Sequence[Any] | None, records: Iterable[Record]) -> None:
    """Let the servers in *tools* have what *records* say first that they listed."""
    servers = {tool.name: tool for tool in tools or () if isinstance(tool, McpServer)}
    for record in records if servers else ():
        listed: Sequence[k.ToolSpec] = ()
        if isinstance(record.event, k.SessionStarted):
            listed = settings_of(record.event).tools
        elif isinstance(record.event, k.ConfigChanged):
            listed = changed(Settings(), record.event.set).tools
        for name in [name for name in servers if any(spec.server == name for spec in listed)]:
            servers.pop(name).recall(listed)
