"""A connection to an MCP server. The one file that imports ``mcp``: its exceptions stay here.

A task of its own holds the connection, from the loop that opened it until it is closed, the
server is gone, or the loop ends; calls are made by others, each in a task that outlives its
caller by as long as it takes to tell the server that nobody waits any more.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinyagent._mcp.exchange import STATUSES, bounded
from tinyagent._mcp.process import END_S, LineTooLongError, Program
from tinyagent._mcp.shapes import Listed, Place, Said, block_of, listed_of
from tinyagent._version import VERSION
from tinyagent.actors.gate import UNSURE
from tinyagent.actors.tools import OutcomeUnknownError
from tinyagent.actors.transports.failures import public_url
from tinyagent.runtime.errors import McpServerError
from tinyagent.runtime.extras import missing

if TYPE_CHECKING:
    import mcp

TOOLS_MAX = 1000
"""So many tools of one server are listed."""
WHY_CHARS_MAX = 300
"""So much is told of what went wrong."""
KEY = "tinyagent/idempotency-key"
"""Where a server that takes one finds the key of a call, in the ``_meta`` of the request."""
_OWNERS: set[asyncio.Task[None]] = set()


def loaded() -> None:
    """Load what speaks the protocol.

    Raises:
        ModuleNotFoundError: it is not installed; says how to.
    """
    if "mcp.client.client" in sys.modules:
        return
    try:
        import_module("mcp.client.client")
        logging.getLogger("mcp").addHandler(logging.NullHandler())  # what matters is on record
    except ModuleNotFoundError as error:
        raise missing("tools of MCP servers need", "mcp", error) from None


class Connection:
    """A server, connected in the loop that this is made in.

    Attributes:
        loop: that loop.
    """

    def __init__(self, place: Place) -> None:
        self.loop = asyncio.get_running_loop()
        self._place = place
        self._program: Program | None = None
        self._client: mcp.Client | None = None
        self._why = ""
        self._is_gone = False
        self._statuses: list[int] = []
        self._calls: set[asyncio.Task[Said]] = set()
        self._opened, self._closing = asyncio.Event(), asyncio.Event()
        self._owner = self.loop.create_task(self._own(), name=f"MCP server {place.name}")
        _OWNERS.add(self._owner)  # a loop alone does not keep its tasks
        self._owner.add_done_callback(_OWNERS.discard)

    @property
    def is_over(self) -> bool:
        """Whether nothing can be asked of it any more."""
        return self._owner.done() or self._closing.is_set()

    async def opened(self) -> None:
        """Wait until it is connected.

        Raises:
            McpServerError: it cannot be.
        """
        await self._opened.wait()
        if self._client is None:
            raise McpServerError(self._place.name, f"no connection: {self._why}", self._advice())

    async def list_tools(self) -> list[Listed]:
        """Return the tools that the server has now.

        Raises:
            McpServerError: it does not say.
        """
        assert self._client is not None
        listed: list[Listed] = []
        cursor: str | None = None
        try:
            async with asyncio.timeout(self._place.connect_timeout_s):
                while cursor != "" and len(listed) <= TOOLS_MAX:
                    page = await self._client.list_tools(cursor=cursor)
                    listed += [listed_of(tool) for tool in page.tools]
                    cursor = page.next_cursor or ""
        except Exception as error:
            self._closing.set()
            why = f"it does not list its tools: {_told(error)}"
            raise McpServerError(self._place.name, why, self._advice()) from None
        if len(listed) > TOOLS_MAX:
            why = f"it lists more than {TOOLS_MAX} tools"
            raise McpServerError(self._place.name, why, "another server: no model could choose")
        return listed

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        key: str,
        say: Callable[[str], object],
    ) -> Said:
        """Call a tool. When this is cancelled, the server is told.

        Raises:
            RuntimeError: it was not called, the server says that the call failed, or its answer
                cannot be read.
            OutcomeUnknownError: the connection was lost before an answer.
        """
        task = self.loop.create_task(self._call(name, arguments, key, say))
        self._calls.add(task)
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            raise
        if task.cancelled():
            raise await self._lost()
        return task.result()

    def close(self) -> None:
        """End it soon, and a server that was started for it. From any thread, without waiting."""
        if self.loop.is_closed():
            self.kill()
        else:
            self.loop.call_soon_threadsafe(self._closing.set)
            if not self.loop.is_running():
                self.kill()

    def kill(self) -> None:
        """Kill a server that was started for it, at once."""
        if self._program is not None:
            self._program.kill()

    async def closed(self) -> None:
        """End it, and wait for that."""
        self._closing.set()
        await asyncio.wait({self._owner})

    # The task that holds it

    async def _own(self) -> None:
        STATUSES.set(self._statuses)
        try:
            async with self._transport() as transport:
                await self._hold(transport)
        except Exception as error:
            refused = [f" (HTTP {status})" for status in self._statuses[-1:] if status >= 400]
            self._why = self._why or "".join((_told(error), *refused))
        finally:
            self._closing.set()
            self._opened.set()

    async def _hold(self, transport: Any) -> None:
        from mcp import Client
        from mcp_types import Implementation

        client = Client(
            transport, cache=None, client_info=Implementation(name="tinyagent", version=VERSION)
        )
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._place.connect_timeout_s):
                self._client = await stack.enter_async_context(client)
            stack.push_async_callback(self._end_calls)
            self._opened.set()
            await self._closing.wait()

    async def _end_calls(self) -> None:
        import anyio

        for call in self._calls:
            call.cancel()
        if self._calls:
            with anyio.CancelScope(shield=True):
                await asyncio.wait(self._calls, timeout=END_S)

    def _transport(self) -> AbstractAsyncContextManager[Any]:
        return self._over_pipes() if self._place.command else self._over_http()

    @asynccontextmanager
    async def _over_http(self) -> AsyncGenerator[Any]:
        from mcp.client.streamable_http import streamable_http_client

        bytes_max = self._place.message_bytes_max
        async with bounded(self._place.headers, bytes_max) as client:
            yield streamable_http_client(
                self._place.url, http_client=client, max_sse_event_size=bytes_max
            )

    @asynccontextmanager
    async def _over_pipes(self) -> AsyncGenerator[Any]:
        from mcp.client.stdio import get_default_environment

        self._program = program = Program(
            self._place.command,
            env={**get_default_environment(), **self._place.env},
            cwd=self._place.cwd,
            line_bytes_max=self._place.message_bytes_max,
        )
        try:
            await program.start()
            yield self._streams(program)
        finally:
            await program.stop()
            if self._is_gone:
                self._why = program.told

    @asynccontextmanager
    async def _streams(self, program: Program) -> AsyncGenerator[Any]:
        """Yield the two streams that a client reads from and writes to."""
        import anyio
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        heard, inward = anyio.create_memory_object_stream[Any](0)
        outward, waiting = anyio.create_memory_object_stream[Any](0)

        async def read() -> None:
            try:
                async for line in program.lines():
                    try:
                        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                    except ValueError as error:  # it prints to where it should speak
                        message = _refused(line, error)
                    if message is not None:
                        await heard.send(SessionMessage(message))
                self._is_gone = True
            except LineTooLongError as error:
                self._why = str(error)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return  # closed by us
            heard.close()
            self._closing.set()

        async def write() -> None:
            async for message in waiting:
                said = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                try:
                    await program.say(said.encode() + b"\n")
                except OSError:
                    heard.close()
                    self._closing.set()
                    return

        with heard, inward, outward, waiting:
            async with anyio.create_task_group() as group:
                group.start_soon(read)
                group.start_soon(write)
                yield inward, outward
                group.cancel_scope.cancel()

    # A call

    async def _call(
        self, name: str, arguments: dict[str, Any], key: str, say: Callable[[str], object]
    ) -> Said:
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST, PARSE_ERROR
        from pydantic import ValidationError

        async def told(progress: float, total: float | None, message: str | None) -> None:
            told = f"{progress:g}" if total is None else f"{progress:g} of {total:g}"
            say(message or told)

        assert self._client is not None
        if self.is_over:
            raise RuntimeError(f"MCP server {self._place.name}: not called: {self._why}")
        meta: Any = {KEY: key}
        statuses: list[int] = []
        STATUSES.set(statuses)
        try:
            result = await self._client.call_tool(
                name,
                arguments,
                progress_callback=told,
                meta=meta,
            )
        except MCPError as error:
            status = statuses[-1] if statuses else 0
            unclear = {CONNECTION_CLOSED, PARSE_ERROR}
            if 200 <= status < 300:
                unclear.add(INVALID_REQUEST)  # the answer was none
            if status < 500 and error.code not in unclear:
                raise RuntimeError(error.message) from None
            why = f"HTTP {status}: {error.message}" if status >= 500 else error.message
            raise await self._lost(why) from None
        except (ValidationError, RuntimeError) as error:
            told_by = f"MCP server {self._place.name}"
            raise RuntimeError(f"{name} ran; {told_by} gave an answer amiss: {error}") from None
        except Exception as error:
            raise await self._lost(_told(error)) from None
        blocks = [block_of(block) for block in result.content]
        return Said(blocks, result.structured_content, bool(result.is_error))

    def _ended(self, task: asyncio.Task[Said]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may have gone

    async def _lost(self, why: str = "") -> OutcomeUnknownError:
        if self.is_over or not why:
            await asyncio.wait({self._owner}, timeout=END_S)  # until it is known how it ended
            lines = self._why.splitlines() or [why or "the connection was closed"]
            how = lines[0] if len(lines) == 1 else f"{lines[0]} ... {lines[-1]}"
            why = how[:WHY_CHARS_MAX]
        return OutcomeUnknownError(
            f"MCP server {self._place.name} was lost during the call: {why}. {UNSURE}"
        )

    def _advice(self) -> str:
        if self._place.command:
            return f"{self._place.command[0]} by hand: it must speak MCP on its standard streams"
        if self._statuses and self._statuses[-1] in (401, 403):
            return 'headers={"Authorization": "Bearer ..."}'
        where = public_url(self._place.url)
        return f"whether {where} answers, and whether it is the MCP endpoint itself"


def _refused(line: bytes, error: ValueError) -> Any:
    """Return an error in the place of an answer that cannot be read; None if *line* is none."""
    from mcp_types import PARSE_ERROR, ErrorData, JSONRPCError

    try:
        said: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(said, dict) or "method" in said or not isinstance(said.get("id"), int):
        return None
    told = ErrorData(code=PARSE_ERROR, message=f"its answer cannot be read: {_told(error)}")
    return JSONRPCError(jsonrpc="2.0", id=said["id"], error=told)


def _told(error: BaseException) -> str:
    """Return what happened, in words; of a group, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{os.strerror(error.errno)}: {error.filename}" if error.filename else str(error)
    return " ".join(str(error).split())[:WHY_CHARS_MAX] or type(error).__name__
