"""What an application sees and may change, at four seams: message, request, tool, append."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from tinyagent._config.checks import check_function
from tinyagent.agent_types import AfterToolCallFn, AgentMessage, BeforeToolCallFn

if TYPE_CHECKING:
    # Named only: to name an agent must cost next to nothing.
    from tinyagent.events import Record

MessageHook: TypeAlias = Callable[[AgentMessage], Any]
"""Returns the message to record instead, or the text of one, or None; or a coroutine that does."""
RequestHook: TypeAlias = Callable[[dict[str, Any]], Any]
"""Returns the body to send instead, or None; or a coroutine that does."""
AppendHook: TypeAlias = Callable[["Record"], object]


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What is called at the seams of an agent. Plain functions or async, but for ``append``.

    Answers are on record, and a replay serves them from there: it calls none of these.

    Attributes:
        message: gets what is said to the agent, a copy, before it is recorded: what it returns is
            what was said. If it raises, nothing was said: ``run`` raises that, and a queued
            message is dropped.
        request: gets the body of a request before it is sent, as the provider will read it; it may
            change it in place, or return another. If it raises, the run has failed.
        before_tool_call: gets a call, its tool, and its arguments; it may answer in the tool's
            place, by a ``ToolLoopControl``. If it raises, the call is answered with that.
        after_tool_call: gets a call and its result, and may change that. If it raises, the result
            is withheld.
        append: gets every record that is written from now on, in a thread of its own. If it
            raises, that is ``sink.failed``, and it gets no more until the next run.

    >>> shout = Hooks(message=lambda message: extract_text(message).upper())
    >>> agent = Agent(model=scripted("Yes."), hooks=[shout])
    >>> extract_text(agent.run_sync("really?").messages[0])
    'REALLY?'
    """

    message: MessageHook | None = None
    request: RequestHook | None = None
    before_tool_call: BeforeToolCallFn | None = None
    after_tool_call: AfterToolCallFn | None = None
    append: AppendHook | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be called.

        Raises:
            TypeError: one is no function; or ``append`` is async: nobody would wait for it.
        """
        for name, hook in vars(self).items():
            if hook is not None:
                check_function(f"Hooks: {name}", hook)
        if inspect.iscoroutinefunction(self.append):
            raise TypeError("Hooks: append is called in a thread; give it a plain function")
