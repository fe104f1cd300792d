"""Logs for the viewer, written record by record: times, actors and texts are what a test wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyagent.events import Fact, encode, kinds as k
from tinyagent.recording import Recording
from tinyagent.runtime.load import LoadedLog
from tinyagent.runtime.log import write_packed
from tinyagent.runtime.stores import LogMeta, Stored

START_US = 1_767_225_600_000_000
MODEL: dict[str, Any] = {
    "provider": "demo",
    "id": "planner-1",
    "api": "openai-completions",
    "base_url": "http://127.0.0.1/v1/chat/completions",
}


class Written:
    """A log in the making. Every event goes 1 ms after the one before, or *after_ms*."""

    def __init__(self, name: str = "trip", log: str = "7f3a9c" + "0" * 26) -> None:
        self.name = name
        self.log = log
        self.stored: list[Stored] = []
        self._us = START_US
        self._n = 0

    def add(self, event: Fact, cause: int = 0, *, after_ms: float = 1, actor: str = "") -> int:
        """Write *event* and return its number."""
        return self._add(event.kind, event.v, encode(event), cause, after_ms, actor)

    def unknown(self, kind: str, payload: bytes) -> int:
        """Write what a later release may write: a version of *kind* that nobody knows yet."""
        return self._add(kind, 99, payload)

    def _add(
        self,
        kind: str,
        v: int,
        payload: bytes,
        cause: int = 0,
        after_ms: float = 1,
        actor: str = "",
    ) -> int:
        seq = len(self.stored) + 1
        self._us += int(after_ms * 1000)
        self.stored.append(
            Stored(
                seq=seq,
                ts_us=self._us,
                actor=actor or None,
                d=0,
                cause=cause,
                kind=kind,
                v=v,
                payload=payload,
                line=None,
            )
        )
        return seq

    def start(self, system: str, *tools: k.ToolSpec) -> None:
        self.add(k.SessionStarted(model=MODEL, system=system, tools=list(tools)))

    def ask(self, cause: int, after_ms: float = 1) -> int:
        self._n += 1
        return self.add(k.ModelRequested(n=self._n), cause, after_ms=after_ms)

    def answer(
        self,
        asked: int,
        text: str = "",
        *calls: tuple[str, str, str],
        took_ms: float = 900,
        usage: dict[str, int] | None = None,
        digest: str = "",
    ) -> int:
        """Answer with *text* in three deltas, and *calls*: id, name, arguments."""
        third = -(-len(text) // 3) or 1
        for at in range(0, len(text), third):
            piece = (0, "text", text[at : at + third], int(took_ms * 250))
            self.add(k.ModelDelta(pieces=[piece]), asked, after_ms=took_ms / 4)
        for block, (call_id, name, arguments) in enumerate(calls, 1):
            pieces = [(block, "call", {"id": call_id, "name": name}, 10)]
            self.add(k.ModelDelta(pieces=[*pieces, (block, "args", arguments, 10)]), asked)
        refs = [k.CallRef(id=call_id, name=name) for call_id, name, _ in calls]
        reason: Any = "tools" if calls else "end"
        done = k.ModelFinished(reason=reason, calls=refs, usage=usage, request=digest)
        return self.add(done, asked, after_ms=took_ms / 4)

    def call(
        self,
        cause: int,
        call_id: str,
        name: str,
        result: str | k.Failure,
        *,
        took_ms: float = 120,
        effect: Any = "read",
    ) -> int:
        """Run one tool; return the number of its end."""
        requested = self.add(k.ToolRequested(call_id=call_id, name=name), cause)
        self.add(k.ToolStarted(call_id=call_id, effect=effect), requested)
        ended: Fact = (
            k.ToolFinished(call_id=call_id, content=result)
            if isinstance(result, str)
            else k.ToolFailed(call_id=call_id, failure=result)
        )
        return self.add(ended, requested, after_ms=took_ms)

    def write(self, path: Path) -> None:
        """Write it as a packed log."""
        meta = LogMeta(log=self.log, name=self.name)
        durable = len(self.stored)
        read = LoadedLog(
            where="", meta=meta, records=self.stored, durable_seq=durable, at_us=START_US
        )
        write_packed(read, path)

    def recording(self) -> Recording:
        """Return the log, read."""
        return Recording("written", LogMeta(log=self.log, name=self.name), self.stored, None)


def tool(name: str, description: str, effect: Any = "read", **properties: str) -> k.ToolSpec:
    schema = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
    }
    return k.ToolSpec(name=name, description=description, schema=schema, effect=effect)


def long_session(turns: int) -> Recording:
    """Return what ``long_log`` returns, read."""
    return long_log(turns).recording()


def long_log(turns: int) -> Written:
    """Return a log of *turns* model calls, each but the last with one call of a tool."""
    log = Written("long")
    log.start("You look things up.", tool("look_up", "Looks something up.", topic="string"))
    cause = log.add(k.UserSaid(content="Look everything up."))
    for turn in range(1, turns):
        asked = log.ask(cause)
        args = f'{{"topic":"chapter {turn}, and what follows from it"}}'
        done = log.answer(asked, f"Now chapter {turn}.", (f"c{turn}", "look_up", args))
        told = " ".join(f"Line {line} of chapter {turn} says {turn * line}." for line in range(20))
        cause = log.call(done, f"c{turn}", "look_up", told)
        log.add(k.TurnEnded(n=turn), cause)
    done = log.answer(log.ask(cause), "That was everything.")
    log.add(k.TurnEnded(n=turns), done)
    log.add(k.RunEnded(outcome="answered"), done)
    return log


def trip() -> Recording:
    """Return a day in Paris: parallel tools, one that fails, a retry, and a booking."""
    planned = _trip("", "", "")
    asked = [r.seq for r in planned.records if isinstance(r.event, k.ModelRequested)]
    return _trip(*(planned.request_at(seq).digest for seq in asked))


def _trip(*digests: str) -> Recording:
    log = Written()
    log.start(
        "You plan trips. Look things up before you answer. Be brief.",
        tool("forecast", "Weather forecast of a city.", city="string", days="integer"),
        tool("museums", "Museums of a city and their hours.", city="string"),
        tool("book_table", "Books a table.", "write", place="string", people="integer"),
    )
    said = log.add(
        k.UserSaid(content="Plan a day in Paris for tomorrow, and book a table for two.")
    )
    asked = log.ask(said)
    done = log.answer(
        asked,
        "Let me look up the weather and what is open.",
        ("call_w1", "forecast", '{"city":"Paris","days":1}'),
        ("call_m1", "museums", '{"city":"Paris"}'),
        took_ms=1100,
        usage={"input": 812, "output": 41, "cache_read": 0, "total": 853},
        digest=digests[0],
    )
    forecast = log.add(k.ToolRequested(call_id="call_w1", name="forecast"), done)
    museums = log.add(k.ToolRequested(call_id="call_m1", name="museums"), done)
    log.add(k.ToolStarted(call_id="call_w1", effect="read"), forecast)
    log.add(k.ToolStarted(call_id="call_m1", effect="read"), museums)
    hours = "Orsay 9:30-18:00 (Thursday until 21:45)\nLouvre 9:00-21:00\nCluny closed for works"
    log.add(k.ToolFinished(call_id="call_m1", content=hours), museums, after_ms=310)
    wrong = k.Failure(kind="host", message="503 Service Unavailable", status=503)
    ended = log.add(k.ToolFailed(call_id="call_w1", failure=wrong), forecast, after_ms=240)
    log.add(k.TurnEnded(n=1), ended)
    asked = log.ask(ended)
    busy = k.Failure(kind="overloaded", message="the model is overloaded", status=529)
    log.add(k.ModelRetrying(attempt=2, failure=busy, delay_s=0.5), asked, after_ms=420)
    done = log.answer(
        asked,
        "No forecast, so a museum first: the Orsay opens at 9:30. I book the table.",
        ("call_b1", "book_table", '{"place":"Le Petit Pont","people":2}'),
        took_ms=1500,
        usage={"input": 1004, "output": 52, "cache_read": 780, "total": 1056},
        digest=digests[1],
    )
    booked = "Le Petit Pont: table for 2 at 12:30, no. 4711"
    ended = log.call(done, "call_b1", "book_table", booked, took_ms=380, effect="write")
    log.add(k.TurnEnded(n=2), ended)
    asked = log.ask(ended)
    plan = (
        "I could not get the forecast, so here is a plan that works in any weather.\n\n"
        "Morning: Musée d’Orsay from 9:30; the Impressionists are on the top floor.\n"
        "Lunch: Le Petit Pont, a table for two at 12:30 (no. 4711).\n"
        "Afternoon: the Louvre, and the Tuileries if it is dry.\n\nBon voyage!"
    )
    usage = {"input": 1105, "output": 133, "cache_read": 1002, "total": 1238}
    done = log.answer(asked, plan, took_ms=2300, usage=usage, digest=digests[2])
    log.add(k.TurnEnded(n=3), done)
    log.add(k.RunEnded(outcome="answered"), done)
    return log.recording()


ATTACKS = (
    "<script>document.title = 'attacked'; alert(1)</script>",
    "</script></noscript></pre><img src=x onerror=alert(2)><svg onload=alert(3)>",
    "<!-- --> ]]> </style><style>* { display: none }</style>",
    "\u202eevil\u202c \u200bzero\ufeff \x1b[31mred\x07 \x00nul \u2028line",
    "[link](javascript:alert(4)) ![x](http://127.0.0.1:9/pixel.png)",
    "«policy» «data» «title» {{7*7}} ${alert(5)}",
)


def attacked() -> Recording:
    """Return a log in which every text that somebody else chose is an attack."""
    all_of_it = "\n".join(ATTACKS)
    log = Written(name=ATTACKS[1])
    log.start(all_of_it, tool(ATTACKS[0], all_of_it, __proto__="string"))
    said = log.add(k.UserSaid(content=all_of_it))
    arguments = '{"__proto__": {"polluted": 1}, "constructor": "<img src=x onerror=alert(6)>"}'
    done = log.answer(log.ask(said), all_of_it, (ATTACKS[1], ATTACKS[0], arguments))
    pixel = "http://127.0.0.1:9/pixel.png"
    blocks: list[dict[str, Any]] = [
        {"type": "text", "text": all_of_it},
        {"type": "image", "url": pixel, "mime_type": "image/png", "data": '"><script>'},
        {"type": "image_url", "image_url": {"url": pixel}},
        {"type": "image", "mime_type": "image/svg+xml", "data": "PHN2ZyBvbmxvYWQ9YWxlcnQoNyk+"},
    ]
    requested = log.add(k.ToolRequested(call_id=ATTACKS[1], name=ATTACKS[0]), done)
    log.add(k.ToolStarted(call_id=ATTACKS[1], effect="write"), requested)
    ended = log.add(k.ToolFinished(call_id=ATTACKS[1], content=blocks), requested)
    log.add(k.ToolProgressed(call_id="x", content="A" * 10_000_000), requested)
    failed = k.ModelFailed(failure=k.Failure(kind="refused", message=all_of_it))
    ended = log.add(failed, log.ask(ended))
    log.add(k.RunEnded(outcome="failed"), ended)
    return log.recording()
