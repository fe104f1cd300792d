"""Tools for testing what is built with tinyagent.

``scripted`` and ``echo``: models that answer by themselves. ``crash_at_every_event``: a session
cut after every record, and taken up. ``explore``: one scenario under many schedules, each a seed.
``transcript``, ``event_text``: a log as text, for snapshots. ``VirtualClock``: time moved by hand.
``provider``: a provider on the loopback interface; ``answers``: what it says.
``RecordedTransport``: the same answers without a socket.
``MemoryLog``: a log that no file holds; ``open_golden``: a packed one, for reading only.
The contracts of stores, sinks and transports are test classes; they need pytest. The plugin is
``tinyagent.testing.plugin``. Everything is imported when it is named.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyagent.actors.transports.recorded import RecordedTransport as RecordedTransport
    from tinyagent.runtime.stores.memory import MemoryLog as MemoryLog
    from tinyagent.testing._crashing import CrashHook as CrashHook, MakeLog as MakeLog
    from tinyagent.testing.answers import (
        Item as Item,
        Reply as Reply,
        chat as chat,
        close_after as close_after,
        completion as completion,
        json_reply as json_reply,
        kept_open as kept_open,
        paced as paced,
        rechunked as rechunked,
        reset as reset,
        sse as sse,
        stall as stall,
        status as status,
    )
    from tinyagent.testing.clock import VirtualClock as VirtualClock
    from tinyagent.testing.crash import (
        CrashRun as CrashRun,
        Effect as Effect,
        Effects as Effects,
        crash_at_every_event as crash_at_every_event,
        crash_runs as crash_runs,
        effects as effects,
    )
    from tinyagent.testing.exploring import (
        Explored as Explored,
        NotRepeatableError as NotRepeatableError,
        ScheduleError as ScheduleError,
        Sim as Sim,
        explore as explore,
        replay_tape as replay_tape,
    )
    from tinyagent.testing.golden import open_golden as open_golden
    from tinyagent.testing.log_contract import LogContract as LogContract
    from tinyagent.testing.loop import (
        DeadlockError as DeadlockError,
        SimClock as SimClock,
        SimLoop as SimLoop,
        SimViolationError as SimViolationError,
    )
    from tinyagent.testing.models import (
        EchoModel as EchoModel,
        ScriptedModel as ScriptedModel,
        echo as echo,
        scripted as scripted,
    )
    from tinyagent.testing.provider import ProviderServer as ProviderServer, Received as Received
    from tinyagent.testing.sink_contract import MakeSink as MakeSink, SinkContract as SinkContract
    from tinyagent.testing.texts import event_text as event_text, transcript as transcript
    from tinyagent.testing.transport_contract import (
        MakeTransport as MakeTransport,
        TransportContract as TransportContract,
    )
else:
    _HOME = {
        "CrashHook": "testing._crashing",
        "CrashRun": "testing.crash",
        "DeadlockError": "testing.loop",
        "EchoModel": "testing.models",
        "Effect": "testing.crash",
        "Effects": "testing.crash",
        "Explored": "testing.exploring",
        "Item": "testing.answers",
        "LogContract": "testing.log_contract",
        "MakeLog": "testing._crashing",
        "MakeSink": "testing.sink_contract",
        "MakeTransport": "testing.transport_contract",
        "MemoryLog": "runtime.stores.memory",
        "NotRepeatableError": "testing.exploring",
        "ProviderServer": "testing.provider",
        "Received": "testing.provider",
        "RecordedTransport": "actors.transports.recorded",
        "Reply": "testing.answers",
        "ScheduleError": "testing.exploring",
        "ScriptedModel": "testing.models",
        "Sim": "testing.exploring",
        "SimClock": "testing.loop",
        "SimLoop": "testing.loop",
        "SimViolationError": "testing.loop",
        "SinkContract": "testing.sink_contract",
        "TransportContract": "testing.transport_contract",
        "VirtualClock": "testing.clock",
        "chat": "testing.answers",
        "close_after": "testing.answers",
        "completion": "testing.answers",
        "crash_at_every_event": "testing.crash",
        "crash_runs": "testing.crash",
        "echo": "testing.models",
        "effects": "testing.crash",
        "event_text": "testing.texts",
        "explore": "testing.exploring",
        "json_reply": "testing.answers",
        "kept_open": "testing.answers",
        "open_golden": "testing.golden",
        "paced": "testing.answers",
        "rechunked": "testing.answers",
        "replay_tape": "testing.exploring",
        "reset": "testing.answers",
        "scripted": "testing.models",
        "sse": "testing.answers",
        "stall": "testing.answers",
        "status": "testing.answers",
        "transcript": "testing.texts",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module 'tinyagent.testing' has no attribute {name!r}")
        if name.endswith("Contract"):
            import pytest

            # Else a failing check of the contract would not say what it compared.
            for module in ("log_contract", "_log_reading", "sink_contract", "transport_contract"):
                if f"tinyagent.testing.{module}" not in sys.modules:
                    pytest.register_assert_rewrite(f"tinyagent.testing.{module}")
        value = globals()[name] = getattr(import_module(f"tinyagent.{_HOME[name]}"), name)
        return value


__all__ = [
    "CrashHook",
    "CrashRun",
    "DeadlockError",
    "EchoModel",
    "Effect",
    "Effects",
    "Explored",
    "Item",
    "LogContract",
    "MakeLog",
    "MakeSink",
    "MakeTransport",
    "MemoryLog",
    "NotRepeatableError",
    "ProviderServer",
    "Received",
    "RecordedTransport",
    "Reply",
    "ScheduleError",
    "ScriptedModel",
    "Sim",
    "SimClock",
    "SimLoop",
    "SimViolationError",
    "SinkContract",
    "TransportContract",
    "VirtualClock",
    "chat",
    "close_after",
    "completion",
    "crash_at_every_event",
    "crash_runs",
    "echo",
    "effects",
    "event_text",
    "explore",
    "json_reply",
    "kept_open",
    "open_golden",
    "paced",
    "rechunked",
    "replay_tape",
    "reset",
    "scripted",
    "sse",
    "stall",
    "status",
    "transcript",
]
