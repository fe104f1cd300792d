"""The laws of the source: who imports whom, what is pure, how long a thing may be.

Each rule reads sources and yields complaints. The tree must draw none, and for every rule there
is a snippet that must draw one. Where a rule is wrong, change it here, and say why.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache, cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE_LINES_MAX, FUNCTION_LINES_MAX = 400, 60

# Free for every file: modules without effects.
FREE = (
    "__future__ abc base64 binascii bisect collections contextlib copy dataclasses datetime decimal"
    " difflib enum fractions functools hashlib heapq html inspect itertools json keyword math"
    " msgspec numbers operator re string struct textwrap traceback types typing"
    " typing_extensions unicodedata urllib.parse warnings weakref"
)
# Who may import what: files; modules of ours ("!" forbids); modules of others. First row wins.
FACE = "!cli !demo !testing !viewer"
ON_DISK = "ancestry chain load log redact repair snapshots stores/files"
DISK = " ".join(f"runtime/{name}.py" for name in ON_DISK.split())
TABLE = (
    ("events/*", "events", ""),
    ("runtime/clock.py", "", "asyncio time random uuid"),
    ("runtime/mailbox.py runtime/loops.py", "events runtime", "asyncio"),
    (DISK, "events runtime _alchemy", "asyncio pathlib"),
    ("runtime/sinks/* runtime/stores/*", "events runtime", "*"),
    # An audit hook, and the thread that it watches: what a decision must not do.
    ("runtime/replay.py", "events runtime", "sys threading"),
    ("runtime/*", "events runtime", ""),
    ("actors/agent.py actors/state.py", "events runtime.errors actors.state", ""),
    (
        "actors/providers/*",
        "events runtime.errors actors.providers actors.transports.HttpRequest",
        "",
    ),
    ("actors/transports/*", "events runtime actors _alchemy", "*"),
    ("actors/*", "events runtime actors", "asyncio"),
    ("agent_types*", "agent_types* _*", "*"),
    ("provider_contracts.py", "events runtime actors agent_types* _*", "*"),
    ("agent_loop.py proxy.py", f"{FACE} !agent *", "*"),
    ("__init__.py agent.py verbs.py", f"{FACE} *", "*"),
    ("__main__.py cli/* demo* testing/* viewer/*", "*", "*"),
    ("*", f"{FACE} !agent !agent_loop !proxy *", "*"),
)
# These have one home, whatever the row above says.
HOMES = {
    "time": "runtime/clock.py",
    "random": "runtime/clock.py",
    "secrets": "runtime/clock.py",
    "uuid": "runtime/clock.py",
    "httpx": "actors/transports/portable.py",
    "httpcore": "actors/transports/portable.py",
    "pytest": "testing/*",
    "tinyagent._alchemy": f"{DISK} cli/*"
    " actors/transports/* alchemy_provider.py rust_binding_provider.py _partial.py _arguments.py",
}
ON_FIRST_USE = (
    "httpx httpcore structlog sqlite3 opentelemetry psycopg nats obstore mcp rich cyclopts"
)
PURE = (
    "events/* actors/agent.py actors/state.py actors/providers/* projection.py"
    " runtime/resume.py runtime/fork.py runtime/divergence.py"
)
PRINTS = "cli/* demo* __main__.py"
# Standard names that break nothing: json does without _json, and nobody needs mailbox.
HARMLESS = frozenset({"__main__", "_json", "mailbox"})
# Run by name or imported by users, not by us: the modules of the compatible API among them.
ENTRIES = (
    "__init__.py */__init__.py __main__.py */__main__.py testing/* agent.py agent_loop.py"
    " agent_options.py agent_tool_execution.py agent_types.py alchemy_provider.py caching.py"
    " provider_contracts.py runtime/redact.py runtime/snapshots.py"
    " proxy.py proxy_event_handlers.py rust_binding_provider.py"
    " _handle.py"  # by the extension
)
IGNORE = re.compile(
    r"#\s*(?:type:\s*ignore|(?:based)?pyright:\s*ignore|noqa)"
    r"(?P<rule>\[[\w, -]+\]|:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?(?P<reason>.*)"
)
RUST_NOISE = re.compile(
    r'//[^\n]*|/\*.*?\*/|r(?P<h>#*)".*?"(?P=h)|"(?:\\.|[^"\\])*"'
    r"|'(?:\\u\{[^}]*\}|\\x..|\\.|[^'\\])'",
    re.DOTALL,
)


@dataclass(frozen=True)
class Source:
    """One file: its path from the root of the repository, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text if self.path.endswith(".py") else "", self.path)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def inside(self) -> str:
        """The path inside the package; empty for what is not in the package."""
        path = self.path.removeprefix("python/tinyagent/")
        ours = path != self.path or path.startswith(("events/", "runtime/", "actors/"))
        return path if ours and path.endswith(".py") else ""

    def is_in(self, patterns: str) -> bool:
        return any(fnmatch(self.inside, pattern) for pattern in patterns.split())

    def found(self, line: int, complaint: str) -> str:
        return f"{self.path}:{line}: {complaint}"


