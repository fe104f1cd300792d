"""One answer as it is put on record: its pieces, and the event that ends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tinyagent.actors import transports
from tinyagent.actors.transports import Answer
from tinyagent.actors.transports.failures import fault_of
from tinyagent.events import Conversation, Event, canonical, digest, kinds as k


class Speech:
    """One answer as it is put on record: call ids made unique in the log, arguments kept."""

    def __init__(self, conversation: Conversation) -> None:
        self._known = conversation.calls
        self._claimed, self._owner = conversation.claimed, conversation.owner
        # Of each call its id, its name, and its arguments so far, by its block.
        self._calls: dict[int, list[Any]] = {}
        self._ids: set[str] = set()
        self.begun = False

    def take(self, pieces: Sequence[k.Piece]) -> list[k.Piece]:
        """Return *pieces* as they go on record: each call has an id of its own."""
        self.begun = self.begun or bool(pieces)
        out = list(pieces)
        for at, piece in enumerate(pieces):
            if piece[1] == "args":
                self._calls.setdefault(piece[0], ["", "", []])[2].append(piece[2])
            elif piece[1] == "call":
                block, op, data, gap_us = piece
                out[at] = (block, op, self._named(block, data), gap_us)
        return out

    def _named(self, block: int, data: dict[str, Any]) -> dict[str, Any]:
        call = self._calls.setdefault(block, ["", "", []])
        call[1] = data.get("name") or call[1]
        if not call[0]:
            call[0] = self._unique(data.get("id") or f"call_{len(self._known) + len(self._ids)}")
        return {**data, "id": call[0], "name": call[1]}

    def _unique(self, wanted: str) -> str:
        """Return *wanted*, or what is made of it so that no other call of the log has it."""
        call_id, number = wanted, 2
        while call_id in self._known or call_id in self._ids or not self._claim(call_id):
            call_id, number = f"{wanted}~{number}", number + 1
        self._ids.add(call_id)
        return call_id

    def _claim(self, call_id: str) -> bool:
        """Whether no other agent of the log has this id; from now on it is this one's."""
        return self._claimed.setdefault(call_id, self._owner) == self._owner

    def end(self, answer: Answer, request: str) -> Event:
        """Return the end of the call that *answer* is."""
        if (fault := fault_of(answer)) is not None:
            return self.fail(transports.Failure(*fault), request, answer.usage)
        calls = [
            k.CallRef(call[0], call[1], self._args(block, answer))
            for block, call in sorted(self._calls.items())
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

    def _args(self, block: int, answer: Answer) -> str:
        if block in answer.bad_calls:
            return "bad"
        text = "".join(self._calls[block][2])
        try:
            arguments = msgspec.json.decode(text) if text.strip() else {}
        except msgspec.DecodeError:
            return "bad"
        return digest(canonical(arguments)) if isinstance(arguments, dict) else "bad"


_TELLING = frozenset({"stop_sequence", "pause_turn"})


def logged(failure: transports.Failure) -> k.Failure:
    """Return *failure* as an event holds it."""
    return k.Failure(
        failure.kind,  # type: ignore[arg-type] # a transport's kinds are the log's
        failure.message,
        failure.status,
        failure.retry_after_s,
    )
