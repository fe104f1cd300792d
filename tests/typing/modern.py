# pyright: strict, reportUnknownArgumentType=true, reportUnknownMemberType=true
# pyright: reportUnknownVariableType=true
"""What both type checkers accept of the modern face: typed tools, typed events. Never run."""

from __future__ import annotations

from typing import Annotated, Any, assert_never, assert_type

from msgspec import Meta

from tinyagent import (
    Agent,
    AgentMessage,
    AgentTool,
    ApprovalDecided,
    ApprovalRequested,
    BudgetExceeded,
    ContextEdited,
    Ctx,
    Event,
    Hooks,
    McpServer,
    ModelDelta,
    ModelFailed,
    ModelFinished,
    ModelRequested,
    ModelRetrying,
    OpenLog,
    Record,
    RunEnded,
    RunResult,
    ToolFailed,
    ToolFinished,
    ToolInDoubt,
    ToolProgressed,
    ToolRequested,
    ToolReturn,
    TurnEnded,
    UnknownEvent,
    UserSaid,
    mcp_server,
    open_log,
    tool,
)
from tinyagent.events import kinds as k
from tinyagent.testing import echo, scripted


class Deps:
    """What an application gives its tools."""

    prices: dict[str, float]


@tool(effect="read", timeout_s=10)
async def forecast(city: str, days: Annotated[int, Meta(ge=1, le=14)] = 3) -> str:
    """Weather forecast."""
    return f"{city}: sunny for {days} days"


@tool
def price(ctx: Ctx[Deps], of: str) -> ToolReturn:
    assert_type(ctx.deps, Deps)
    assert_type(ctx.deps.prices, dict[str, float])
    return ToolReturn(content=ctx.deps.prices[of], details={"of": of})


@tool(approval=lambda ctx, arguments: arguments["amount"] > 100)
async def pay(ctx: Ctx, amount: float) -> None:
    await ctx.sleep(0.1)
    ctx.progress(f"paying by {ctx.now()} with {ctx.secret('bank')} and {ctx.uuid()}")


def polite(message: AgentMessage) -> str | None:
    return None if message.role != "user" else "Please."


async def colder(body: dict[str, Any]) -> None:
    body["temperature"] = 0


@tool
async def ask(ctx: Ctx, what: str) -> str:
    assert_type(await ctx.run(Agent(model=echo()), what), RunResult)
    answer = await ctx.run(Agent(model=echo()), what, output=list[str])
    assert_type(answer, RunResult[list[str]])
    return (await ctx.run(Agent(model=echo()), what)).text


def build(*, log: OpenLog | None = None) -> Agent:
    tools: list[AgentTool] = [forecast, price]
    tools.append(Agent(model=echo()).as_tool("echo", "Repeats.", effect="pure"))
    tools.append(pay)
    hooks = [Hooks(message=polite, request=colder), Hooks(append=lambda record: print(record.seq))]
    return Agent(
        model=scripted("Paris."), tools=tools, log=log, deps=Deps(), secrets={}, hooks=hooks
    )


def word(event: Event) -> str:
    """Every kind, and the check that it is every kind."""
    match event:
        case UserSaid(content=content):
            return str(content)
        case ModelRequested(n=n) | TurnEnded(n=n):
            return str(n)
        case ModelDelta():
            return event.text + event.thinking + event.arguments
        case ModelRetrying() | ModelFinished() | ContextEdited() | BudgetExceeded():
            return event.kind
        case ModelFailed(failure=failure) | ToolFailed(failure=failure):
            return failure.message
        case ToolRequested(name=name, arguments=arguments):
            return f"{name} {arguments}"
        case ToolProgressed() | ToolFinished() | ToolInDoubt():
            return event.call_id
        case ApprovalRequested() | ApprovalDecided():
            return event.call_id
        case RunEnded(outcome=outcome):
            return outcome
        case (
            k.ToolBlocked()
            | k.ToolStarted()
            | k.ToolReconciled()
            | k.ToolSettled()
            | k.SessionStarted()
            | k.SessionForked()
            | k.SessionResumed()
            | k.LogRecovered()
            | k.LogLost()
            | k.ConfigChanged()
            | k.SessionEnded()
            | k.DiagnosticReported()
            | k.ActorFailed()
            | k.SinkFailed()
            | k.Foreign()
            | k.OutputRejected()
            | k.TimerSet()
            | k.TimerFired()
            | k.UserContinued()
            | k.UserWithdrawn()
            | k.UserDelivered()
            | k.CancelRequested()
            | k.ChildEnded()
            | k.ChildStarted()
            | k.HostAsked()
            | k.HostAnswered()
            | k.HostFailed()
        ):
            return event.kind
        case UnknownEvent(kind=kind):
            return kind
        case _:
            assert_never(event)


async def watch() -> None:
    assert_type(await forecast("Oslo", days=2), str)
    async with open_log("runs/trip") as log:
        agent = build(log=log)
        async with agent.events("Plan a day") as run:
            async for event in run:
                print(word(event))
        assert_type(run.result, RunResult)
        async with agent.events("What does it cost?", output=Deps) as priced:
            assert_type(priced.result.output, Deps)
        async for record in agent.records("And another"):
            assert_type(record, Record)
        assert_type(agent.log, OpenLog)
        print(agent.log.tool_calls["c1"].name, agent.log.usage.total_tokens, log.ref)
    assert_type(Agent(model=echo(), tools=[forecast]).run_sync("Hello"), RunResult)
    async with mcp_server("notes --all", effects={"read": "read"}) as notes:
        assert_type(notes, McpServer)
        print(notes.tools[0].server)
        Agent(model=echo(), tools=[forecast, notes, await mcp_server("https://example.com/mcp")])
