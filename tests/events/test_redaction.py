"""Masking: what is searched, what the masks say, and values that arrive in pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tinyagent.events import KINDS, Event, Fact, canonical, digest, encode, kinds as k
from tinyagent.events.free_text import FREE
from tinyagent.events.redaction import Redactor

KEY = "sk-0123456789abcdef"
MASK = "«secret:openai:1»"
# Fields that hold no free text: numbers, ids, digests, names, words of closed sets, settings.
PLAIN = {
    "session.started": "model hooks options limits flags versions",
    "session.resumed": "epoch versions open",
    "log.recovered": "why torn_bytes dropped copied segment",
    "log.lost": "first last bytes",
    "session.ended": "reason",
    "diagnostic.reported": "name",
    "actor.failed": "actor error at",
    "sink.failed": "sink seq",
    "user.said": "via at_ms",
    "user.withdrawn": "said",
    "user.delivered": "said",
    "host.asked": "hook call_id",
    "host.answered": "hook call_id n found stop skipped ok terminate decide",
    "host.failed": "hook call_id",
    "model.requested": "n",
    "model.retrying": "attempt delay_s model request",
    "model.finished": "reason calls usage request response raw",
    "model.failed": "usage request",
    "tool.blocked": "call_id by ok terminate",
    "tool.requested": "call_id name attempt",
    "tool.started": "call_id effect attempt",
    "tool.progressed": "call_id",
    "tool.finished": "call_id terminate",
    "tool.failed": "call_id",
    "tool.in_doubt": "call_id why attempt asks",
    "tool.reconciled": "call_id outcome",
    "approval.requested": "call_id args attempt",
    "approval.decided": "call_id args approved by attempt",
    "session.forked": "guarded",
    "tool.settled": "call_id outcome by",
    "context.edited": "why",
    "turn.ended": "n state",
    "budget.exceeded": "limit seen max",
    "run.ended": "outcome state",
    "foreign": "what",
    "output.rejected": "n",
    "child.started": "child call_id limits",
    "child.ended": "child outcome used",
    "timer.set": "after_s purpose",
    "timer.fired": "timer seen_s",
}


def redactor(*values: str, **options: Any) -> Redactor:
    made = Redactor(**options)
    for value in values or (KEY,):
        made.register("openai", value)
    return made


def masked(event: Event, by: Redactor | None = None) -> Any:
    return (by or redactor()).take(event, 1).event


def streamed(by: Redactor, *records: list[k.Piece], op: str = "text") -> tuple[str, list[Event]]:
    """Return what is on record of an answer's text, and the records, its end last."""
    written: list[Event] = []
    for event in (*map(k.ModelDelta, records), k.ModelFinished("end")):
        taken = by.take(event, 1)
        written += (*taken.before, taken.event)
    pieces = [
        piece for event in written if isinstance(event, k.ModelDelta) for piece in event.pieces
    ]
    return "".join(piece[2] for piece in pieces if piece[1] == op), written


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_is_known_to_be_free_text_or_not(kind: str) -> None:
    plain = PLAIN.get(kind, "").split()
    assert sorted((*FREE.get(kind, ()), *plain)) == sorted(KINDS[kind].__struct_fields__)


FAILURE = k.Failure("network", f"refused {KEY}")


