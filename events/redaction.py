"""Secrets are masked before an event is written, so that everybody reads what the log holds.

Exact values first, then text that has the form of a token, then the user's own rule. A value that
arrives in pieces is masked too: the end of a delta that could begin a value waits for the next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec

from tinyagent.events import kinds as k
from tinyagent.events.codec import canonical, digest
from tinyagent.events.free_text import searched, within
from tinyagent.events.tokens import TOKEN

Scope = Literal["event", "log"]
VALUE_CHARS_MIN = 8
"""A shorter value would be found where it is none."""
STREAMED = frozenset({"text", "think", "refuse", "args"})
_MASKED = "«secret:pattern:".encode()
_NUMBERS = re.compile(re.escape(_MASKED) + rb"(\d{1,15})")


class Redact(msgspec.Struct, frozen=True, kw_only=True):
    """What is masked in a log.

    Attributes:
        env: environment variables whose values are secrets, beside the providers' own.
        values: more secrets, best by name: ``{"stripe": key}``. Masks of one name are numbered in
            the order given, so keep it for as long as a log is written.
        patterns: whether text that has the form of a well known token is masked too. In an answer
            only if it arrives in one piece.
        rule: your own; pure, from text to text, applied last. Of an answer it gets piece by piece.
        scope: ``log`` leaves actors the true text, only what is written is masked. Then memory is
            not the fold of the log, replay compares masked text, a resumed model sees masks, and a
            call that was open when the process ended is in doubt if its arguments hold one.
        provider_keys: False leaves the values of ``OPENAI_API_KEY`` and its like as they are.
    """

    env: Sequence[str] = ()
    values: Mapping[str, str] | Sequence[str] = ()
    patterns: bool = False
    rule: Callable[[str], str] | None = None
    provider_keys: bool = True
    scope: Scope = "event"


class Taken(NamedTuple):
    """What is written in place of an event.

    Attributes:
        before: to be written first: what of the answer still waited.
        is_changed: the caller's own object beside the event says more than the event now does.
    """

    before: tuple[k.ModelDelta, ...]
    event: k.Event
    is_changed: bool


class Redactor:
    """Masks the events of one log. Not pure: it keeps the ends of answers that wait.

    Attributes:
        scope: as of ``Redact``.
        is_idle: whether there is nothing to look for.
    """

    def __init__(
        self,
        *,
        patterns: bool = False,
        rule: Callable[[str], str] | None = None,
        scope: Scope = "event",
    ) -> None:
        self.scope = scope
        self._masks: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._sought: _Sought | None = None
        self._tokens: dict[str, str] = {}
        self._tokens_before = 0
        self._patterns = patterns
        self._rule = rule
        self.is_idle = not patterns and rule is None
        self._answers: dict[int, _Answer] = {}

    @property
    def rule_name(self) -> str:
        """Name of the user's rule, and its attribute ``version`` if it has one; "" without."""
        rule: Any = self._rule
        if rule is None:
            return ""
        name = f"{getattr(rule, '__module__', '')}:{getattr(rule, '__qualname__', repr(rule))}"
        return f"{name} {rule.version}" if hasattr(rule, "version") else name

    def register(self, label: str, value: str) -> None:
        """Mask *value* from now on, as ``«secret:label:1»``; a value known before keeps its mask.

        Raises:
            ValueError: it is shorter than 8 characters.
        """
        if len(value) < VALUE_CHARS_MIN:
            raise ValueError(
                f"the secret {label!r} has {len(value)} characters; at least {VALUE_CHARS_MIN} are "
                "needed, or it would be found where it is none"
            )
        if value in self._masks:
            return
        number = self._counts[label] = self._counts.get(label, 0) + 1
        mask = f"«secret:{label}:{number}»"
        for form in _forms(value):
            self._masks.setdefault(form, mask)
        self._sought = _sought(tuple(self._masks))
        self.is_idle = False

    def mask(self, text: str) -> str:
        """Return *text* with everything masked that is to be."""
        return self._by_form(self.exact(text))

    def exact(self, text: str) -> str:
        """Return *text* with every registered value masked."""
        if self._sought is None:
            return text
        return self._sought.found.sub(lambda found: self._masks[found[0]], text)

    def _by_form(self, text: str) -> str:
        if self._patterns:
            text = TOKEN.sub(self._token, text)
        return self._rule(text) if self._rule is not None else text

    def _token(self, found: re.Match[str]) -> str:
        number = self._tokens_before + len(self._tokens) + 1
        return self._tokens.setdefault(found[0], f"«secret:pattern:{number}»")

    def remember(self, payload: bytes) -> None:
        """Take note of a record that is in the log: no other token gets the number of its mask."""
        if self._patterns and _MASKED in payload:
            numbers = map(int, _NUMBERS.findall(payload))
            self._tokens_before = max(self._tokens_before, *numbers, 0)

    @property
    def masked(self) -> int | None:
        """The highest number of such a mask in the log; None if nobody takes note of them."""
        return self._tokens_before + len(self._tokens) if self._patterns else None

    def go_on(self, masked: int | None) -> bool:
        """Take note of the masks up to number *masked*; return whether that is enough to know."""
        self._tokens_before = max(self._tokens_before, masked or 0)
        return masked is not None or not self._patterns

    def take(self, event: k.Event, cause: int) -> Taken:
        """Return what is written in place of *event*, whose record is caused by *cause*."""
        match event:
            case k.ModelDelta(pieces=pieces):
                answer = self._answers.get(cause)
                if answer is None:
                    answer = self._answers[cause] = _Answer(self)
                return answer.hear(event, pieces)
            case k.ModelRetrying() if cause in self._answers:
                del self._answers[cause]
            case k.ModelFinished() | k.ModelFailed():
                speaking = self._answers.pop(cause, _Answer(self))
                ended = searched(event, self.mask, self.exact)
                return speaking.end(ended, is_changed=ended is not event)
            case _:
                pass
        if not isinstance(event, k.Fact):
            return Taken((), event, False)
        masked = searched(event, self.mask, self.exact)
        return Taken((), masked, masked is not event)

    def split(self, text: str, *, is_last: bool) -> tuple[str, str, bool]:
        """Return *text* masked, its end that has to wait, and whether a value was in it."""
        sought = self._sought
        if sought is None:
            return self._by_form(text), "", False
        out: list[str] = []
        at, was_found = 0, False
        while True:
            waits = len(text) if is_last else self._waits_from(sought, text, at)
            found = sought.found.search(text, at)
            if found is None or found.start() >= waits:
                break
            out += (text[at : found.start()], self._masks[found[0]])
            at, was_found = found.end(), True
        out.append(text[at:waits])
        return self._by_form("".join(out)), text[waits:], was_found

    def _waits_from(self, sought: _Sought, text: str, at: int) -> int:
        """Return where the end of *text* begins that could begin a value."""
        for first in sought.firsts.finditer(text, max(at, len(text) - sought.longest + 1)):
            end = text[first.start() :]
            for form in self._masks:
                if form.startswith(end) and len(form) > len(end):
                    return first.start()
        return len(text)

    def is_plain(self, text: str) -> bool:
        """Return whether nothing in *text*, and in nothing that it could begin, is to be masked."""
        if self._patterns or self._rule is not None:
            return False
        sought = self._sought
        if sought is None or sought.begins.search(text) is None:
            return True
        return sought.found.search(text) is None and self._waits_from(sought, text, 0) == len(text)


