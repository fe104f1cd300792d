"""``@tool``: a function with a typed signature, as a tool of an agent."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from typing import Any, Generic, Literal, ParamSpec, TypeVar, overload

import msgspec

from tinyagent._config.checks import setting_fault
from tinyagent.actors.context import Ctx, current_ctx, go_to_thread
from tinyagent.actors.schema import Fault, signature_of
from tinyagent.actors.tools import Refused
from tinyagent.agent_types import AgentTool, AgentToolResult, ImageContent, TextContent
from tinyagent.events.codec import plain, text
from tinyagent.events.fact import EFFECTS, Effect
from tinyagent.runtime.bells import call_in
from tinyagent.runtime.errors import ToolDefinitionError

P = ParamSpec("P")
R = TypeVar("R")
Approval = Literal["always", "never"] | Callable[[Ctx[Any], dict[str, Any]], Any]
Reconciling = Callable[[Ctx[Any], dict[str, Any]], Any]


class ToolReturn(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool gives back when a value is not enough.

    Attributes:
        content: for the model: a string, blocks of text and images, or what msgspec encodes.
        details: for the application, on record and never shown to the model.
        terminate: no further model call after this batch.

    >>> @tool(effect="read")
    ... def price(thing: str) -> ToolReturn:
    ...     return ToolReturn(content={"eur": 4.5}, details={"shop": 7})
    """

    content: Any = ""
    details: dict[str, Any] | None = None
    terminate: bool = False


class FunctionTool(AgentTool, Generic[P, R]):
    """A function that an agent can use as a tool, and everybody can still call.

    A plain function runs in a thread of its own. No thread can be stopped: when its time is up, or
    the run is cancelled, nobody waits for it any more, and a ``write`` is in doubt.
    """

    __name__: str

    def __init__(self, function: Callable[P, R], **settings: Any) -> None:
        """Make *function* a tool.

        Raises:
            ToolDefinitionError: it cannot become one.
        """
        name = settings.pop("name") or getattr(function, "__name__", "tool")
        description = settings.pop("description")
        signature = signature_of(function, name)
        effect = settings["effect"]
        if effect not in EFFECTS:
            told = f"effect={effect!r} is none of {', '.join(EFFECTS)}"
            raise ToolDefinitionError(name, "", 0, told, 'effect="write", if it may change things')
        _check(name, settings, description)
        reconcile = settings.pop("reconcile")
        self._waits: Any = settings["approval"]
        if callable(self._waits):
            settings["approval"] = self._rule
        super().__init__(
            name=name,
            description=signature.description if description is None else description,
            parameters=signature.schema,
            execute=self._execute,
            reconcile=self._reconcile if reconcile is not None else None,
            **settings,
        )
        self.function = function
        self._signature = signature
        self._is_async = inspect.iscoroutinefunction(inspect.unwrap(function))
        self._asked = reconcile
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Return this; a tool of a class is one that takes no ``self``."""
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> FunctionTool[P, R]:
        return self

    def __repr__(self) -> str:
        return f"<tool {self.name} ({self.effect})>"

    def __tinyagent_faults__(self, arguments: Mapping[str, Any]) -> list[Fault]:
        """Return what in *arguments* does not fit the function, beyond what its schema says."""
        return self._signature.decoded(arguments)[1]

    async def _execute(
        self, call_id: str, arguments: Mapping[str, Any], signal: object, on_update: object
    ) -> AgentToolResult:
        return result_of(self.name, await self._run(arguments))

    @property
    def __tinyagent_run__(self) -> Callable[[Mapping[str, Any]], Awaitable[object]] | None:
        """Runs the function, as ``execute`` does, and leaves a text as it is.

        None where ``execute`` is not its own any more.
        """
        return self._run if self.execute == self._execute else None

    async def _run(self, arguments: Mapping[str, Any]) -> AgentToolResult | str:
        given = self._decoded(arguments)
        if self._is_async:
            said: Any = await self._called(given)
        else:
            go_to_thread(current_ctx())
            said = await _in_thread(self.name, functools.partial(self._called, given))
            if inspect.isawaitable(said):
                said = await said
        return said if isinstance(said, str) else result_of(self.name, said)

    async def _reconcile(self, ctx: Ctx[Any], arguments: Mapping[str, Any]) -> object:
        assert self._asked is not None
        said = self._asked(ctx, self._decoded(arguments))
        if inspect.isawaitable(said):
            said = await said
        return said if said is None or said is False else result_of(self.name, said)

    def _rule(self, ctx: Ctx[Any], arguments: Mapping[str, Any]) -> Any:
        given, faults = self._signature.decoded(arguments)
        return False if faults else self._waits(ctx, given)  # nobody need allow what cannot run

    def _called(self, given: dict[str, Any]) -> Any:
        called: Callable[..., Any] = self.function
        if self._signature.context:
            given = {self._signature.context: current_ctx(), **given}
        return called(**given)

    def _decoded(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the function's own arguments; those that a hook changed are looked at here."""
        values, faults = self._signature.decoded(arguments)
        if faults:
            told = "; ".join(f"{pointer}: {what}" for pointer, what in faults)
            raise Refused(f"Invalid arguments for tool {self.name}: {told}")
        return values


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...


