"""What an agent is given is looked at when it is given: what is wrong is named there, not later.

Objects are known by what they must have, so those of a host's own will do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

_WANTED = {
    "opts": ("initial_state", "AgentOptions(...) (a model is given as model=...)"),
    "model": ("provider", "Model(...)"),
    "initial_state": ("messages", "AgentState(...)"),
    "log": ("durable", "an open log (`async with open_log(...) as log`)"),
    "limits": ("turns_max", "Limits(...)"),
    "prices": ("items", "a dict of Price(...) by model"),
    "compaction": ("keep_turns", "Compaction(...)"),
    "retry": ("attempts_max", "Retry(...)"),
    "redact": ("rule", "Redact(...)"),
    "thinking_budgets": ("thinking_budget", "ThinkingBudgets(...)"),
    "output_schema": ("keys", "a JSON Schema, as a dict"),
    "extra_body": ("keys", "a dict"),
    "clock": ("now_us", "a Clock"),
    "transport": ("open", "a Transport"),
}
_MEMBERS = {
    "hooks": ("after_tool_call", "Hooks(...)"),
    "fallback": ("strip provider", "models, or their names"),
    "sinks": ("write sink", "sinks"),
    "stop": ("strip", "texts"),
}
_FUNCTIONS = frozenset(
    {"convert_to_llm", "transform_context", "stream_fn", "get_api_key", "before_tool_call"}
    | {"after_tool_call", "should_stop_after_turn", "on_unknown", "on_approval"}
    | {"get_steering_messages", "get_follow_up_messages"}
)
_NUMBERS: dict[str, tuple[int, tuple[type, ...]]] = {
    "temperature": (0, ()),
    "max_tokens": (0, (int,)),
    "tool_timeout_s": (0, ()),
    "tools_parallel_max": (1, (int,)),
    "retries_max": (0, (int,)),
    "connect_timeout_s": (0, ()),
    "first_byte_timeout_s": (0, ()),
    "read_timeout_s": (0, ()),
    "output_retries_max": (0, (int,)),
}
_TEXTS = frozenset({"session_id", "tool_choice"})
_WITHIN = frozenset({"prices", "redact", "thinking_budgets", "output_schema", "extra_body"})
_MODES = frozenset({"steering_mode", "follow_up_mode"})
_LIMITS = ("timeout_s", "idle_timeout_s", "output_bytes_max")
MENDED = "text.encode(errors='replace').decode() puts ? in its place"
TOOLS = "a list of functions under @tool, of AgentTool(...) or MCP servers"


def check_options(given: Mapping[str, Any]) -> None:
    """Look at the options of an agent, or of a loop, by their names.

    Raises:
        TypeError: one is not of its kind. ValueError: a number is too small, or none that JSON
            has; a text has half a character.
    """
    for name, value in given.items():
        if value is None:
            continue
        if name in _WANTED:
            if name != "initial_state" or not isinstance(value, dict):
                check(name, value)
            if name in _WITHIN:
                _check_within(name, value)
        elif name in _MEMBERS:
            known_by, wanted = _MEMBERS[name]
            for number, each in enumerate(listed(name, value, f"a list of {wanted}")):
                if not any(hasattr(each, mark) for mark in known_by.split()):
                    raise TypeError(f"{name} must be a list of {wanted}; {_kind(each)} is in it")
                if name == "stop":
                    check_text(f"stop[{number}]", each)
                elif name == "sinks":
                    _check_sink(getattr(each, "sink", each))
        elif name in _NUMBERS:
            check_number(name, value, *_NUMBERS[name])
        elif name in _FUNCTIONS:
            check_function(name, value)
        elif name in _TEXTS:
            check_text(name, value)
        elif name in _MODES and value and not isinstance(value, str):
            raise TypeError(f"{name} must be 'one-at-a-time' or 'all', not {_kind(value)}")
        elif name == "secrets" and not (callable(value) or isinstance(value, Mapping)):
            raise TypeError(f"secrets must be a dict, or a function, not {_kind(value)}")
        elif name == "parallel_tool_calls" and not isinstance(value, bool):
            raise TypeError(f"parallel_tool_calls must be True or False, not {_kind(value)}")
        elif name == "on_interrupted" and value not in ("retry", "keep"):
            raise ValueError(f"on_interrupted={value!r} is none of retry, keep")


def _check_within(name: str, value: Any) -> None:
    """Look at what is in one setting that is an object."""
    if name == "prices":
        for each in value.values():
            if not hasattr(each, "input_usd"):
                raise TypeError(f"prices must be {_WANTED[name][1]}; {_kind(each)} is in it")
    elif name == "redact" and not isinstance(value.values, Mapping):
        for each in listed("redact.values", value.values, "a dict of texts by name, or a list"):
            check_text("a secret in redact.values", each)
    elif name == "thinking_budgets":
        for field in ("thinking_budget", "max_tokens"):
            if (tokens := getattr(value, field)) is not None:
                check_number(f"{name}.{field}", tokens, 0, (int,))
    elif name in ("output_schema", "extra_body"):
        check_json(name, value)


def _check_sink(sink: object) -> None:
    missing = [] if hasattr(sink, "kinds") else ["kinds (None for all)"]
    for name in ("checkpoint", "write", "close"):
        if not callable(getattr(sink, name, None)):
            missing.append(f"{name}()")
    if missing:
        told = f"sinks must be a list of sinks; {_kind(sink)} is in it"
        raise TypeError(f"{told}, and has no {', '.join(missing)}")


def check_json(path: str, value: object) -> None:
    """Look at what is sent as JSON.

    Raises:
        TypeError: JSON has nothing like it. ValueError: it has no such number or text.
    """
    match value:
        case str():
            check_text(path, value)
        case float() if not math.isfinite(value):
            raise ValueError(f"{path} must be a number that JSON has, not {value}")
        case Mapping():
            for key, each in value.items():
                check_text(f"a key of {path}", key)
                check_json(f"{path}.{key}", each)
        case list() | tuple():
            for number, each in enumerate(value):
                check_json(f"{path}[{number}]", each)
        case None | bool() | int() | float():
            pass
        case _:
            raise TypeError(f"{path} must be JSON, not {_kind(value)}")


def check_text(name: str, value: object) -> None:
    """Look at one setting that is a text.

    Raises:
        TypeError: it is none. ValueError: it has half a character.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text, not {_kind(value)}")
    if (fault := text_fault(value)) is not None:
        raise ValueError(f"{name} {fault}; {MENDED}")


