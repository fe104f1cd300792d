//! Anthropic, Responses and Gemini: what could not be recorded. All samples are synthesised after
//! the providers' pages and SDKs.

mod common;

use common::{decode, stream, told};
use proptest::prelude::*;
use serde_json::{json, Value};
use tinyagent_decode::{Api, Kind, Reason};

fn lines(api: Api, payloads: &[Value]) -> (Vec<String>, tinyagent_decode::Answer) {
    let (pieces, answer) = decode(api, &[stream(payloads).as_bytes()]);
    (told(&pieces), answer)
}

fn started(block: Value) -> Value {
    json!({"type": "content_block_start", "index": 0, "content_block": block})
}

fn delta(delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": 0, "delta": delta})
}

fn ended(reason: Option<&str>) -> [Value; 3] {
    [
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 3, "input_tokens": null}}),
        json!({"type": "message_stop"}),
    ]
}

fn messages(blocks: &[Value], reason: Option<&str>) -> (Vec<String>, tinyagent_decode::Answer) {
    let start = json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 2, "output_tokens": 1}}});
    let all: Vec<Value> = [start]
        .into_iter()
        .chain(blocks.iter().cloned())
        .chain(ended(reason))
        .collect();
    lines(Api::Messages, &all)
}

#[test]
fn anthropic_errors_inside_the_answer() {
    for (kind, expected) in [
        ("overloaded_error", Kind::Overloaded),
        ("invalid_request_error", Kind::Invalid),
        ("authentication_error", Kind::Refused),
        ("timeout_error", Kind::Timeout),
    ] {
        let text = delta(json!({"type": "text_delta", "text": "a"}));
        let error = json!({"type": "error", "error": {"type": kind, "message": "m"}});
        let (told, answer) = lines(
            Api::Messages,
            &[started(json!({"type": "text", "text": ""})), text, error],
        );
        assert_eq!(told, ["0 text a"]);
        let failure = answer.failure.expect("it failed");
        assert_eq!((failure.kind, failure.message.as_str()), (expected, "m"));
    }
}

