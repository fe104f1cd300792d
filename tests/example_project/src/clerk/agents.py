"""The agent and its tools. ``build`` is the factory that every verb of tinyagent takes."""

from __future__ import annotations

from typing import Any

from tinyagent import Agent, AgentOptions, AgentState, AgentTool
from tinyagent.transports import Transport

NAMED = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
BILL = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "cents": {"type": "integer"}},
    "required": ["name", "cents"],
}
BILLS = {"water": 3_000, "power": 7_050}


class Bank:
    """Where the money is."""

    def __init__(self, cents: int = 20_000) -> None:
        self.cents = cents
        self.paid: list[str] = []

    async def pay(self, name: str, cents: int) -> str:
        """Pay a bill, once."""
        self.cents -= cents
        self.paid.append(name)
        return f"paid {name}: {cents / 100:.2f}"


def build(
    *,
    log: Any = None,
    model: Any,
    bank: Bank | None = None,
    clock: Any = None,
    transport: Transport | None = None,
) -> Agent:
    """Return the clerk; *model* is who thinks for it, *transport* how it is reached."""
    account = bank or Bank()

    async def look_up(call_id: str, arguments: Any, signal: Any, on_update: Any) -> str:
        return f"{arguments['name']}: {BILLS[arguments['name']]} cents"

    async def pay(call_id: str, arguments: Any, signal: Any, on_update: Any) -> str:
        return await account.pay(arguments["name"], arguments["cents"])

    tools = [
        AgentTool(name="look_up", parameters=NAMED, execute=look_up, effect="read"),
        AgentTool(name="pay", parameters=BILL, execute=pay, effect="write"),
    ]
    state = AgentState(system_prompt="You pay bills.", model=model, tools=tools)
    return Agent(AgentOptions(initial_state=state, log=log, clock=clock), transport=transport)