Rule = Callable[[Sequence[Source]], Iterator[str]]


def package(sources: Sequence[Source]) -> list[Source]:
    return [source for source in sources if source.inside]


@cache
def imports(source: Source) -> list[tuple[int, tuple[str, ...], bool]]:
    """Return of each import its line, its possible full names, and whether it waits for a call."""
    found: list[tuple[int, tuple[str, ...], bool]] = []
    waits: set[ast.AST] = set()
    for node in source.nodes:  # outer nodes come before inner ones
        is_typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if is_typing or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waits.update(ast.walk(node))
        elif isinstance(node, ast.Import):
            found.extend((node.lineno, (alias.name,), node in waits) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names = [(f"{base}.{alias.name}", base) for alias in node.names]
            found.extend((node.lineno, each, node in waits) for each in names)
    return found


def matches(name: str, pattern: str) -> bool:
    return fnmatch(name, pattern) or name.startswith(f"{pattern}.")


def is_ours_allowed(names: tuple[str, ...], allowed: list[str]) -> bool:
    inner = [name.removeprefix("tinyagent").lstrip(".") for name in names]
    forbidden = [pattern[1:] for pattern in allowed if pattern.startswith("!")]
    if any(matches(name, pattern) for name in inner for pattern in forbidden if name):
        return False
    return any(matches(name, pattern) for name in inner for pattern in allowed if name)


def imports_point_one_way(sources: Sequence[Source]) -> Iterator[str]:
    for source in package(sources):
        _, ours, others = next(row for row in TABLE if source.is_in(row[0]))
        for line, names, _ in imports(source):
            if names[0].split(".")[0] == "tinyagent":
                allowed = is_ours_allowed(names, ours.split())
            else:
                free = [*FREE.split(), *others.split()]
                allowed = others == "*" or any(matches(n, each) for n in names for each in free)
                allowed = allowed and not names[0].startswith(".")
            if not allowed:
                may = f"may import {ours or 'nothing'} of ours, {others or 'nothing'} of others"
                yield source.found(line, f"imports {names[0]}; it {may}: see TABLE")


def some_imports_have_one_home(sources: Sequence[Source]) -> Iterator[str]:
    for source in package(sources):
        for line, names, _ in imports(source):
            for name, home in HOMES.items():
                if any(matches(each, name) for each in names) and not source.is_in(home):
                    yield source.found(line, f"imports {name}; only {home} may")
        for node in source.nodes:
            if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}:
                of = ast.unparse(node.value).split(".")[-1]
                if of in {"datetime", "date"} and not source.is_in("runtime/clock.py"):
                    yield source.found(node.lineno, f"calls {of}.{node.attr}: take a Clock")


def libraries_wait_for_first_use(sources: Sequence[Source]) -> Iterator[str]:
    for source in package(sources):
        for line, names, waits in imports(source):
            library = names[0].split(".")[0]
            if library in ON_FIRST_USE.split() and not waits and not source.is_in("cli/*"):
                yield source.found(line, f"imports {library} at once: move it into the function")


def what_decides_is_pure(sources: Sequence[Source]) -> Iterator[str]:
    effects = {"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint"}
    for source in (source for source in package(sources) if source.is_in(PURE)):
        for node in source.nodes:
            if isinstance(node, ast.AsyncFunctionDef | ast.Await):
                yield source.found(node.lineno, "waits in a pure file: let a loop do the waiting")
            elif isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in effects:
                yield source.found(node.lineno, f"calls {name} in a pure file: return what to do")


