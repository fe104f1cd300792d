"""Who may import what, what is pure, what has one home: the tables that ``test_tidy`` reads.

Where one is wrong, change it here, and say why.
"""

from __future__ import annotations

# Free for every file: modules without effects.
FREE = (
    "__future__ abc base64 binascii bisect collections contextlib copy dataclasses datetime decimal"
    " difflib enum fractions functools hashlib heapq html inspect itertools json keyword marshal"
    " math msgspec numbers operator re string struct textwrap traceback types typing"
    " typing_extensions unicodedata urllib.parse warnings weakref"
)
# Who may import what: files; modules of ours ("!" forbids); modules of others. First row wins.
FACE = "!cli !demo !testing !viewer"
BELOW = f"{FACE} !agent !agent_loop !proxy"
DECIDING = "compaction configured gate limits output state"
MACHINE = " ".join(f"actors.{name}" for name in DECIDING.split())
STEPS = " ".join(f"actors/{name}.py" for name in f"agent {DECIDING}".split())
ON_DISK = "ancestry archive chain load log lost_values prune redact repair stores/files"
DISK = " ".join(f"runtime/{name}.py" for name in ON_DISK.split())
# Who takes what it uses of the extension from `runtime/extension.py`; the types it names, directly.
NATIVE = f"{DISK} runtime/bells.py runtime/s*/[fs]*.py actors/transports/*"
TABLE = (
    ("events/codec.py", "events _alchemy", ""),  # for its SHA-256 alone
    ("events/*", "events", ""),
    ("runtime/clock.py", "", "asyncio time random uuid"),
    ("runtime/mailbox.py runtime/loops.py", "events runtime", "asyncio contextvars"),
    ("runtime/answering.py", "events runtime", "asyncio contextvars"),
    ("runtime/collecting.py", "", "gc"),
    ("runtime/extension.py", "_alchemy runtime.errors", ""),
    ("runtime/bells.py", "_alchemy runtime.extension", "asyncio os sys threading"),
    ("runtime/diagnostics.py", "", "contextvars logging"),
    ("runtime/extras.py", "", "importlib"),
    ("runtime/stores/snapshots.py", "events runtime _alchemy", "importlib pathlib threading"),
    (DISK, "events runtime _alchemy", "asyncio pathlib"),
    ("runtime/crypto.py", "events runtime", "cryptography os pathlib"),
    ("runtime/s*/sqlite*", "events runtime _alchemy", "*"),
    ("runtime/sinks/* runtime/stores/*", "events runtime", "*"),
    # An audit hook, and the thread that it watches: what a decision must not do.
    ("runtime/replay.py", "events runtime", "sys threading"),
    ("runtime/*", "events runtime", ""),
    (STEPS, f"events runtime.errors {MACHINE}", ""),
    # Random things for user code are seeded by the log: attempts are alike.
    ("actors/context.py", "events runtime", "asyncio contextvars random uuid"),
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
    ("__init__.py agent.py verbs.py continuing.py _run/rerun.py", f"{FACE} *", "*"),
    ("__main__.py cli/* demo* testing/* viewer/*", "*", "*"),
    # The rooms of the face, from what is read to who runs it.
    ("_reading/*", f"{BELOW} !_config !_host !_mcp !_provider !_run *", "*"),
    ("_config/* _host/*", f"{BELOW} !_mcp !_provider !_run *", "*"),
    ("_mcp/* _provider/*", f"{BELOW} !_run *", "*"),
    ("*", f"{BELOW} *", "*"),
)
# These have one home, whatever the row above says.
HOMES = {
    "time": "runtime/clock.py",
    "random": "runtime/clock.py actors/context.py testing/schedules.py",
    "secrets": "runtime/clock.py",
    "uuid": "runtime/clock.py actors/context.py",
    "httpx": "actors/transports/portable.py",
    "httpcore": "actors/transports/portable.py",
    "mcp": "_mcp/client.py cli/mcp.py",
    "pytest": "testing/*",
    "tinyagent._alchemy": f"{NATIVE} events/codec.py runtime/extension.py cli/*"
    " alchemy_provider.py rust_binding_provider.py _reading/partial.py _host/arguments.py",
    "tinyagent.runtime.extension": NATIVE,
}
ON_FIRST_USE = (
    "cryptography cyclopts httpx httpcore mcp nats obstore opentelemetry psycopg rich sqlite3"
    " structlog"
)
PURE = (
    f"events/* {STEPS} actors/reopening.py"
    " actors/providers/* projection.py runtime/divergence.py runtime/causes.py"
    " runtime/sinks/content.py runtime/sinks/spans.py runtime/sinks/tracing.py"
    " actors/standing.py actors/asked.py actors/sent.py actors/aligned.py actors/differing.py"
)
PRINTS = "cli/* demo* __main__.py"
# Standard names that break nothing: json does without _json, and nobody needs mailbox.
HARMLESS = frozenset({"__main__", "_json", "mailbox"})
# Run by name or imported by users, not by us: the modules of the compatible API among them.
ENTRIES = (
    "__init__.py */__init__.py __main__.py */__main__.py testing/* agent.py agent_loop.py"
    " agent_options.py agent_tool_execution.py agent_types.py alchemy_provider.py caching.py"
    " edits.py interchange/* provider_contracts.py"
    " proxy.py proxy_event_handlers.py rust_binding_provider.py transports.py"
    " _provider/handle.py"  # by the extension
)
