"""One answer as it is put on record: its pieces, and the event that ends it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec

from tinyagent.actors import transports
from tinyagent.actors.transports import Answer
from tinyagent.actors.transports.failures import fault_of
from tinyagent.events import Conversation, Event, canonical, digest, kinds as k


class Speech:
    """One answer as it is put on record: call ids made unique in the log, arguments kept."""

    begun = False

    def __init__(self, conversation: Conversation) -> None:
        self._log = conversation
        # Of each call its id and its name, and what came of its arguments, by its block.
        self._calls: dict[int, tuple[str, str]] = {}
        self._args: defaultdict[int, list[str]] = defaultdict(list)
        self._ids: set[str] = set()

    def take(self, pieces: list[k.Piece]) -> list[k.Piece]:
        """Return the same *pieces* as they go on record: each call has an id of its own."""
        if pieces:
            self.begun = True
        for at, piece in enumerate(pieces):
            op = piece[1]
            if op == "args":
                self._args[piece[0]].append(piece[2])
            elif op == "call":
                pieces[at] = self._named(*piece)
        return pieces

    def _named(self, block: int, op: str, data: dict[str, Any], gap_us: Any) -> k.Piece:
        call_id, name = self._calls.get(block, _UNNAMED)
        call_id = call_id or self._unique(data.get("id"))
        name = data.get("name") or name
        self._calls[block] = call_id, name
        return (block, op, {**data, "id": call_id, "name": name}, gap_us)

    def _unique(self, wanted: str | None) -> str:
        """Return *wanted*, or what is made of it so that no other call of the log has it.

        From now on it is this agent's.
        """
        log, ids = self._log, self._ids
        known, claim, owner = log.calls, log.claimed.setdefault, log.owner
        call_id = wanted = wanted or f"call_{len(known) + len(ids)}"
        number = 2
        while call_id in known or call_id in ids or claim(call_id, owner) != owner:
            call_id, number = f"{wanted}~{number}", number + 1
        ids.add(call_id)
        return call_id

    def end(self, answer: Answer, request: str) -> Event:
        """Return the end of the call that *answer* is."""
        if (fault := fault_of(answer)) is not None:
            return self.fail(transports.Failure(*fault), request, answer.usage)
        calls = [
            k.CallRef(
                *self._calls.get(block, _UNNAMED),
                "bad" if block in answer.bad_calls else _digest_of("".join(self._args[block])),
            )
            for block in sorted(self._calls.keys() | self._args)
        ]
        raw = answer.raw_reason if answer.raw_reason in _TELLING else None
        return k.ModelFinished(
            answer.reason,  # type: ignore[arg-type] # the decoder's closed set of words
            calls,
            answer.usage,
            request,
            answer.response,
            raw,
        )

    def fail(
        self, failure: transports.Failure, request: str, usage: dict[str, Any] | None = None
    ) -> k.ModelFailed:
        """Return the failure of the call."""
        return k.ModelFailed(logged(failure), usage, request)


def _digest_of(text: str) -> str:
    """Return the digest of the arguments that *text* says; ``bad`` if they are no JSON object."""
    try:
        arguments = msgspec.json.decode(text) if text.strip() else {}
    except msgspec.DecodeError:
        return "bad"
    return digest(canonical(arguments)) if isinstance(arguments, dict) else "bad"


_UNNAMED = ("", "")
_TELLING = frozenset({"stop_sequence", "pause_turn"})


def logged(failure: transports.Failure) -> k.Failure:
    """Return *failure* as an event holds it."""
    return k.Failure(
        failure.kind,  # type: ignore[arg-type] # a transport's kinds are the log's
        failure.message,
        failure.status,
        failure.retry_after_s,
    )