#[test]
fn anthropic_input_may_be_in_the_start_but_fragments_win() {
    let start = started(json!({"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}));
    let (told, answer) = messages(std::slice::from_ref(&start), Some("tool_use"));
    assert_eq!(told, ["0 call \"t\" \"f\"", "0 args {\"a\":1}"]);
    assert_eq!(answer.reason, Some(Reason::Tools));
    let fragment = |text: &str| delta(json!({"type": "input_json_delta", "partial_json": text}));
    let (told, _) = messages(&[start, fragment(""), fragment("{}")], Some("tool_use"));
    assert_eq!(told, ["0 call \"t\" \"f\"", "0 args ", "0 args {}"]);
}

#[test]
fn anthropic_reasoning_that_is_not_shown_goes_back_and_usage_is_the_last() {
    let (told, answer) = messages(
        &[
            started(json!({"type": "thinking", "thinking": "", "signature": ""})),
            delta(json!({"type": "signature_delta", "signature": "s"})),
        ],
        None,
    );
    assert_eq!(
        told,
        ["0 keep {\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"s\"}"]
    );
    assert_eq!(
        (answer.reason, answer.response.as_deref()),
        (Some(Reason::End), Some("m"))
    );
    let usage = answer.usage.expect("there is some");
    assert_eq!((usage.input, usage.output, usage.total), (2, 3, 5));
}

#[test]
fn anthropic_blocks_of_unknown_kinds_are_kept_with_their_deltas() {
    let (told, _) = messages(
        &[
            started(json!({"type": "compaction", "content": "a"})),
            delta(json!({"type": "compaction_delta", "content": "b"})),
        ],
        Some("end_turn"),
    );
    assert_eq!(
        told,
        ["0 keep {\"type\":\"compaction\",\"content\":\"ab\"}"]
    );
}

#[test]
fn anthropic_words_for_the_end() {
    for (word, reason) in [
        ("end_turn", Reason::End),
        ("pause_turn", Reason::End),
        ("max_tokens", Reason::Length),
        ("refusal", Reason::Filtered),
    ] {
        let (_, answer) = messages(&[started(json!({"type": "text", "text": "x"}))], Some(word));
        assert_eq!((answer.reason, answer.failure), (Some(reason), None));
    }
}

#[test]
fn anthropic_plain_json() {
    let body = json!({"type": "message", "id": "m", "stop_reason": "tool_use", "usage": {"input_tokens": 1},
        "content": [{"type": "text", "text": "a"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"x": "y"}}]});
    let (pieces, answer) = decode(Api::Messages, &[body.to_string().as_bytes()]);
    assert_eq!(
        told(&pieces),
        ["0 text a", "1 call \"t\" \"f\"", "1 args {\"x\":\"y\"}"]
    );
    assert_eq!(answer.reason, Some(Reason::Tools));
}

#[test]
fn responses_take_what_is_missing_from_the_finished_items() {
    let call = json!({"type": "function_call", "call_id": "c", "id": "i", "name": "f", "arguments": "{\"a\":1}"});
    let (told, answer) = lines(
        Api::Responses,
        &[
            json!({"type": "response.output_text.delta", "output_index": 0, "delta": "a"}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": {"type": "message", "content": [{"type": "output_text", "text": "ab"}]}}),
            json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{\"a"}),
            json!({"type": "response.output_item.done", "output_index": 1, "item": call}),
            json!({"type": "response.completed", "response": {"status": "completed", "output": [{}, {}, {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}]}}),
        ],
    );
    let expected = [
        "0 text a",
        "0 text b",
        "1 call \"\" \"\"",
        "1 args {\"a",
        "1 call \"c\" \"f\"",
        "1 args \":1}",
        "1 keep {\"id\":\"i\"}",
        "2 refuse no",
    ];
    assert_eq!(told, expected);
    assert_eq!(
        (answer.reason, answer.bad_calls),
        (Some(Reason::Tools), vec![])
    );
}

#[test]
fn responses_ends() {
    let end = |status: &str, more: Value| {
        let mut response =
            json!({"status": status, "output": [{"type": "message", "content": [{"text": "x"}]}]});
        let fields = more.as_object().cloned().unwrap_or_default();
        response.as_object_mut().expect("object").extend(fields);
        lines(
            Api::Responses,
            &[json!({"type": format!("response.{status}"), "response": response})],
        )
        .1
    };
    let why = |reason: &str| json!({"incomplete_details": {"reason": reason}});
    assert_eq!(end("completed", json!({})).reason, Some(Reason::End));
    assert_eq!(
        end("incomplete", why("max_output_tokens")).reason,
        Some(Reason::Length)
    );
    assert_eq!(
        end("incomplete", why("content_filter")).reason,
        Some(Reason::Filtered)
    );
    for (code, kind) in [
        ("rate_limit_exceeded", Kind::Overloaded),
        ("context_length_exceeded", Kind::Overflow),
        ("server_error", Kind::Overloaded),
    ] {
        let failed = end("failed", json!({"error": {"code": code, "message": "m"}}));
        assert_eq!(failed.failure.map(|it| it.kind), Some(kind), "{code}");
    }
}

#[test]
fn gemini_streamed_arguments_are_not_complete_before_something_says_so() {
    let part =
        |call: Value| json!({"candidates": [{"content": {"parts": [{"functionCall": call}]}}]});
    let value = json!([{"jsonPath": "$.a", "stringValue": "x"}]);
    let payloads = [
        part(json!({"name": "f", "willContinue": true})),
        part(json!({"partialArgs": value, "willContinue": true})),
    ];
    let (told, answer) = lines(Api::Gemini, &payloads);
    assert_eq!(
        (told, answer.bad_calls),
        (vec!["0 call \"\" \"f\"".to_owned()], vec![0])
    );
    let last = json!({"candidates": [{"finishReason": "STOP"}]});
    let (told, answer) = lines(Api::Gemini, &[&payloads[..], &[last]].concat());
    assert_eq!(told[1..], ["0 args {\"a\":\"x\"}".to_owned()]);
    assert_eq!(
        (answer.reason, answer.bad_calls),
        (Some(Reason::Tools), vec![])
    );
}

#[test]
fn gemini_arguments_that_are_no_object_and_a_call_without_a_name_are_not_lost() {
    for (call, args, is_bad) in [
        (
            json!({"name": "f", "args": "{\"a\": 1}"}),
            "{\"a\": 1}",
            false,
        ),
        (json!({"name": "f", "args": "{\"a\":"}), "{\"a\":", true),
        (json!({"name": "f", "args": [1]}), "[1]", true),
        (json!({"name": "f", "args": null}), "{}", false),
        (json!({"args": {"a": 1}}), "{\"a\":1}", false),
    ] {
        let parts = json!({"parts": [{"functionCall": call}]});
        let end = json!({"candidates": [{"content": parts, "finishReason": "STOP"}]});
        let (told, answer) = lines(Api::Gemini, &[end]);
        assert_eq!(told[1..], [format!("0 args {args}")]);
        assert_eq!(answer.bad_calls.is_empty(), !is_bad, "{call}");
        assert_eq!(answer.reason, Some(Reason::Tools));
    }
}

#[test]
fn gemini_ends_and_an_array_instead_of_events() {
    let end = |reason: &str| {
        let text = json!({"content": {"parts": [{"text": "x"}]}, "finishReason": reason, "finishMessage": "why"});
        let body = json!([{"candidates": [text], "usageMetadata": {"promptTokenCount": 1, "thoughtsTokenCount": 2}}]);
        let (pieces, answer) = decode(Api::Gemini, &[body.to_string().as_bytes()]);
        assert_eq!(told(&pieces), ["0 text x"]);
        assert_eq!(
            answer.usage.map(|it| (it.input, it.output, it.total)),
            Some((1, 2, 3))
        );
        answer
    };
    assert_eq!(end("MAX_TOKENS").reason, Some(Reason::Length));
    assert_eq!(end("SAFETY").reason, Some(Reason::Filtered));
    let failure = end("MALFORMED_FUNCTION_CALL").failure.expect("it failed");
    assert!(
        failure
            .message
            .ends_with("\"MALFORMED_FUNCTION_CALL\": why"),
        "{}",
        failure.message
    );
    for why in ["SAFETY", "OTHER", "A_REASON_OF_LATER"] {
        let feedback = json!({"promptFeedback": {"blockReason": why}});
        let (_, blocked) = lines(Api::Gemini, &[feedback]);
        assert_eq!(
            (blocked.reason, blocked.failure),
            (Some(Reason::Filtered), None),
            "{why}"
        );
        assert_eq!(blocked.raw_reason.as_deref(), Some(why));
    }
    let (_, failed) = lines(
        Api::Gemini,
        &[json!({"error": {"code": 503, "status": "UNAVAILABLE", "message": "m"}})],
    );
    assert_eq!(failed.failure.map(|it| it.kind), Some(Kind::Overloaded));
}

const WORDS: &str = "text thinking tool_use text_delta input_json_delta signature_delta \
    message_start content_block_start content_block_delta content_block_stop message_delta \
    message_stop function_call message reasoning response.output_item.added \
    response.output_item.done response.output_text.delta response.completed { x";

const KEYS: &str = "type index output_index delta content_block item text id name input arguments \
    content response output candidates parts functionCall args partialArgs jsonPath usage message \
    status finishReason choices tool_calls function error";

fn any_of(words: &'static str) -> impl Strategy<Value = &'static str> + Clone {
    prop::sample::select(words.split_whitespace().collect::<Vec<_>>())
}

fn any_payload() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any_of(WORDS).prop_map(Value::from),
        (-1..3i64).prop_map(Value::from),
        Just(Value::Null)
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let field = (any_of(KEYS).prop_map(str::to_owned), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(Value::from),
            prop::collection::vec(field, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_payload_makes_any_decoder_panic(payloads in prop::collection::vec(any_payload(), 0..8)) {
        for (_, api) in Api::ALL {
            let (pieces, answer) = decode(api, &[stream(&payloads).as_bytes()]);
            let mut open = 0;
            for piece in &pieces {
                prop_assert!(piece.block <= open, "blocks are numbered in order of opening");
                open = open.max(piece.block + 1);
            }
            prop_assert_eq!(answer.reason.is_some(), answer.failure.is_none());
        }
    }
}