@pytest.mark.parametrize(
    "event",
    [
        k.SessionStarted(system=KEY, tools=[k.ToolSpec("f", KEY, {"default": KEY})]),
        k.ConfigChanged({"system": KEY, "tools": [{"name": "f", "description": KEY}]}),
        k.DiagnosticReported("x", KEY, {"a": [KEY]}),
        k.ActorFailed("agent", "ValueError", KEY),
        k.SinkFailed("s", 1, FAILURE),
        k.Foreign("note", {"text": KEY}),
        k.UserSaid(KEY),
        k.UserSaid([{"type": "text", "text": KEY}], message={"role": "note", "said": {"a": KEY}}),
        k.CancelRequested(KEY),
        k.HostAnswered("after_tool_call", content=KEY, details={KEY: 1}, arguments={"a": KEY}),
        k.HostAnswered("before_tool_call", block={"content": KEY}, ops=[["insert", {"text": KEY}]]),
        k.HostFailed("context", FAILURE),
        k.SessionForked([["tool_result", "c", KEY]], why=KEY),
        k.ApprovalDecided("c", "00", False, why=KEY),
        k.ToolReconciled("c", "done", KEY),
        k.ModelDelta([(0, "text", f"a {KEY} b", 1)]),
        k.ModelRetrying(2, FAILURE),
        k.ModelFailed(FAILURE),
        k.OutputRejected(1, [KEY]),
        k.ToolBlocked("c", "hook", KEY, details={"a": KEY}),
        k.ToolRequested("c", "f", arguments={"a": {"b": KEY}}),
        k.ToolProgressed("c", KEY, {"a": KEY}),
        k.ToolFinished("c", f"two: {KEY}{KEY}", {"a": KEY}),
        k.ToolFailed("c", FAILURE),
        k.ToolInDoubt("c", "timeout", content=KEY),
        k.ToolSettled("c", "done", "host", KEY),
        k.ContextEdited([["insert", {"role": "user", "content": KEY}]]),
    ],
    ids=lambda event: event.kind,
)
def test_free_text_is_masked_in_every_kind(event: Fact) -> None:
    taken = redactor().take(event, 1)
    written = b"".join(map(encode, (*taken.before, taken.event)))
    assert KEY.encode() not in written
    assert MASK.encode() in written
    assert type(taken.event) is type(event)
    assert taken.is_changed


def test_what_holds_no_secret_is_the_same_object() -> None:
    for event in (
        k.UserSaid("hi"),
        k.ModelDelta([(0, "text", "hello", 3)]),
        k.RunEnded("answered"),
    ):
        assert redactor().take(event, 1) == ((), event, False)
        assert masked(event) is event


def test_ids_names_and_signatures_are_never_searched() -> None:
    block = {"type": "tool_call", "id": KEY, "name": KEY, "thinking_signature": KEY, "text": KEY}
    said = masked(k.UserSaid([block]))
    assert said.content == [{**block, "text": MASK}]
    called = k.ToolRequested(KEY, KEY)
    assert masked(called) is called
    started = k.SessionStarted(model={"id": KEY}, tools=[k.ToolSpec(KEY)])
    assert masked(started) is started


def test_the_same_value_has_the_same_number_and_another_the_next() -> None:
    by = redactor()
    by.register("openai", "another-key-of-openai")
    by.register("stripe", "sk_live_and_so_on")
    by.register("again", KEY)
    text = f"{KEY} another-key-of-openai sk_live_and_so_on {KEY}"
    assert by.mask(text) == f"{MASK} «secret:openai:2» «secret:stripe:1» {MASK}"


def test_a_value_that_is_too_short_is_refused_without_being_told() -> None:
    with pytest.raises(
        ValueError, match=r"the secret 'pin' has 7 characters; at least 8"
    ) as refused:
        Redactor().register("pin", "1234567")
    assert "1234567" not in str(refused.value)


@pytest.mark.parametrize("value", ['quo"te\\back\nline', "Schlüssel-größer", "tab\tslash/é☃😀"])
def test_a_value_is_found_in_text_that_is_json_too(value: str) -> None:
    by = redactor(value)
    for text in (value, json.dumps({"a": value}), json.dumps({"a": value}, ensure_ascii=False)):
        assert value not in by.mask(text)
        assert MASK in by.mask(text)
    arguments, _ = streamed(by, [(0, "args", json.dumps({"a": value}), 1)], op="args")
    assert json.loads(arguments) == {"a": MASK}


def test_the_longest_of_values_that_begin_alike_is_masked_whole() -> None:
    by = redactor("abcdefgh", "abcdefghijkl")
    assert by.mask("abcdefghijkl abcdefghij") == "«secret:openai:2» «secret:openai:1»ij"
    text, _ = streamed(by, [(0, "text", "abcdefgh", 1)], [(0, "text", "ijkl!", 1)])
    assert text == "«secret:openai:2»!"


TOKENS = [
    "sk-" + "a1B2" * 12,
    "sk-proj-" + "a_B-" * 8,
    "ghp_" + "a1" * 18,
    "github_pat_" + "a1" * 30,
    "AKIAIOSFODNN7EXAMPLE",
    "xoxb-123456789012-abcdefghij",
    "AIza" + "a" * 35,
    "sk_live_" + "a1" * 10,
]


