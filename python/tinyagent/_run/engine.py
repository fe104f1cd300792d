"""What an ``Agent`` needs once it runs: its session, and how the host's settings reach it.

Apart from ``agent`` so that to import and to make an agent costs next to nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

from tinyagent._config.limits import logged_limits
from tinyagent._config.options import default_convert_to_llm, model_of
from tinyagent._config.redacting import redactor_for, register
from tinyagent._host.host import HostHooks, inserted, said
from tinyagent._host.replaced import replaced_execution
from tinyagent._host.seams import after_of, before_of, observers
from tinyagent._mcp.servers import Servers
from tinyagent._provider.fallback import described
from tinyagent._provider.resolve import thinking_of
from tinyagent._reading.opened import opened, store_of
from tinyagent._reading.state import awaited
from tinyagent._run.binding import Binding, Setup, Show
from tinyagent._run.output import Form
from tinyagent._run.played import Quiet
from tinyagent._run.resting import MESSAGES_MAX, Rest
from tinyagent.actors.context import Provided, no_secret
from tinyagent.actors.state import POLLS
from tinyagent.agent_types import AgentEvent, AgentMessage, Model
from tinyagent.events import Event, kinds as k
from tinyagent.runtime.child_log import ChildLog
from tinyagent.runtime.loops import Live

if TYPE_CHECKING:
    from tinyagent._reading.state import StateKeeper
    from tinyagent._run.children import Below
    from tinyagent._run.holder import Hosted
    from tinyagent.events.redaction import Redactor

BEHIND_MAX = 1000
"""Records that a reader may be behind before the source of an answer waits for it."""
_TOOLS = attrgetter("state.tools")


class Engine:
    """The session of one agent. *rest* is what was kept of the one before it.

    Attributes:
        keeper: who keeps the agent's state. owns_state: nobody else has it, for the agent has
            forgotten it.
    """

    owns_state = False
    _complaint: Callable[..., Any] | None = None

    def __init__(self, agent: Hosted, keeper: StateKeeper, rest: Rest | None = None) -> None:
        self._held = weakref.ref(agent)  # who lets go of an agent lets go of all this
        self.keeper = keeper
        self._is_watched = rest.is_watched if rest is not None else False
        given = agent.given
        log = rest.log if rest is not None else agent.given_log
        tools = partial(_TOOLS, keeper)
        self._servers = Servers(tools, log)
        self.binding = Binding(
            store_of(log) if log is not None else None,
            self._setup,
            tools=lambda: self.binding.outputs.tools(self._servers.tools),
            given=tools,
            prepare=self._prepare,
            key_of=lambda: self._key if self._agent.get_api_key is not None else None,
            clock=agent.clock,
            transport=given.transport,
            sinks=(*given.sinks, *observers(given)),
            recalled=keeper.recall,
            relived=keeper.take,
            rest=rest,
            tools_parallel_max=given.tools_parallel_max,
        )
        self.expect()
        self.binding.session.keeps_interrupted = given.on_interrupted == "keep"
        self.log = opened(log or self.binding.session.log)
        above: Redactor | None = log.redactor if isinstance(log, ChildLog) else None
        if rest is not None:
            self.binding.session.go_on(rest.session)
            self.binding.outcome, above = rest.outcome, rest.redactor or above
            if rest.has_state:
                keeper.state.error = rest.error
                keeper.recall(self.binding.bodies.as_of_now())
        self._redactor = above or redactor_for(self.log.options.redact, given.redact)
        self.binding.session.journal.redactor = self._redactor
        self.binding.session.provided = Provided(given.deps, self._secret, self._below)

    @property
    def _agent(self) -> Hosted:
        agent = self._held()
        if agent is None:  # a tool that nobody waits for outlived it
            raise RuntimeError("the agent of this session is gone")
        return agent

    def give_keeper(self) -> StateKeeper:
        """Return who keeps the state."""
        return self.keeper

    def awake(self, agent: Hosted, keeper: StateKeeper) -> Engine:
        """Return this."""
        return self

    def at_rest(self) -> Rest | None:
        """Return what is to be kept of this between two runs; None if it holds what Rest cannot."""
        binding = self.binding
        if len(binding.session.conversation.messages) > MESSAGES_MAX:
            return None
        rested = binding.session.rested()
        if rested is None or not self.is_idle:
            return None
        return Rest(
            self,
            rested,
            bodies=binding.bodies.rest(),
            log=self.log,
            redactor=None if self._redactor.is_idle else self._redactor,
            outcome=binding.outcome,
            is_watched=self._is_watched,
        )

    def take_apart(self) -> None:
        """Free what it is made of: parts that lead back to themselves, which no count frees."""
        parts = vars(self.binding)
        rings = [self.binding, parts["session"], parts["_sources"]]
        for part in [*rings, self.keeper] if self.owns_state else rings:
            vars(part).clear()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, and nothing kept that is for the next run."""
        binding = self.binding
        return (
            binding.session.machine.state.phase == "idle"
            and binding.decisions.is_idle
            and binding.queues.is_idle
            and binding.projection.is_idle
            and self._servers.is_idle
            and not binding.forced
            and not binding.hooks.reported
        )

    def cancel(self, reason: str) -> None:
        """Stop the run, if there is one. From any thread."""
        self.binding.cancel(reason)

    async def ready(self) -> None:
        """Be ready for a run: connected to the MCP servers among the tools.

        Raises:
            McpServerError: one cannot be reached, or two tools have one name.
        """
        await self._servers.ready(self.binding.session.log)

    async def run(
        self,
        messages: Sequence[AgentMessage],
        show: Show,
        *,
        is_watched: bool,
        output: Any = None,
    ) -> AsyncGenerator[AgentEvent]:
        """Run the agent on *messages*, as its events are read; without any it goes on from where
        it stands.

        *is_watched*: somebody may steer at any event, so the queues are asked when all events so
        far were delivered. *output*: the type of the answer, if it is not the agent's own.

        Raises:
            As of ``inputs``.
        """
        self._is_watched = is_watched
        return self.binding.run(await self.inputs(messages, output), show)

    async def inputs(
        self, messages: Sequence[AgentMessage], output: Any = None, *, is_text: bool = False
    ) -> Sequence[Event | Live]:
        """Return what a run on *messages* begins with; nothing, if it ends one that was cut off.

        *is_text*: as of ``quiet``.

        Raises:
            TypeError: *output* is no type that an answer can have.
            Exception: whatever a message hook raised; nothing was said then. RuntimeError: it was
                stopped before one had answered.
        """
        session = self.binding.session
        session.called_off = ""
        session.behind_max = BEHIND_MAX
        self.expect(output)
        self.binding.open()
        if session.is_unfinished:
            if messages:
                raise session.reopened.unfinished(session.log.where)
            return []
        self._adopt()
        heard = await self.binding.queues.begin(messages)
        if is_text and heard[0] is messages[0]:
            return [said(heard[0], "prompt").event]
        return [said(message, "prompt") for message in heard] or [k.UserContinued()]

    def quiet(
        self,
        messages: Sequence[AgentMessage],
        output: Any,
        *,
        is_text: bool,
        show: Show,
        be_busy: Callable[[], Callable[[], None]],
    ) -> Quiet | None:
        """Return a run without public events; None if something in it depends on them.

        *is_text*: the host gave a text, and has not the *messages* that were made of it.
        """
        options, session = self._agent.given, self.binding.session
        is_new = self.binding.open()
        if (
            session.is_unfinished
            or session.machine.state.phase != "idle"
            or session.shadow is not None
            or options.should_stop_after_turn is not None
            or after_of(options.after_tool_call, options.hooks) is not None
            or replaced_execution() is not None
        ):
            return None
        self._is_watched = False
        return Quiet(
            self.binding,
            self.keeper,
            lambda: self.inputs(messages, output, is_text=is_text),
            show=show,
            be_busy=be_busy,
            # Unless this run has an output of its own, or a hook may yet change something.
            is_told=is_new and output is None and not self.binding.seams.hears_messages,
        )

    def complain(self) -> None:
        """Let the next run, which has no message, fail if there is nothing to go on from."""
        if not self.goes_on:
            from tinyagent._run.loop import complaining

            self._complaint = complaining(self.keeper.state.messages)

    def take_up(self, on_interrupted: Literal["retry", "keep"] | None) -> None:
        """Open the session on what its log holds."""
        if on_interrupted is not None:
            self.binding.session.keeps_interrupted = on_interrupted == "keep"
        self.binding.open()

    def expect(self, output: Any = None) -> None:
        """Let runs end with an answer of the type *output*; None: of the agent's own, or any."""
        outputs = self.binding.outputs
        outputs.form = self._form(self._agent.given.output)
        if output is not None:
            self.binding.open()  # what a log begins with is not the configuration of one run
            outputs.form = self._form(output)

    def _form(self, wanted: Any) -> Form[Any] | None:
        if wanted is None:
            return None
        form: Form[Any] = Form(wanted)
        form.choose(self._setup(), self._servers.tools or [])
        return form

    def decide(self, call_id: str, *, approved: bool, by: str, why: str) -> None:
        """Record what a person decided about a call that waits."""
        self.binding.open()
        event = self.binding.decisions.verdict(call_id, approved=approved, by=by, why=why)
        if self.binding.session.is_running:
            self.binding.in_loop(lambda: self._decided(event))
        else:
            self._decided(event)

    def _decided(self, event: k.ApprovalDecided) -> None:
        self.binding.session.append(event)

    @property
    def goes_on(self) -> str:
        """What a run without a message would do: ``end`` or ``take up`` one, ``answer``, or ""."""
        self.binding.open()
        session = self.binding.session
        if session.is_unfinished:
            return "end"
        if session.machine.state.phase == "paused":
            return "take up"
        if session.machine.state.over:
            return "answer"
        messages = self.keeper.state.messages
        return "answer" if messages and messages[-1].role != "assistant" else ""

    def configuration(self) -> k.SessionStarted:
        """Return the configuration that a new log would start with, masked as it would be."""
        if not self.binding.session.is_running:
            self.expect()
        started = self._redactor.take(self.binding.configuration(), 0).event
        assert isinstance(started, k.SessionStarted)
        return started

    def insert(self, message: AgentMessage) -> None:
        """Put *message* into the conversation of a run, behind what is open."""
        append = partial(self.binding.session.append, inserted(message), live=message)
        self.binding.in_loop(append)

    def clear(self, messages: Sequence[AgentMessage]) -> None:
        """Let the conversation of a run be *messages*, at once."""
        events = [(inserted(message), message) for message in messages]
        for event, message in [(k.ContextEdited([["clear"]]), None), *events]:
            self.binding.in_loop(partial(self.binding.session.append, event, live=message))

    def _adopt(self) -> None:
        """Put on record what the host did to ``state.messages`` since the last run."""
        session, bodies = self.binding.session, self.binding.bodies
        if self.keeper.take_reset():
            session.append(k.ContextEdited([["clear"]]))
        removed, added = self.keeper.edits()
        if not removed and not added:
            return
        events = list(map(inserted, added))
        self.keeper.adopt()
        drops = [["drop", seq] for seq in map(bodies.seq_of, removed) if seq]
        if drops:
            session.append(k.ContextEdited(drops))
        for event, message in zip(events, added, strict=True):
            session.append(event, live=message)

    async def _key(self, provider: str) -> str | None:
        resolve = self._agent.get_api_key
        key: str | None = await awaited(resolve(provider)) if resolve is not None else None
        register(self._redactor, provider or "key", key)
        return key

    def _secret(self, name: str) -> str:
        """Return a secret of the host's, masked on record from now on.

        Raises:
            LookupError: it has none of that name. ValueError: it is too short to be masked.
        """
        secrets = self._agent.given.secrets
        value = secrets(name) if callable(secrets) else (secrets or {}).get(name)
        if value is None:
            return no_secret(name)
        self._redactor.register(name, value)
        return value

    def _below(self, agent: Any, log: ChildLog, left: dict[str, Any]) -> Below:
        from tinyagent._run.children import Below

        return Below(self._agent, agent, log, left)

    def _setup(self) -> Setup:
        agent = self._agent
        options = agent.given
        model = model_of(self.keeper.state.model or Model())
        sent = {
            **options.sent(agent.session_id, agent.thinking_budgets),
            "steering_mode": agent.get_steering_mode(),
            "follow_up_mode": agent.get_follow_up_mode(),
        }
        thinking = thinking_of(self.keeper.state.thinking_level, model)
        if thinking is not None:
            sent["reasoning"] = thinking
        form = self.binding.outputs.form
        if form is not None:
            sent |= form.options(options.output_retries_max)
        fallback = tuple(model_of(each) for each in options.fallback)
        if fallback:
            sent["fallback"] = described(fallback, agent.stream_fn)
        return Setup(
            model=model,
            fallback=fallback,
            system=self.keeper.state.system_prompt or "",
            stream_fn=agent.stream_fn,
            options=sent,
            limits=logged_limits(options.limits, options.prices),
            tool_timeout_s=options.tool_timeout_s,
            polls=POLLS if self._is_watched else (),
        )

    def _prepare(self, hooks: HostHooks) -> None:
        agent = self._agent
        options, decisions = agent.given, self.binding.decisions
        decisions.on_unknown = agent.on_unknown
        decisions.on_approval = agent.on_approval
        convert = options.convert_to_llm
        hooks.transform = options.transform_context
        if self._complaint is not None and not self.binding.session.is_running:
            hooks.transform, self._complaint = self._complaint, None
        hooks.convert = None if convert is default_convert_to_llm else convert
        hooks.before = before_of(options.before_tool_call, options.hooks)
        hooks.after = after_of(options.after_tool_call, options.hooks)
        self.binding.seams.hooks = options.hooks
        hooks.stop = options.should_stop_after_turn
        hooks.caching = options.enable_prompt_caching
        hooks.stop_arguments = self.keeper.stop_arguments