class _Sought(NamedTuple):
    """What finds values in texts.

    Attributes:
        begins: finds nothing where no value begins: most texts are done with when it has read them.
    """

    found: re.Pattern[str]
    firsts: re.Pattern[str]
    begins: re.Pattern[str]
    longest: int


@lru_cache(maxsize=64)
def _sought(forms: tuple[str, ...]) -> _Sought:
    """Return what finds *forms*. The agents of a process mostly have the same secrets."""
    longest_first = sorted(forms, key=len, reverse=True)
    firsts = "[" + re.escape("".join(sorted({form[0] for form in forms}))) + "]"
    begins = "|".join(sorted({re.escape(form[:2]) for form in forms}))
    return _Sought(
        re.compile("|".join(map(re.escape, longest_first))),
        re.compile(firsts),
        re.compile(rf"{begins}|{firsts}\Z"),
        len(longest_first[0]),
    )


@lru_cache(maxsize=64)
def _forms(value: str) -> tuple[str, str, str]:
    """Return how *value* may stand in a text: with escapes in a tool's arguments, or other JSON."""
    return value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]


class _Block:
    """One block of an answer: what waits, by operation, and the arguments as written."""

    def __init__(self) -> None:
        self.waiting: dict[str, str] = {}
        self.call_id = ""
        self.arguments: list[str] = []
        self.is_masked = False