@pytest.mark.parametrize("token", TOKENS)
def test_text_that_has_the_form_of_a_token_is_masked_if_asked_for(token: str) -> None:
    event = k.ToolFinished("c", f"use {token}, then {token}")
    assert masked(event, Redactor()) is event
    found = masked(event, Redactor(patterns=True))
    assert found.content == "use «secret:pattern:1», then «secret:pattern:1»"


def test_a_token_gets_no_number_that_is_in_the_log_already() -> None:
    by = Redactor(patterns=True)
    by.remember('{"content":"«secret:pattern:2» and «secret:pattern:7»"}'.encode())
    by.remember(b'{"content":"nothing"}')
    assert by.mask(f"{TOKENS[0]} {TOKENS[2]} {TOKENS[0]}") == (
        "«secret:pattern:8» «secret:pattern:9» «secret:pattern:8»"
    )


@pytest.mark.parametrize(
    "harmless", ["sk-it", "task-force-of-the-nation", "0d3c1e8b72a655", "AIza", "ghp_short", "AKIA"]
)
def test_what_only_looks_a_little_like_a_token_is_left(harmless: str) -> None:
    event = k.ToolFinished("c", harmless)
    assert masked(event, Redactor(patterns=True)) is event


def test_the_users_rule_comes_last_and_leaves_ids_and_names_of_fields() -> None:
    by = redactor(rule=str.upper)
    event = k.UserSaid([{"type": "text", "text": f"to ann {KEY}", "id": "abc"}])
    assert masked(event, by).content == [
        {"type": "text", "text": "TO ANN «SECRET:OPENAI:1»", "id": "abc"}
    ]
    assert masked(k.ToolRequested("c", "f", arguments={"to": "ann"}), by).arguments == {"to": "ANN"}
    spec = k.ToolSpec("f", "says", {"type": "object"})
    assert masked(k.SessionStarted(tools=[spec]), by).tools == [
        k.ToolSpec("f", "SAYS", spec.schema)
    ]


def test_a_rule_is_named_with_its_version() -> None:
    def rule(text: str) -> str:
        return text

    assert Redactor().rule_name == ""
    assert Redactor(rule=rule).rule_name.endswith("a_rule_is_named_with_its_version.<locals>.rule")
    rule.version = "7"  # type: ignore[attr-defined] # a function may have attributes
    assert Redactor(rule=rule).rule_name.endswith(".rule 7")


# Answers, which arrive in pieces


def test_only_an_end_that_could_begin_a_value_waits() -> None:
    by = redactor()
    for text in ("Hello", " risky", "-free sk-1", "sk-0 no", "k-0123456789abcdef"):
        event = k.ModelDelta([(0, "text", text, 5)])
        assert masked(event, by) is event
    held = by.take(k.ModelDelta([(0, "text", "so: sk-0123", 5)]), 1)
    assert held.event == k.ModelDelta([(0, "text", "so: ", 5)])
    rest = by.take(k.ModelDelta([(0, "text", "456 no", 7)]), 1)
    assert rest.event == k.ModelDelta([(0, "text", "sk-0123456 no", 7)])
    later = k.ModelDelta([(0, "text", "more", 7)])
    assert by.take(later, 1) == ((), later, True)


def test_what_still_waits_comes_before_the_end_of_the_answer() -> None:
    for end in (k.ModelFinished("end"), k.ModelFailed(k.Failure("cancelled", "Aborted"))):
        by = redactor()
        by.take(k.ModelDelta([(0, "text", "sk-01", 5), (1, "think", "hm sk-", 5)]), 1)
        taken = by.take(end, 1)
        assert taken.before == (k.ModelDelta([(0, "text", "sk-01", 0), (1, "think", "sk-", 0)]),)
        assert taken.event == end
        assert by.take(end, 1).before == ()


def test_an_attempt_that_is_void_takes_what_waits_along() -> None:
    by = redactor()
    by.take(k.ModelDelta([(0, "text", "sk-01", 5)]), 1)
    by.take(k.ModelRetrying(2, k.Failure("network", "reset")), 1)
    event = k.ModelDelta([(0, "text", "23456789abcdef", 5)])
    assert masked(event, by) is event
    assert by.take(k.ModelFinished("end"), 1).before == ()


