"""A tool's schema from its signature, what cannot become a tool, and what a model may send."""

from __future__ import annotations

import datetime
import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Literal, Required, TypedDict

import msgspec
import pytest
from msgspec import Meta
from syrupy.assertion import SnapshotAssertion

from tinyagent import Ctx, ToolDefinitionError
from tinyagent.actors.docstrings import described
from tinyagent.actors.schema import signature_of


class Unit(enum.Enum):
    CELSIUS = "c"
    FAHRENHEIT = "f"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Place:
    """A place on a map."""

    name: str
    at: tuple[float, float] = (0.0, 0.0)
    tags: list[str] = field(default_factory=list)


class Options(TypedDict, total=False):
    unit: Required[Unit]
    title: str


class Circle(msgspec.Struct, tag="circle"):
    radius: Annotated[float, Meta(gt=0, description="In metres.")]


class Box(msgspec.Struct, tag="box", rename="camel"):
    long_side: int
    title: str = "box"


class Tree(msgspec.Struct):
    children: list[Tree]


def plain(a: str, b: int, c: float, d: bool, e: None, f: Any) -> None: ...


def defaults(
    a: int = 3, b: Unit = Unit.CELSIUS, c: str | None = None, d: Level = Level.LOW
) -> None:
    """Do it.

    At length,
    on two lines.

    Args:
        a: How many,
            and more.
        b (Unit): Which unit.

    Returns:
        Nothing.
    """


def limits(
    days: Annotated[int, Meta(ge=1, le=14, description="Of its own.")],
    name: Annotated[str, Meta(min_length=1, pattern="^[a-z]+$")],
    many: Annotated[list[int], Meta(max_length=3)],
) -> None:
    """Args:
    days: Not this one.
    """


def choices(
    word: Literal["a", "b"], mixed: Literal["a", 1, None], unit: Unit, level: Level
) -> None: ...


def nested(place: Place, options: Options, places: dict[str, Place]) -> None: ...


def unions(shape: Circle | Box, maybe: Place | None, either: int | list[str]) -> None: ...


def formats(
    day: datetime.date, at: datetime.datetime, took: datetime.timedelta, key: uuid.UUID, raw: bytes
) -> None: ...


def with_context(ctx: Ctx[Place], name: str) -> None:
    """Args:
    ctx: not for the model.
    name: whose.
    """


def nothing() -> None: ...


SIGNATURES = [plain, defaults, limits, choices, nested, unions, formats, with_context, nothing]


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__name__)
def test_a_signature_has_this_schema(
    function: Callable[..., Any], snapshot: SnapshotAssertion
) -> None:
    signature = signature_of(function, function.__name__)
    assert (signature.description, signature.schema) == snapshot


def no_annotation(when) -> None: ...  # type: ignore[no-untyped-def] # the point


def no_annotation_but_a_default(count=3) -> None: ...  # type: ignore[no-untyped-def] # the point


def recursive(tree: Tree) -> None: ...


def any_number(*parts: str) -> None: ...


def nameless(part: str, /) -> None: ...


def context_last(part: str, ctx: Ctx) -> None: ...


def unknown_name(part: Missing) -> None: ...  # type: ignore[name-defined] # noqa: F821 - the point


def no_schema(part: object) -> None: ...


def misspelt(city: str) -> None:
    """Args:
    cty: Which.
    """


@pytest.mark.parametrize(
    ("function", "why", "instead"),
    [
        (no_annotation, "parameter `when`: no annotation, so no schema", "when: datetime.date"),
        (
            no_annotation_but_a_default,
            "parameter `count`: no annotation, so no schema",
            "count: int",
        ),
        (
            recursive,
            "parameter `tree`: Tree contains itself",
            "a list of parts that name each other by id",
        ),
        (any_number, "parameter `*parts`: takes any number", "a list, or a dict"),
        (
            nameless,
            "parameter `part`: has no name for a call to use",
            "the signature without the /",
        ),
        (context_last, "parameter `ctx`: a Ctx that is not the first", "ctx before the others"),
        (
            unknown_name,
            "an annotation names 'Missing', which is not there",
            "import it where the module is run, or define it outside of functions",
        ),
        (
            no_schema,
            "parameter `part`: type <class 'object'> is not supported",
            "str, int, float, bool, list, dict, Literal, an Enum, a dataclass or a Struct",
        ),
        (
            misspelt,
            "the docstring describes `cty`, which is no parameter",
            "one of city in the Args block",
        ),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_what_cannot_become_a_tool_is_refused_with_the_place_and_what_to_write(
    function: Callable[..., Any], why: str, instead: str
) -> None:
    with pytest.raises(ToolDefinitionError) as refused:
        signature_of(function, "forecast")
    line = function.__code__.co_firstlineno
    assert str(refused.value) == (
        "`forecast` cannot become a tool\n"
        f"  where     {__file__}:{line}  {why}\n"
        f"  try       {instead}"
    )
    assert (refused.value.name, refused.value.path, refused.value.line) == (
        "forecast",
        __file__,
        line,
    )


def test_arguments_become_what_the_annotations_say() -> None:
    values, faults = signature_of(nested, "nested").decoded(
        {
            "place": {"name": "Oslo", "at": [59.9, 10.7]},
            "options": {"unit": "c"},
            "places": {"a": {"name": "Rome", "tags": ["hot"]}},
        }
    )
    assert faults == []
    assert values == {
        "place": Place("Oslo", (59.9, 10.7)),
        "options": {"unit": Unit.CELSIUS},
        "places": {"a": Place("Rome", tags=["hot"])},
    }


def test_what_is_missing_or_unknown_is_left_out_and_any_mapping_will_do() -> None:
    given = {"a": "x", "d": True, "unknown": 1}
    decoded = signature_of(plain, "plain").decoded
    assert decoded(given) == ({"a": "x", "d": True}, [])
    assert decoded(MappingProxyType(given)) == ({"a": "x", "d": True}, [])


def test_each_fault_has_its_place_and_what_was_expected_and_found() -> None:
    signature = signature_of(unions, "unions")
    assert signature.decoded(
        {"shape": {"type": "cube"}, "maybe": {"name": "x", "tags": ["a", 2]}, "either": 1.5}
    )[1] == [
        ("/shape/type", "invalid value 'cube', got \"cube\""),
        ("/maybe/tags/1", "expected str, got int"),
        ("/either", "expected int | array, got float"),
    ]


def test_nothing_is_mended_in_silence() -> None:
    assert signature_of(plain, "plain").decoded({"a": 1, "b": "2", "c": "3", "d": 1})[1] == [
        ("/a", "expected str, got int"),
        ("/b", "expected int, got str"),
        ("/c", "expected float, got str"),
        ("/d", "expected bool, got int"),
    ]


def test_a_docstring_without_sections_is_all_description() -> None:
    assert described("Do it.\n\nAt length: with a colon.") == (
        "Do it.\n\nAt length: with a colon.",
        {},
    )


def test_what_follows_the_arguments_is_not_taken_for_one() -> None:
    text, told = described(
        "Do it.\n\nArgs:\n    a: One.\n\n    b: Two\n        lines: here.\n\nRaises:\n    X: never."
    )
    assert (text, told) == ("Do it.", {"a": "One.", "b": "Two lines: here."})
