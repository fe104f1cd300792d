"""Tools for testing what is built with tinyagent.

``provider``: a provider on the loopback interface; ``answers``: what it says.
``RecordedTransport``: the same answers without a socket. ``VirtualClock``: time moved by hand.
``scripted`` and ``echo``: models that answer by themselves.
The contracts of stores, sinks and transports are test classes; they need pytest, and are
imported when they are named.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from tinyagent.actors.transports.recorded import RecordedTransport
from tinyagent.testing.answers import (
    Item,
    Reply,
    chat,
    close_after,
    completion,
    json_reply,
    kept_open,
    paced,
    rechunked,
    reset,
    sse,
    stall,
    status,
)
from tinyagent.testing.clock import VirtualClock
from tinyagent.testing.provider import ProviderServer, Received

if TYPE_CHECKING:
    from tinyagent.testing._crashing import CrashHook as CrashHook, MakeLog as MakeLog
    from tinyagent.testing.log_contract import LogContract as LogContract
    from tinyagent.testing.models import (
        EchoModel as EchoModel,
        ScriptedModel as ScriptedModel,
        echo as echo,
        scripted as scripted,
    )
    from tinyagent.testing.sink_contract import MakeSink as MakeSink, SinkContract as SinkContract
else:
    _HOME = {
        "CrashHook": "_crashing",
        "EchoModel": "models",
        "LogContract": "log_contract",
        "MakeLog": "_crashing",
        "MakeSink": "sink_contract",
        "ScriptedModel": "models",
        "SinkContract": "sink_contract",
        "echo": "models",
        "scripted": "models",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module 'tinyagent.testing' has no attribute {name!r}")
        if name.endswith("Contract"):
            import pytest

            # Else a failing check of the contract would not say what it compared.
            for module in ("log_contract", "_log_reading", "sink_contract"):
                if f"tinyagent.testing.{module}" not in sys.modules:
                    pytest.register_assert_rewrite(f"tinyagent.testing.{module}")
        home = import_module(f"tinyagent.testing.{_HOME[name]}")
        value = globals()[name] = getattr(home, name)
        return value


__all__ = [
    "CrashHook",
    "EchoModel",
    "Item",
    "LogContract",
    "MakeLog",
    "MakeSink",
    "ProviderServer",
    "Received",
    "RecordedTransport",
    "Reply",
    "ScriptedModel",
    "SinkContract",
    "VirtualClock",
    "chat",
    "close_after",
    "completion",
    "echo",
    "json_reply",
    "kept_open",
    "paced",
    "rechunked",
    "reset",
    "scripted",
    "sse",
    "stall",
    "status",
]