def test_answers_at_the_same_time_and_blocks_of_one_do_not_mix() -> None:
    by = redactor()
    first, second = KEY[:7], KEY[7:]
    by.take(k.ModelDelta([(0, "text", first, 1)]), 1)
    for event, cause in (
        (k.ModelDelta([(0, "text", second, 1)]), 2),
        (k.ModelDelta([(1, "text", second, 2)]), 1),
    ):
        assert by.take(event, cause).event == event or cause == 1
    assert masked(k.ModelDelta([(0, "text", second, 1)]), by).pieces[0][2] == MASK


def test_boundaries_and_times_of_the_deltas_are_kept() -> None:
    run: k.Piece = (0, "text", f"Hello {KEY} you", [10, 20, 30, 40], [6, 9, 11, 3])
    event = masked(k.ModelDelta([run]))
    assert event.pieces == [(0, "text", f"Hello {MASK} you", [10, 50, 40], [6, len(MASK) + 1, 3])]


def test_a_signature_over_masked_text_is_dropped_and_any_other_kept() -> None:
    by = redactor()
    pieces: list[k.Piece] = [
        (0, "think", f"I use {KEY}.", 1), (0, "sign", "c2ln", 2),
        (1, "think", "Nothing here.", 3), (1, "sign", "c2lnMg", 4),
        (2, "keep", {"data": KEY}, 5), (3, "keep", {"data": "x"}, 6),
    ]  # fmt: skip
    assert masked(k.ModelDelta(pieces), by).pieces == [
        (0, "think", f"I use {MASK}.", 1),
        (1, "think", "Nothing here.", 5),
        (1, "sign", "c2lnMg", 4),
        (3, "keep", {"data": "x"}, 11),
    ]


def test_the_digest_of_arguments_is_of_what_is_on_record() -> None:
    by = redactor()
    whole = json.dumps({"key": KEY, "n": 1})
    refs = [
        k.CallRef("call_1", "f", digest(canonical({"key": KEY, "n": 1}))),
        k.CallRef("call_2", "g", "bad"),
        k.CallRef("call_3", "h", "0123456789abcdef"),
    ]
    for at in (0, 12):
        part = whole[at : at + 12] if at == 0 else whole[at:]
        call: list[k.Piece] = [(0, "call", {"id": "call_1", "name": "f"}, 1)] if at == 0 else []
        by.take(k.ModelDelta([*call, (0, "args", part, 1)]), 1)
    taken = by.take(k.ModelFinished("tools", refs), 1)
    ours = digest(canonical({"key": MASK, "n": 1}))
    assert isinstance(taken.event, k.ModelFinished)
    assert [ref.args for ref in taken.event.calls] == [ours, "bad", "0123456789abcdef"]
    assert taken.is_changed


VALUES = st.lists(st.text("ab", min_size=8, max_size=12), min_size=1, max_size=3, unique=True)


@given(
    VALUES,
    st.lists(st.one_of(st.text("abc", max_size=6), st.integers(0, 2)), max_size=10),
    st.data(),
)
def test_however_an_answer_is_cut_no_value_is_on_record(
    values: list[str], parts: list[str | int], data: st.DataObject
) -> None:
    whole = "".join(p if isinstance(p, str) else values[p % len(values)] for p in parts)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=12)))
    spans = zip([0, *cuts], [*cuts, len(whole)], strict=True)
    deltas = [whole[first:last] for first, last in spans if first < last]
    records: list[list[k.Piece]] = [[]]
    for delta in deltas:
        if data.draw(st.booleans()):
            records.append([])
        records[-1].append((0, "text", delta, 1))
    by = Redactor()
    for value in values:
        by.register("k", value)
    text, written = streamed(by, *records)
    assert text == by.mask(whole)
    assert not any(value in text for value in values)
    gaps_us = 0
    for event in written:
        assert isinstance(event, k.ModelDelta | k.ModelFinished)
        for piece in event.pieces if isinstance(event, k.ModelDelta) else ():
            gaps_us += sum(piece[3]) if isinstance(piece[3], list) else piece[3]
            assert len(piece) == 4 or (len(piece[2]) == sum(piece[4]) and 0 not in piece[4])
    assert gaps_us <= len(deltas)
