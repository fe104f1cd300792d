"""Tools of real MCP servers, over both transports: what becomes of a call."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.agents import recorded, reported
from tests.mcp_client.rude import Reply, rude, told
from tests.mcp_client.serving import Calls, Make, serving, until

from tinyagent import Agent, McpServer, ToolFailed, ToolInDoubt, load, mcp_server
from tinyagent.actors.context import idempotency_key
from tinyagent.events import kinds as k
from tinyagent.runtime.errors import McpServerError
from tinyagent.testing import scripted


async def outcome(server: McpServer, name: str, **arguments: Any) -> Any:
    """Return how a call of the tool ended."""
    agent = Agent(model=scripted.calls(name, **arguments).text("Done."), tools=[server])
    await agent.run("Go.")
    ends = (k.ToolFinished, k.ToolFailed, k.ToolInDoubt)
    return next(r.event for r in agent.log.records if isinstance(r.event, ends))


async def test_a_stalled_call_is_cancelled_in_time_and_the_server_is_told(
    hotel: Make, calls: Calls
) -> None:
    async with hotel() as server:
        agent = Agent(model=scripted.calls("stall").text("Done."), tools=[server])
        running = asyncio.create_task(agent.run("Go."))
        await until(lambda: "stall\n" in calls())
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        agent.abort()
        result = await running
        assert loop.time() - began_s < 1
        assert result.outcome == "cancelled"
        [doubt] = recorded(agent, k.ToolInDoubt.kind)
        assert doubt.why == "cancelled"
        await until(lambda: "stall cancelled" in calls())


async def test_a_call_takes_no_longer_than_it_may_and_the_server_is_told(
    hotel: Make, calls: Calls
) -> None:
    async with hotel(timeout_s=0.2) as server:
        end = await outcome(server, "stall")
        assert isinstance(end, ToolInDoubt)
        assert (end.why, end.content) == ("timeout", "Tool stall timed out after 0.2 s")
        await until(lambda: "stall cancelled" in calls())
    async with hotel(timeout_s=0.2, effects={"stall": "read"}) as server:
        end = await outcome(server, "stall")
        assert isinstance(end, ToolFailed)
        assert end.failure.kind == "timeout"


async def test_a_call_that_its_server_did_not_survive_is_in_doubt(
    piped: Make, calls: Calls
) -> None:
    async with piped() as server:
        agent = Agent(model=scripted.calls("die").text("Done."), tools=[server])
        result = await agent.run("Go.")
        assert result.outcome == "paused"
        [doubt] = recorded(agent, k.ToolInDoubt.kind)
        assert (doubt.why, doubt.content) == (
            "stopped",
            "MCP server hotel was lost during the call: signal 9. "
            "Its outcome is unknown: it may or may not have taken effect.",
        )
        assert calls().split() == ["list", "die"]
        agent.on_unknown = lambda call: call.tell()
        assert (await agent.run()).text == "Done."  # and the server was started again
        assert calls().split() == ["list", "die", "list"]


async def test_a_call_that_changes_nothing_fails_with_its_server(piped: Make, calls: Calls) -> None:
    async with piped(effects={"die": "read"}) as server:
        end = await outcome(server, "die")
    assert isinstance(end, ToolFailed)
    assert end.failure.kind == "interrupted"


async def test_a_server_over_http_that_goes_away_leaves_doubt(written: Path) -> None:
    with serving(written) as address:
        async with mcp_server(address) as server:
            end = await outcome(server, "die")
    assert isinstance(end, ToolInDoubt)
    assert "127.0.0.1" in str(end.content)
    assert "may or may not have taken effect" in str(end.content)


async def test_what_the_server_calls_an_error_is_a_failure_for_the_model(remote: Make) -> None:
    async with remote() as server:
        end = await outcome(server, "fail")
    assert end == ToolFailed(end.call_id, k.Failure("host", "no rooms left"))


async def test_pictures_and_structured_content_are_results(remote: Make) -> None:
    async with remote() as server:
        picture = await outcome(server, "picture")
        figures = await outcome(server, "figures")
    [image] = picture.content
    assert (image["type"], image["url"]) == (
        "image",
        "data:image/png;base64,iVBORyBwaXhlbA==",
    )
    assert figures.content == '{"rooms":3}'
    assert figures.details == {"structured": {"rooms": 3}}


async def test_progress_is_on_record(remote: Make) -> None:
    async with remote() as server:
        agent = Agent(model=scripted.calls("steps").text("Done."), tools=[server])
        await agent.run("Go.")
    [progress] = recorded(agent, k.ToolProgressed.kind)
    assert progress.content == "half way"


async def test_of_a_huge_result_a_model_reads_so_much(remote: Make) -> None:
    async with remote(output_bytes_max=1000) as server:
        end = await outcome(server, "flood", chars=3_000_000)
    assert end.content[0]["text"] == "x" * 1000
    assert end.content[1]["text"] == "[cut: the first 1000 of 3000000 bytes]"


async def test_a_message_that_is_too_long_is_not_read_to_its_end(hotel: Make) -> None:
    async with hotel(message_bytes_max=100_000) as server:
        end = await outcome(server, "flood", chars=3_000_000)
    assert isinstance(end, ToolInDoubt)
    assert "100000 bytes" in str(end.content)


async def test_a_schema_that_is_none_is_kept_as_it_is_and_reported(remote: Make) -> None:
    async with remote() as server:
        agent = Agent(model=scripted.calls("bad_schema", x=1).text("Done."), tools=[server])
        await agent.run("Go.")
        tools = {tool.name: tool for tool in load(agent.log).settings.tools}
    assert tools["bad_schema"].schema == {"type": "object", "properties": {"x": 7}}
    [end] = recorded(agent, k.ToolFinished.kind)
    assert end.content == "given {'x': 1}"
    assert [name for name, _ in reported(agent)] == ["tool.schema"]


async def test_arguments_that_do_not_fit_the_schema_never_reach_the_server(
    remote: Make, calls: Calls
) -> None:
    async with remote() as server:
        end = await outcome(server, "book", city="")
    assert end.failure.kind == "invalid"
    assert calls().split() == ["list"]


# What is no answer


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ((502, "text/html", "<p>Bad gateway"), "HTTP 502: Server returned an error response"),
        ((200, "text/html", "<p>Welcome"), "Unexpected content type: text/html"),
        ((200, "application/json", "{"), "Failed to parse JSON response"),
        ((202, "text/plain", ""), "server answered a request with 202 Accepted"),
    ],
)
async def test_an_answer_that_is_none_leaves_a_call_in_doubt(reply: Reply, why: str) -> None:
    with rude(lambda asked: reply) as url:
        async with mcp_server(url, name="rude") as server:
            end = await outcome(server, "book")
    assert isinstance(end, ToolInDoubt)
    assert str(end.content).startswith(f"MCP server rude was lost during the call: {why}")


async def test_an_answer_that_cannot_be_read_is_not_waited_for() -> None:
    program = Path(__file__).with_name("rude.py")
    async with mcp_server([sys.executable, str(program)], name="rude") as server:
        end = await outcome(server, "book")
    assert isinstance(end, ToolInDoubt)
    told_so = "MCP server rude was lost during the call: its answer cannot be read: "
    assert str(end.content).startswith(told_so)


async def test_a_request_that_the_server_refuses_has_failed() -> None:
    error = {"code": -32602, "message": "no such city"}
    with rude(lambda asked: told(asked, error=error)) as url:
        async with mcp_server(url) as server:
            end = await outcome(server, "book", city="Oslo")
    assert end == ToolFailed(end.call_id, k.Failure("host", "no such city"))


async def test_a_result_that_breaks_the_protocol_is_told_of_a_call_that_ran() -> None:
    with rude(lambda asked: told(asked, result={"content": "yes"})) as url:
        async with mcp_server(url, name="rude") as server:
            end = await outcome(server, "book")
    assert isinstance(end, ToolFailed)
    told_so = "book ran; MCP server rude gave an answer amiss: "
    assert end.failure.message.startswith(told_so)


async def test_a_server_that_wants_to_know_who_asks_is_answered_by_headers() -> None:
    with rude(told, refuses=401) as url, pytest.raises(McpServerError) as raised:
        await mcp_server(url, name="shy")
    assert str(raised.value) == (
        "MCP server shy: no connection: Server returned an error response (HTTP 401)\n"
        '  try       headers={"Authorization": "Bearer ..."}'
    )


async def test_a_call_carries_the_key_that_is_the_same_in_each_attempt() -> None:
    asked: list[dict[str, Any]] = []

    def book(request: dict[str, Any]) -> Reply:
        asked.append(request)
        return told(request, result={"content": []})

    with rude(book) as url:
        async with mcp_server(url) as server:
            agent = Agent(model=scripted.calls("book", city="Oslo").text("Done."), tools=[server])
            await agent.run("Go.")
    [call] = agent.log.tool_calls.values()
    [request] = asked
    key = idempotency_key(agent.log.meta.log, call.call_id)
    assert request["params"]["_meta"]["tinyagent/idempotency-key"] == key
    assert request["params"]["arguments"] == {"city": "Oslo"}
