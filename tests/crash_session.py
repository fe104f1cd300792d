"""A session with everything in it, and a host that takes it up wherever it was cut.

Runs come in kinds: parallel tools of every effect class, steering and follow-ups, approvals given
at once and later, a cancel, hooks that block and change, a stop, a failing provider. What the model
answers depends on the conversation alone, what the host says on the log alone, so a second process
meets the world that the first one met.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from tests.traces import MODEL, Scripted, calls, result, text

from tinyagent import Agent, AgentOptions, AgentState, current_ctx
from tinyagent.agent_types import (
    AgentEvent,
    AgentTool,
    AssistantMessage,
    ToolLoopControl,
    ToolResultMessage,
    UserMessage,
)
from tinyagent.runtime.stores import Log
from tinyagent.testing import VirtualClock

KINDS = ("parallel", "steered", "approved", "cancelled", "hooked", "stopped", "failed", "aborted")
EFFECTS = {"look": "read", "add": "pure", "book": "idempotent", "send": "write", "pay": "write"}
NO_ANSWER = "the provider is not there"
Answer = AssistantMessage | Exception


class Effect(msgspec.Struct, frozen=True):
    """A tool took effect when record ``seq`` was the last one."""

    call_id: str
    tool: str
    key: str
    seq: int


def answers(run: int) -> list[Answer]:
    """Return what the model says in run number *run*, turn by turn."""

    def call(name: str, turn: int, letter: str = "a", **arguments: Any) -> Any:
        return (f"r{run}t{turn}{letter}", name, arguments)

    match KINDS[run % len(KINDS)]:
        case "parallel":
            first = calls(call("look", 1), call("add", 1, "b"), call("look", 1, "c"), says="Look.")
            second = calls(call("book", 2), call("send", 2, "b"), call("look", 2, "c"))
            return [first, second, calls(call("send", 3)), text("Looked, ", "booked, sent.")]
        case "steered":
            first = calls(call("look", 1, steers="left"), call("look", 1, "b"))
            return [first, calls(call("book", 2)), text("Steered."), text("Followed.")]
        case "approved":
            first = calls(call("pay", 1), call("look", 1, "b"))
            second = calls(call("pay", 2, later=True), call("pay", 2, "b", no=True))
            return [first, second, text("Paid.")]
        case "cancelled":
            first = calls(call("look", 1), call("look", 1, "b", cancels=True), call("send", 1, "c"))
            return [first]
        case "hooked":
            first = calls(call("send", 1, blocked=True), call("look", 1, "b", revised=True))
            second = calls(call("look", 2, fails=True), call("tides", 2, "b"))
            return [first, second, text("Hooked.")]
        case "stopped":
            return [calls(call("book", 1), call("add", 1, "b")), calls(call("look", 2, stops=True))]
        case "failed":
            return [calls(call("add", 1)), RuntimeError(NO_ANSWER)]
        case _:
            return [calls(call("look", 1)), text("An answer that is ", "stopped in the middle.")]


class Host:
    """One process: an agent on *log*, and what an application does around it.

    Attributes:
        effects: what tools did to the world. outcomes: of runs, paused ones too.
        events: what a listener saw, if there is one.
    """

    def __init__(self, log: Log, *, listens: bool = False, decides: bool = True) -> None:
        self.log = log
        self.effects: list[Effect] = []
        self.model_calls = 0
        self.events: list[AgentEvent] = []
        self.outcomes: list[str] = []
        self.agent = Agent(
            AgentOptions(
                initial_state=AgentState(model=MODEL, tools=[self._tool(n) for n in EFFECTS]),
                stream_fn=self._model,
                log=log,
                clock=VirtualClock(),
                before_tool_call=self._before,
                after_tool_call=self._after,
                should_stop_after_turn=self._stop,
                transform_context=self._context,
                on_unknown=self._unknown if decides else None,
                on_approval=self._approval,
            )
        )
        if listens:
            self.agent.subscribe(self.events.append)

    # What the application does

    @property
    def begun(self) -> int:
        """How many runs were begun in the log."""
        return sum(
            stored.kind == "user.said" and b'"run ' in stored.payload for stored in self.log.read()
        )

    @property
    def is_over(self) -> bool:
        """Whether the last run in the log has ended, and is not paused."""
        last = b""
        for stored in self.log.read():
            if stored.kind in ("user.said", "user.continued") and b'"via"' not in stored.payload:
                last = b"begun"
            elif stored.kind == "run.ended":
                last = stored.payload
        return last != b"begun" and b'"paused"' not in last

    async def finish(self) -> None:
        """End the last run of the log, whatever it takes of what a person can do."""
        for _ in range(8):
            if self.is_over:
                return
            await self.go_on(None)
        raise AssertionError("the run does not end")

    async def play(self, run: int) -> None:
        """Begin run number *run* and bring it to its end."""
        if KINDS[run % len(KINDS)] == "steered":
            self._once(self.agent.follow_up, f"Follow run {run}.")
        await self.go_on(f"run {run}")
        await self.finish()

    async def go_on(self, prompt: str | None) -> None:
        from tinyagent import RunFailedError

        try:
            outcome = (await self.agent.run(prompt)).outcome
        except RunFailedError as error:
            outcome = "failed" if NO_ANSWER in str(error) else str(error)
        self.outcomes.append(outcome)
        if outcome == "paused":
            for call_id, is_allowed in self._waiting():
                (self.agent.approve if is_allowed else self.agent.deny)(call_id, by="ann")

    def _waiting(self) -> Iterable[tuple[str, bool]]:
        waiting: dict[str, bool] = {}
        for stored in self.log.read():
            told = msgspec.json.decode(stored.payload)
            if stored.kind == "approval.requested":
                waiting[told["call_id"]] = not told["call_id"].endswith("b")
            elif stored.kind == "approval.decided":
                waiting.pop(told["call_id"], None)
        return list(waiting.items())

    def _once(self, say: Callable[[str], None], words: str) -> None:
        """Say what the log does not hold yet: a careful host asks it."""
        told = f'"{words}"'.encode()
        if not any(told in stored.payload for stored in self.log.read()):
            say(words)

    # What the agent asks

    async def _model(self, model: Any, context: Any, options: Any) -> Any:
        self.model_calls += 1
        prompts = [
            (at, message)
            for at, message in enumerate(context.messages)
            if isinstance(message, UserMessage) and message.content[0].text.startswith("run ")  # type: ignore[union-attr] # a text
        ]
        at, prompt = prompts[-1]
        run = int(prompt.content[0].text.removeprefix("run "))  # type: ignore[union-attr] # a text
        turn = sum(message.role == "assistant" for message in context.messages[at:])
        answer = answers(run)[turn]
        if isinstance(answer, Exception):
            raise answer
        if KINDS[run % len(KINDS)] == "aborted" and turn == 1:
            return Scripted(answer, gate=self._aborting(), deltas=3)
        return Scripted(answer)

    def _aborting(self) -> asyncio.Event:
        asyncio.get_running_loop().call_soon(self.agent.abort)
        return asyncio.Event()

    def _tool(self, name: str) -> AgentTool:
        async def execute(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
            key = current_ctx().idempotency_key
            self.effects.append(Effect(call_id, name, key, self.log.seq))
            on_update(result(f"{name} runs"))
            if "steers" in args:
                self._once(self.agent.steer, f"Steer {call_id} {args['steers']}.")
            if "cancels" in args:
                self.agent.abort()
                await asyncio.Event().wait()
            if "fails" in args:
                raise RuntimeError(f"{name} is out of order")
            for _ in range(3):
                await asyncio.sleep(0)
            return done(name, call_id)

        return AgentTool(
            name=name,
            parameters={"type": "object"},
            execute=execute,
            effect=EFFECTS[name],
            approval="always" if name == "pay" else "never",
        )

    def _before(self, call: Any, tool: Any, args: Any) -> ToolLoopControl | None:
        return ToolLoopControl(result=result("Not now.")) if "blocked" in args else None

    def _after(self, call: Any, message: ToolResultMessage) -> ToolLoopControl | None:
        if "revised" in call.arguments:
            return ToolLoopControl(result=result("Revised."))
        return None

    def _stop(self, message: Any, results: Any, context: Any, new: Any) -> bool:
        return any("stops" in getattr(block, "arguments", {}) for block in message.content)

    def _context(self, messages: list[Any], signal: Any) -> list[Any]:
        """Let the model see the last run alone."""
        begins = [
            at
            for at, message in enumerate(messages)
            if isinstance(message, UserMessage) and message.content[0].text.startswith("run ")  # type: ignore[union-attr] # a text
        ]
        return messages[begins[-1] :]

    def _unknown(self, call: Any) -> Any:
        return call.done(done(call.name, call.call_id))

    def _approval(self, call: Any) -> bool | None:
        return None if call.arguments else True


def done(name: str, call_id: str) -> str:
    """Return what a tool gives back."""
    return f"{name} {call_id} done"


def said(messages: Iterable[Any]) -> list[Any]:
    """Return what was said, without times; of what was cut off, that it was.

    What tools of a cancelled run came to depends on how far they were when it was cancelled.
    """
    out: list[Any] = []
    for message in messages:
        texts = [getattr(b, "text", None) or getattr(b, "id", "") for b in message.content]
        if isinstance(message, ToolResultMessage):
            call_id = message.tool_call_id or ""
            run = int(call_id[1 : call_id.index("t")])
            out.append((call_id, [] if KINDS[run % len(KINDS)] == "cancelled" else texts))
        elif isinstance(message, AssistantMessage) and message.error_message is not None:
            out.append(("assistant", message.stop_reason))
        else:
            out.append((message.role, texts))
    return out
