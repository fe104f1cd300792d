"""An MCP server for tests: over its standard streams, or with ``--http`` over loopback.

Over HTTP its URL is its first line. What it was called for is written to the file that
``CALLED_FILE`` names, if it names one; its process id likewise to ``PID_FILE``. With ``--stubborn``
it does not end when it should, and leaves a child that holds its streams.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import socket
import subprocess
import sys
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server

OBJECT: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
PLACE: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "minLength": 1}},
    "required": ["city"],
}
READS = types.ToolAnnotations(read_only_hint=True)
PIXEL = base64.b64encode(b"\x89PNG pixel").decode()
DESCRIBED = {
    "weather": ("Weather of a city.", PLACE, READS),
    "book": ("Book a room.", PLACE, None),
    "stall": ("Never answers.", OBJECT, None),
    "die": ("Ends the server.", OBJECT, None),
    "fail": ("Says that it failed.", OBJECT, None),
    "picture": ("A picture.", OBJECT, None),
    "figures": ("Structured content alone.", OBJECT, None),
    "flood": (
        "A long text.",
        {"type": "object", "properties": {"chars": {"type": "integer"}}},
        None,
    ),
    "steps": ("Tells of its progress.", OBJECT, None),
    "bad.schema": ("Its schema is none.", {"type": "object", "properties": {"x": 7}}, None),
    "more": ("From now on there is one tool more.", OBJECT, None),
}


def called(what: str, variable: str = "CALLED_FILE") -> None:
    path = os.environ.get(variable)
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{what}\n")


def text(said: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=said)])


async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
    called("list")
    return types.ListToolsResult(
        tools=[
            types.Tool(name=name, description=said, input_schema=schema, annotations=hints)
            for name, (said, schema, hints) in DESCRIBED.items()
        ]
    )


async def call_tool(ctx: Any, params: Any) -> types.CallToolResult:
    given = params.arguments or {}
    called(params.name)
    match params.name:
        case "weather" | "book":
            return text(f"{params.name}: {given['city']}")
        case "stall":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                called("stall cancelled")
                raise
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "fail":
            return types.CallToolResult(
                content=[types.TextContent(type="text", text="no rooms left")], is_error=True
            )
        case "picture":
            return types.CallToolResult(
                content=[types.ImageContent(type="image", data=PIXEL, mime_type="image/png")]
            )
        case "figures":
            return types.CallToolResult(content=[], structured_content={"rooms": 3})
        case "flood":
            return text("x" * given["chars"])
        case "steps":
            await ctx.session.report_progress(1.0, 2.0, "half way")
            return text("done")
        case "bad.schema":
            return text(f"given {given}")
        case "more":
            DESCRIBED["extra"] = ("One tool more.", OBJECT, None)
            return text("there is one more")
        case _:
            pass
    raise ValueError(f"no tool {params.name}")


SERVER = Server("hotel", version="1", on_list_tools=list_tools, on_call_tool=call_tool)


async def over_pipes() -> None:
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (read, write):
        await SERVER.run(read, write, SERVER.create_initialization_options())


def over_http() -> None:
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
    config = uvicorn.Config(SERVER.streamable_http_app(), log_level="error")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


def stay(seconds: int = 600) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"])
    called(str(child.pid), "PID_FILE")


if __name__ == "__main__":
    called(str(os.getpid()), "PID_FILE")
    if "--stubborn" in sys.argv:
        stay()
    if "--http" in sys.argv:
        over_http()
    else:
        print("This line is no message of the protocol.", flush=True)
        asyncio.run(over_pipes())
        if "--stubborn" in sys.argv:
            signal.pause()