@overload
def tool(
    *,
    effect: Effect = "write",
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = None,
    idle_timeout_s: float | None = None,
    approval: Approval = "never",
    reconcile: Reconciling | None = None,
    alone: bool = False,
    output_bytes_max: int | None = None,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    effect: Effect = "write",
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = None,
    idle_timeout_s: float | None = None,
    approval: Approval = "never",
    reconcile: Reconciling | None = None,
    alone: bool = False,
    output_bytes_max: int | None = None,
) -> Any:
    """Make a function a tool: ``@tool``, or ``@tool(effect="read", timeout_s=10)``.

    The schema is the signature's, the texts are the docstring's. A first parameter annotated as
    ``Ctx`` is given the call's context and is not in the schema.

    Args:
        effect: what a run may do to the world; whoever says nothing may have changed it.
        name, description: instead of the function's own.
        timeout_s, idle_timeout_s: the longest run, and the longest silence in it.
        approval: whether a call waits for a person: always, never, or as ``(ctx, arguments)`` says.
        reconcile: ``(ctx, arguments)``, asked after a crash in mid-run: the result if it took
            effect, False if it did not, None if it cannot say.
        alone: no other tool runs beside it.
        output_bytes_max: so much of its text reaches the model.

    Raises:
        ToolDefinitionError: the function cannot become a tool; says where, and what to write.

    >>> @tool(effect="pure")
    ... def add(a: int, b: int = 1) -> int:
    ...     return a + b
    >>> add.parameters["required"], add(2, 3)
    (['a'], 5)
    """
    make = functools.partial(
        FunctionTool[..., Any],
        effect=effect,
        name=name,
        description=description,
        timeout_s=timeout_s,
        idle_timeout_s=idle_timeout_s,
        approval=approval,
        reconcile=reconcile,
        alone=alone,
        output_bytes_max=output_bytes_max,
    )
    return make if function is None else make(function)


def _check(name: Any, settings: Mapping[str, Any], description: object) -> None:
    """Look at the settings of a tool.

    Raises:
        ToolDefinitionError: one is not of its kind.
    """
    for setting, given in (("name", name), ("description", description)):
        if given is not None and not isinstance(given, str):
            told = f"{setting}={given!r} is no text"
            raise ToolDefinitionError(str(name), "", 0, told, f'{setting}="..."')
    fault = setting_fault({**settings, "name": name, "description": description})
    if fault is not None:
        raise ToolDefinitionError(text(name), "", 0, *fault)


def result_of(name: str, said: object) -> AgentToolResult:
    """Return what the tool *name* gave back.

    Raises:
        TypeError: it cannot be encoded.
    """
    if isinstance(said, str):
        return AgentToolResult([TextContent(text=said)])
    if isinstance(said, AgentToolResult):
        return said
    if isinstance(said, ToolReturn):
        return AgentToolResult(_blocks(name, said.content), said.details or {}, said.terminate)
    return AgentToolResult(_blocks(name, said))


def _blocks(name: str, content: object) -> list[TextContent | ImageContent]:
    if isinstance(content, str):
        return [TextContent(text=content)]
    if isinstance(content, TextContent | ImageContent):
        return [content]
    items = content if isinstance(content, list) else []
    if items and all(isinstance(item, TextContent | ImageContent) for item in items):
        return list(items)
    return [TextContent(text=_encoded(name, content))]


def _encoded(name: str, content: object) -> str:
    try:
        encoded = msgspec.json.encode(content)
        if b"null" not in encoded:
            return encoded.decode()
        said = _with_names(msgspec.to_builtins(content))
        return said if isinstance(said, str) else msgspec.json.encode(said).decode()
    except UnicodeEncodeError:  # half a character, as in names of files that are no UTF-8
        said = json.dumps(msgspec.to_builtins(content), ensure_ascii=False, separators=(",", ":"))
        return text(said)
    except (TypeError, ValueError, RecursionError) as error:
        told = f"Tool {name} ran; what it returned cannot be told to the model: {error}"
        raise TypeError(told) from None


def _with_names(value: Any) -> Any:
    """Return *value* with the names of numbers that JSON has not: NaN is not nothing."""
    match value:
        case float():
            return plain(value)
        case dict():
            return {key: _with_names(item) for key, item in value.items()}
        case list() | tuple():
            return [_with_names(item) for item in value]
        case _:
            return value


def _in_thread(name: str, call: Callable[[], Any]) -> Awaitable[Any]:
    """Run *call* in a thread that nobody must wait for, not even the end of the process.

    A loop that has no threads, as ``tinyagent.testing.SimLoop``, runs it in its turn.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    context = copy_context()

    def settle(value: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)

    def run() -> None:
        value: Any = None
        raised: BaseException | None = None
        try:
            value = context.run(call)
        except StopIteration as error:  # no future takes one
            raised = RuntimeError(f"the tool raised StopIteration: {error}")
        except BaseException as error:
            raised = error
        call_in(loop, settle, value, raised)

    if getattr(loop, "has_no_threads", False):
        loop.call_soon(run)
    else:
        threading.Thread(target=run, name=f"tinyagent tool {name}", daemon=True).start()
    return done