def text_fault(text: str) -> str | None:
    """Return what is wrong with *text*, which no request can hold; None if nothing is."""
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"has half a character, {text[error.start]!r} at {error.start}"
    return None


def check_function(name: str, value: object) -> None:
    """Look at one setting that is called.

    Raises:
        TypeError: it cannot be.
    """
    if not callable(value):
        raise TypeError(f"{name} must be a function, not {_kind(value)}")


def check_number(name: str, value: object, least: int, kinds: tuple[type, ...] = ()) -> None:
    """Look at one setting that is a number.

    Raises:
        TypeError: it is none of *kinds*. ValueError: it is less than *least*.
    """
    if not is_number(value, least, *kinds):
        wanted = f"{name} must be a {'whole ' if kinds else ''}number from {least} on"
        if isinstance(value, float | int) and not isinstance(value, bool):
            raise ValueError(f"{wanted}, not {value}")
        raise TypeError(f"{wanted}, not {_kind(value)}")


def check(name: str, value: object) -> None:
    """Look at one setting that is an object.

    Raises:
        TypeError: it is not of its kind.
    """
    known_by, wanted = _WANTED[name]
    if not hasattr(value, known_by):
        raise TypeError(f"{name} must be {wanted}, not {_kind(value)}")


def check_tools(tools: Any) -> None:
    """Look at the tools of an agent.

    Raises:
        TypeError: it is no list, or holds what is no tool.
    """
    for each in listed("tools", tools, TOOLS):
        check_tool(each)


def check_tool(given: Any) -> None:
    """Look at one tool.

    Raises:
        TypeError: it is none, or no agent can have it.
    """
    if hasattr(given, "name"):
        if (fault := setting_fault(getattr(given, "__dict__", {}))) is not None:
            raise TypeError(f"an agent cannot have the tool {given.name!r}: {fault[0]}")
        return
    told = f"tools must be {TOOLS}; {_kind(given)} is in it"
    if hasattr(given, "as_tool"):
        told += ": give agent.as_tool(name, description)"
    elif callable(given):
        told += f": put @tool above {getattr(given, '__name__', given)}"
    raise TypeError(told)


def setting_fault(given: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what is wrong with the settings of a tool, and what to write; None if nothing is."""
    for setting in _LIMITS:
        value = given.get(setting)
        if value is not None and not is_number(value, 0):
            told = f"{setting}={value!r} is no number from 0 on"
            return told, f"{setting}=10, or leave it out"
    for setting in ("name", "description"):
        value = given.get(setting)
        if not isinstance(value, str) or value.isascii():  # as most are: asked in each run
            continue
        if (fault := text_fault(value)) is not None:
            return f"{setting}={value!r} {fault}", MENDED
    approval = given.get("approval", "never")
    if approval not in ("always", "never") and not callable(approval):
        told = f"approval={approval!r} is none of always, never, and no function"
        return told, 'approval="always"'
    return None


def listed(name: str, value: object, wanted: str) -> Iterable[Any]:
    """Return *value*.

    Raises:
        TypeError: it is no list, nor anything like one.
    """
    if not is_listing(value):
        raise TypeError(f"{name} must be {wanted}, not {_kind(value)}")
    return value


def is_listing(value: object) -> TypeGuard[Iterable[Any]]:
    """Whether *value* is a list, or something like one."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def is_number(value: object, least: int, *kinds: type) -> bool:
    """Whether *value* is finite, of one of *kinds* if they are given, and at least *least*."""
    is_one = isinstance(value, kinds or (int, float)) and not isinstance(value, bool)
    return is_one and least <= value < math.inf  # type: ignore[operator] # a number


def check_edits(edits: Any) -> None:
    """Look at what is given as edits.

    Raises:
        TypeError: it is no list of them.
    """
    for each in listed("edits", edits, "a list like [edits.drop(7)]"):
        if not hasattr(each, "told"):
            raise TypeError(f"edits must be a list like [edits.drop(7)]; {_kind(each)} is in it")


def _kind(value: object) -> str:
    return type(value).__name__