class _Answer:
    """One answer while it arrives."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._blocks: dict[int, _Block] = {}
        self._gap_us = 0
        self._is_masked = self._is_changed = False

    def hear(self, event: k.ModelDelta, pieces: list[k.Piece]) -> Taken:
        """Return the delta as it is written."""
        if not self._gap_us and all(map(self._is_plain, pieces)):
            for block, op, data, *_ in pieces:
                if op == "args":
                    self._blocks.setdefault(block, _Block()).arguments.append(data)
            # What the caller shows of a later delta repeats the text of all before it.
            return Taken((), event, self._is_changed)
        deltas = list(_each(pieces))
        out = [each for delta in deltas for each in self._delta(*delta)]
        if out == deltas:
            return Taken((), event, self._is_changed)
        self._is_changed = True
        return Taken((), k.ModelDelta(_joined(out)), True)

    def _is_plain(self, piece: k.Piece) -> bool:
        """Whether *piece* goes on record as it is: nearly every one does."""
        block, op, data = piece[:3]
        state = self._blocks.get(block)
        if op not in STREAMED or (state is not None and op in state.waiting):
            return False
        return self._redactor.is_plain(data)

    def _delta(self, block: int, op: str, data: Any, gap_us: int) -> Iterator[_Delta]:
        state = self._blocks.setdefault(block, _Block())
        gap_us += self._gap_us
        if op not in STREAMED:
            if op == "call":
                state.call_id = data.get("id") or state.call_id
            elif state.is_masked or (op == "keep" and self._holds_value(data)):
                # What signs, or is, a text that was masked would not be accepted again.
                self._is_masked, self._gap_us = True, gap_us
                return
            self._gap_us = 0
            yield block, op, data, gap_us
            return
        given = state.waiting.pop(op, "") + data
        text, waiting, was_found = self._redactor.split(given, is_last=False)
        if waiting:
            state.waiting[op] = waiting
        yield from self._said(block, op, text, gap_us, was_found or text + waiting != given, data)

    def _holds_value(self, data: Any) -> bool:
        exact = self._redactor.exact
        return within(data, exact, exact) is not data

    def _said(
        self, block: int, op: str, text: str, gap_us: int, is_masked: bool, data: str
    ) -> Iterator[_Delta]:
        state = self._blocks[block]
        if is_masked:
            state.is_masked = self._is_masked = True
        if op == "args":
            state.arguments.append(text)
        if text or not data:
            self._gap_us = 0
            yield block, op, text, gap_us
        else:
            self._gap_us = gap_us

    def end(self, event: k.Fact, *, is_changed: bool) -> Taken:
        """Return the end of the answer, and before it what still waited."""
        rest: list[_Delta] = []
        for block, state in self._blocks.items():
            for op, waiting in state.waiting.items():
                text, _, was_found = self._redactor.split(waiting, is_last=True)
                rest += self._said(
                    block, op, text, self._gap_us, was_found or text != waiting, text
                )
        before = (k.ModelDelta(_joined(rest)),) if rest else ()
        if isinstance(event, k.ModelFinished) and self._is_masked:
            event = msgspec.structs.replace(event, calls=[self._call(ref) for ref in event.calls])
        return Taken(before, event, is_changed or self._is_masked)

    def _call(self, ref: k.CallRef) -> k.CallRef:
        """Return *ref* with the digest of the arguments as they are on record."""
        for state in self._blocks.values():
            if state.call_id == ref.id and state.is_masked and ref.args != "bad":
                return msgspec.structs.replace(ref, args=_digest("".join(state.arguments)))
        return ref


_Delta = tuple[int, str, Any, int]


def _digest(text: str) -> str:
    try:
        arguments = msgspec.json.decode(text) if text.strip() else {}
    except msgspec.DecodeError:
        return "bad"
    return digest(canonical(arguments)) if isinstance(arguments, dict) else "bad"


def _each(pieces: Iterable[k.Piece]) -> Iterator[_Delta]:
    """Yield every delta as it once arrived."""
    for piece in pieces:
        block, op, data, gaps = piece[:4]
        if len(piece) == 4:
            yield block, op, data, gaps
            continue
        at = 0
        for gap_us, length in zip(gaps, piece[4], strict=True):
            yield block, op, data[at : at + length], gap_us
            at += length


def _joined(deltas: Iterable[_Delta]) -> list[k.Piece]:
    """Return *deltas* as pieces: runs of one block and operation are one."""
    runs: list[tuple[int, str, list[Any], list[int]]] = []
    for block, op, data, gap_us in deltas:
        if runs and op in STREAMED and runs[-1][:2] == (block, op):
            runs[-1][2].append(data)
            runs[-1][3].append(gap_us)
        else:
            runs.append((block, op, [data], [gap_us]))
    return [
        (block, op, data[0], gaps[0])
        if len(data) == 1
        else (block, op, "".join(data), gaps, [len(part) for part in data])
        for block, op, data, gaps in runs
    ]