def files_fit_in_the_head(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        if (lines := source.text.count("\n")) > FILE_LINES_MAX:
            yield source.found(1, f"{lines} lines, limit {FILE_LINES_MAX}: this is two files")


def functions_fit_on_a_screen(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        spans = rust_functions(source.text) if source.path.endswith(".rs") else ()
        for node in source.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                spans = (*spans, (node.lineno, node.end_lineno or node.lineno, node.name))
        for first, last, name in spans:
            if (lines := last - first + 1) > FUNCTION_LINES_MAX:
                complaint = f"{name}: {lines} lines, limit {FUNCTION_LINES_MAX}: take a part out"
                yield source.found(first, complaint)


def rust_functions(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return first line, last line and name of each function that has a body."""
    code = RUST_NOISE.sub(lambda noise: re.sub(r"[^\n]", " ", noise[0]), text)
    spans: list[tuple[int, int, str]] = []
    for start in re.finditer(r"\bfn\s+(\w+)", code):
        brackets, braces = 0, 0
        for at in range(start.end(), len(code)):
            brackets += (code[at] in "([") - (code[at] in ")]")
            braces += (code[at] == "{") - (code[at] == "}")
            if braces == 0 and brackets == 0 and code[at] in ";}":
                if code[at] == "}":
                    first, last = (code.count("\n", 0, end) + 1 for end in (start.start(), at))
                    spans.append((first, last, start[1]))
                break
    return tuple(spans)


def no_name_shadows_the_standard_library(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        for name in source.path.removesuffix(".py").split("/") if source.inside else ():
            if name in sys.stdlib_module_names - HARMLESS:
                yield source.found(1, f"{name} is a standard module: Python breaks in its folder")


def no_file_is_dead(sources: Sequence[Source]) -> Iterator[str]:
    alive: set[str] = set()
    for source in package(sources):
        for _, names, _ in imports(source):
            alive.update(name for name in names if name != dotted(source))
        docs = {n.value for n in source.nodes if isinstance(n, ast.Expr)}
        for node in source.nodes:  # lazy tables name modules in strings
            if isinstance(node, ast.Constant) and node not in docs:
                folder = dotted(source) if source.path.endswith("__init__.py") else "tinyagent"
                words = str(node.value).split()
                alive.update(words, (f"{folder}.{word}" for word in words))
    for source in package(sources):
        if not source.is_in(ENTRIES) and dotted(source) not in alive:
            yield source.found(1, "nothing imports it: delete it, or name it in ENTRIES")


def dotted(source: Source) -> str:
    inside = source.inside.removesuffix(".py").removesuffix("__init__").rstrip("/")
    return f"tinyagent.{inside}".rstrip(".").replace("/", ".")


def nothing_is_swallowed(sources: Sequence[Source]) -> Iterator[str]:
    swallowing = re.compile(
        r"except( (Base)?Exception)?( as \w+)?:\s+(pass|\.\.\.)$"
        r"|(contextlib\.)?suppress\((Base)?Exception\)$"
    )
    for source in sources:
        lines = source.text.splitlines()
        for node in source.nodes:
            if isinstance(node, ast.ExceptHandler | ast.Call):
                said = len(lines[node.lineno - 1].partition("#")[2]) > 8
                if not said and swallowing.match(ast.unparse(node)):
                    advice = "say what is expected, or on this line why nothing matters"
                    yield source.found(node.lineno, f"swallows every error: {advice}")


def no_star_imports(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        for line, names, _ in imports(source):
            if names[0].endswith(".*"):
                yield source.found(line, f"from {names[-1]} import *: name what is used")


def only_the_command_line_prints(sources: Sequence[Source]) -> Iterator[str]:
    for source in (source for source in package(sources) if not source.is_in(PRINTS)):
        for node in source.nodes:
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "pprint"}:
                yield source.found(node.lineno, "prints: a library returns, or writes an event")


def ignores_give_a_reason(sources: Sequence[Source]) -> Iterator[str]:
    for source in (source for source in sources if source.path.endswith(".py")):
        lines = ["", *source.text.splitlines()]
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
            ignore = IGNORE.search(token.string) if token.type == tokenize.COMMENT else None
            if ignore:
                above = lines[token.start[0] - 1].strip()
                reason = ignore["reason"].strip(" -#:") or (above if above[:1] == "#" else "")
                if not ignore["rule"] or len(reason) < 4:
                    advice = "an ignore names its rule and its reason, beside it or above"
                    yield source.found(token.start[0], advice)


def every_event_says_what_it_means(sources: Sequence[Source]) -> Iterator[str]:
    for source in package(sources):
        for node in source.nodes if source.is_in("events/*") else ():
            if isinstance(node, ast.ClassDef) and not ast.get_docstring(node):
                yield source.found(node.lineno, f"{node.name} has no docstring: what happened?")


LONG_RUST = "fn f(a: [u8; 2]) {\n    let _ = (\"}\", '}'); // }\n" + "    g();\n" * 60 + "}\n"
BROKEN: tuple[tuple[Rule, str, str], ...] = (
    (imports_point_one_way, "events/codec.py", "from tinyagent.runtime.log import FileLog"),
    (imports_point_one_way, "runtime/loops.py", "from tinyagent.actors import agent"),
    (imports_point_one_way, "runtime/journal.py", "import asyncio"),
    (imports_point_one_way, "actors/agent.py", "from tinyagent.runtime.clock import Clock"),
    (imports_point_one_way, "actors/session.py", "from tinyagent import Agent"),
    (imports_point_one_way, "actors/tools.py", "from events import ToolFinished"),
    (imports_point_one_way, "actors/tools.py", "from .hooks import Hooks"),
    (imports_point_one_way, "python/tinyagent/caching.py", "from tinyagent.agent import Agent"),
    (some_imports_have_one_home, "actors/streamer.py", "from time import monotonic"),
    (some_imports_have_one_home, "python/tinyagent/proxy.py", "import httpx"),
    (some_imports_have_one_home, "runtime/journal.py", "from tinyagent import _alchemy"),
    (some_imports_have_one_home, "events/kinds.py", "def f():\n    return datetime.now()"),
    (libraries_wait_for_first_use, "actors/transports/portable.py", "import httpx"),
    (what_decides_is_pure, "actors/agent.py", "async def step(state): ..."),
    (what_decides_is_pure, "runtime/resume.py", "text = open('log').read()"),
    (files_fit_in_the_head, "rust/log/src/lib.rs", "//\n" * 401),
    (functions_fit_on_a_screen, "tests/test_x.py", "def f():\n" + "    g()\n" * 60),
    (functions_fit_on_a_screen, "rust/log/src/scan.rs", LONG_RUST),
    (no_name_shadows_the_standard_library, "events/types.py", ""),
    (no_file_is_dead, "runtime/forgotten.py", ""),
    (nothing_is_swallowed, "actors/hooks.py", "try: f()\nexcept Exception as e: pass"),
    (nothing_is_swallowed, "actors/hooks.py", "with suppress(Exception): f()"),
    (no_star_imports, "tests/test_x.py", "from tinyagent.events import *"),
    (only_the_command_line_prints, "runtime/load.py", "print('damaged')"),
    (ignores_give_a_reason, "tests/test_x.py", "import x  # type: ignore\n"),
    (ignores_give_a_reason, "tests/test_x.py", "import x  # noqa: F401\n"),
    (every_event_says_what_it_means, "events/kinds.py", "class ToolFailed(Fact): ..."),
)
KEPT: tuple[tuple[Rule, str, str], ...] = (
    (imports_point_one_way, "actors/agent.py", "from tinyagent.runtime import errors"),
    (imports_point_one_way, "runtime/log.py", "from tinyagent import _alchemy"),
    (some_imports_have_one_home, "actors/tools.py", "def f(ctx):\n    return ctx.now()"),
    (libraries_wait_for_first_use, "actors/transports/portable.py", "def f():\n    import httpx"),
    (functions_fit_on_a_screen, "rust/log/src/scan.rs", LONG_RUST.replace("    g();\n", "", 3)),
    (no_file_is_dead, "python/tinyagent/caching.py", ""),
    (nothing_is_swallowed, "actors/x.py", "with suppress(Exception): f()  # it is closed anyway"),
    (ignores_give_a_reason, "tests/test_x.py", "import x  # noqa: F401 - imported to be seen\n"),
)
RULES = list(dict.fromkeys(rule for rule, _, _ in BROKEN))


def name_of(value: object) -> str | None:
    return getattr(value, "__name__", "")


@pytest.fixture(scope="module")
def tree() -> list[Source]:
    if not (ROOT / "Cargo.toml").is_file():
        pytest.skip("no source tree here: the tests run against an installed wheel")
    folders = [ROOT / name for name in ("events", "runtime", "actors", "python", "rust", "tests")]
    files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()]
    return [
        Source(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8"))
        for file in files
        if file.suffix in {".py", ".rs"} and "target" not in file.parts
    ]


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_the_tree_keeps_the_rule(tree: list[Source], rule: Rule) -> None:
    complaints = list(rule(tree))
    assert not complaints, "\n" + "\n".join(complaints)


@pytest.mark.parametrize(("rule", "path", "text"), BROKEN, ids=name_of)
def test_a_snippet_that_breaks_the_rule_is_named(rule: Rule, path: str, text: str) -> None:
    complaints = list(rule([Source(path, text)]))
    assert complaints
    assert complaints[0].startswith(f"{path}:")


@pytest.mark.parametrize(("rule", "path", "text"), KEPT, ids=name_of)
def test_a_snippet_that_keeps_the_rule_is_left_alone(rule: Rule, path: str, text: str) -> None:
    assert list(rule([Source(path, text)])) == []
