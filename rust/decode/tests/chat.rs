//! Chat completions that could not be recorded. All samples are synthesised after what providers'
//! pages and issue threads say that they send.

mod common;

use common::{chat, decode, of_deltas, stream, told};
use proptest::prelude::*;
use serde_json::{json, Value};
use tinyagent_decode::{Api, Op, Reason};

fn minimax(deltas: &[Value]) -> Vec<String> {
    let (pieces, _) = decode(Api::Minimax, &[of_deltas(deltas, "stop").as_bytes()]);
    told(&pieces)
}

fn call(call: Value) -> Value {
    json!({"tool_calls": [call]})
}

#[test]
fn parallel_calls_that_reuse_an_index_stay_apart() {
    let (lines, answer) = chat(
        &[
            call(json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}})),
            call(json!({"index": 0, "id": "b", "function": {"name": "g", "arguments": "{"}})),
            call(json!({"index": 0, "function": {"arguments": "}"}})),
        ],
        "tool_calls",
    );
    let expected = [
        "0 call \"a\" \"f\"",
        "0 args {}",
        "1 call \"b\" \"g\"",
        "1 args {",
        "1 args }",
    ];
    assert_eq!(lines, expected);
    assert_eq!(
        (answer.reason, answer.bad_calls),
        (Some(Reason::Tools), vec![])
    );
}

#[test]
fn interleaved_fragments_and_text_between_them_do_no_harm() {
    let (lines, answer) = chat(
        &[
            call(json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}})),
            call(json!({"index": 1, "id": "b", "function": {"name": "g", "arguments": null}})),
            call(json!({"index": 0, "id": "", "function": {"name": "", "arguments": "{"}})),
            json!({"content": "hm"}),
            call(json!({"index": 1, "function": {"arguments": "{}"}})),
            call(json!({"index": 0, "function": {"arguments": "}"}})),
        ],
        "stop",
    );
    let expected = [
        "0 call \"a\" \"f\"",
        "0 args ",
        "1 call \"b\" \"g\"",
        "0 args {",
        "2 text hm",
        "1 args {}",
        "0 args }",
    ];
    assert_eq!(lines, expected);
    assert_eq!(
        (answer.reason, answer.bad_calls),
        (Some(Reason::End), vec![])
    );
}

#[test]
fn ids_and_names_are_neither_repeated_nor_joined_nor_erased() {
    // Novita repeats both; Kimi changes the id in mid-call without a name.
    let (lines, _) = chat(
        &[
            call(json!({"index": 0, "id": "a", "function": {"arguments": "{"}})),
            call(json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}})),
            call(json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "}"}})),
            call(
                json!({"index": 0, "id": "functions.f:0", "function": {"name": null, "arguments": " "}}),
            ),
        ],
        "tool_calls",
    );
    let expected = [
        "0 call \"a\" \"\"",
        "0 args {",
        "0 call \"a\" \"f\"",
        "0 args ",
        "0 args }",
        "0 args  ",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn calls_without_index_are_told_apart_by_id_else_by_being_complete() {
    let (lines, _) = chat(
        &[
            json!({"tool_calls": [
                {"id": "a", "function": {"name": "f", "arguments": "{}"}},
                {"id": "b", "function": {"name": "f", "arguments": "{"}},
            ]}),
            call(json!({"id": "b", "function": {"arguments": "}"}})),
            json!({"tool_calls": [
                {"function": {"name": "g", "arguments": "{}"}},
                {"function": {"name": "g", "arguments": {"x": 1}}},
            ]}),
        ],
        "tool_calls",
    );
    let opened: Vec<&String> = lines.iter().filter(|line| line.contains("call")).collect();
    let expected = [
        "0 call \"a\" \"f\"",
        "1 call \"b\" \"f\"",
        "2 call \"\" \"g\"",
        "3 call \"\" \"g\"",
    ];
    assert_eq!(opened, expected);
    assert_eq!(lines.last().map(String::as_str), Some("3 args {\"x\":1}"));
}

#[test]
fn only_whole_objects_are_good_arguments() {
    for (arguments, is_bad) in [
        ("", false),
        ("null", false),
        ("{}", false),
        ("[]", true),
        ("{", true),
        ("{}{}", true),
        ("1", true),
    ] {
        let delta =
            call(json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": arguments}}));
        let (_, answer) = chat(std::slice::from_ref(&delta), "tool_calls");
        assert_eq!(!answer.bad_calls.is_empty(), is_bad, "{arguments}");
        let cut = stream(&[json!({"choices": [{"delta": delta}]})]);
        let (_, answer) = decode(Api::Chat, &[cut.as_bytes()]);
        assert_eq!(
            answer.bad_calls.is_empty(),
            arguments == "{}",
            "cut off: {arguments}"
        );
    }
}

#[test]
fn what_a_call_or_message_brings_along_goes_back_with_it() {
    let (lines, _) = chat(
        &[
            json!({"reasoning_text": "hm", "reasoning_opaque": "x"}),
            call(
                json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"},
                "extra_content": {"google": {"thought_signature": "s"}}}),
            ),
        ],
        "tool_calls",
    );
    let expected = [
        "0 think hm",
        "0 sign reasoning_text",
        "1 call \"a\" \"f\"",
        "1 args {}",
        "1 keep {\"extra_content\":{\"google\":{\"thought_signature\":\"s\"}}}",
        "0 keep {\"reasoning_opaque\":\"x\"}",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn the_same_reasoning_in_two_fields_counts_once_and_text_comes_first() {
    let delta = json!({"reasoning": "r", "reasoning_content": "r", "content": "t"});
    let (lines, _) = chat(&[delta], "stop");
    assert_eq!(lines, ["0 text t", "1 think r", "1 sign reasoning_content"]);
}

#[test]
fn minimax_thinks_inside_the_text_and_goes_on_with_a_call_first() {
    let lines = minimax(&[
        json!({"content": "<thi"}),
        json!({"content": "nk>a</think>"}),
        call(json!({"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}})),
        json!({"content": "b", "tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}),
        json!({"content": "<think></think><"}),
    ]);
    let expected = [
        "0 think a",
        "0 sign think_tag",
        "1 call \"c\" \"f\"",
        "1 args {",
        "1 args }",
        "2 text b",
        "2 text <",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn minimax_snapshots_and_increments_give_the_same_reasoning() {
    let details = |text: &str| json!({"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": text}]});
    let keep = "0 keep {\"reasoning_details\":[{\"type\":\"reasoning.text\",\"index\":0,\"text\":\"The user asks\"}]}";
    for parts in [
        ["The", "The user", "The user asks"],
        ["The", " user", " asks"],
    ] {
        let lines = minimax(&parts.map(details));
        let expected = [
            "0 think The",
            "0 sign reasoning_details",
            "0 think  user",
            "0 think  asks",
            keep,
        ];
        assert_eq!(lines, expected);
    }
}

fn any_delta() -> impl Strategy<Value = Value> {
    let content = prop::sample::select(vec!["é", "<think>", "</think>", "<th", "\n", "x"]);
    prop_oneof![
        content.prop_map(|text| json!({"content": text})),
        (
            0..2i32,
            any::<bool>(),
            prop::sample::select(vec!["{", "}", "\"a\":1", ""])
        )
            .prop_map(|(index, named, args)| {
                let id = if named { "i" } else { "" };
                call(json!({"index": index, "id": id, "function": {"name": id, "arguments": args}}))
            }),
        Just(json!({"reasoning": "r"})),
        Just(json!({"reasoning_details": [{"type": "t", "index": 0, "text": "d"}]})),
    ]
}

/// A stream whose chunks differ in nothing but *deltas*, or in their numbers as well.
fn numbered(deltas: &[Value], is_numbered: bool) -> String {
    let chunk = |(number, delta): (usize, &Value)| {
        json!({
            "id": "c",
            "created": if is_numbered { number } else { 0 },
            "choices": [{"index": 0, "delta": delta, "finish_reason": null}],
        })
    };
    let chunks: Vec<Value> = deltas.iter().enumerate().map(chunk).collect();
    stream(&chunks) + "data: [DONE]\n\n"
}

#[test]
fn a_chunk_that_repeats_the_one_before_around_its_text_may_write_it_in_any_way() {
    let chunk =
        |text: &str| format!("data: {{\"choices\": [{{\"delta\": {{\"content\": {text}}}}}]}}\n\n");
    let texts = [
        r#""a""#,
        r#""\u00e9\n""#,
        r#""\ud83d""#,
        r#""b", "refusal": "no""#,
        r#""""#,
        "null",
        r#""c""#,
    ];
    let body: String = texts.into_iter().map(chunk).collect();
    let (pieces, _) = decode(Api::Chat, &[body.as_bytes()]);
    let expected = [
        "0 text a",
        "0 text \u{e9}\n",
        "0 text \u{fffd}",
        "0 text b",
        "1 refuse no",
        "2 text c",
    ];
    assert_eq!(told(&pieces), expected);
}

#[test]
fn a_fragment_that_repeats_the_one_before_around_it_goes_on_with_the_same_call() {
    let open =
        |index| json!({"index": index, "id": "i", "function": {"name": "f", "arguments": ""}});
    let more = |index, text| json!({"index": index, "function": {"arguments": text}});
    let calls = [
        open(0),
        more(0, "{\"a\""),
        more(0, ": 1"),
        open(1),
        more(0, "}"),
        more(0, ""),
        more(1, "{}"),
        more(1, " "),
        json!({"index": 1, "id": "j", "function": {"name": "g", "arguments": "{}"}}),
    ];
    let deltas: Vec<Value> = calls.into_iter().map(call).collect();
    let (pieces, _) = decode(Api::Chat, &[numbered(&deltas, false).as_bytes()]);
    let expected = [
        "0 call \"i\" \"f\"",
        "0 args ",
        "0 args {\"a\"",
        "0 args : 1",
        "1 call \"i\" \"f\"",
        "1 args ",
        "0 args }",
        "0 args ",
        "1 args {}",
        "1 args  ",
        "2 call \"j\" \"g\"",
        "2 args {}",
    ];
    assert_eq!(told(&pieces), expected);
}

proptest! {
    #[test]
    fn it_makes_no_difference_whether_chunks_repeat_each_other(
        deltas in prop::collection::vec(any_delta(), 0..12),
    ) {
        let repeated = decode(Api::Chat, &[numbered(&deltas, false).as_bytes()]);
        prop_assert_eq!(repeated, decode(Api::Chat, &[numbered(&deltas, true).as_bytes()]));
    }

    #[test]
    fn cuts_make_no_difference(
        deltas in prop::collection::vec(any_delta(), 0..12),
        cuts in prop::collection::vec(0usize..2000, 0..8),
        is_minimax: bool,
        kept in 0usize..2000,
    ) {
        let text = of_deltas(&deltas, "stop");
        // Also of a stream that is cut off, with an event that is not terminated.
        let body = &text.as_bytes()[..kept.min(text.len())];
        let api = if is_minimax { Api::Minimax } else { Api::Chat };
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
        let whole = decode(api, &[body]);
        prop_assert_eq!(&decode(api, &chunks), &whole);
        prop_assert_eq!(whole.1.reason.is_some(), whole.1.failure.is_none());
        prop_assert!(whole.0.iter().all(|piece| piece.op != Op::Keep) || whole.1.reason.is_some());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), prefix in "(data: )?(\\{\"choices\":\\[)?") {
        let _ = decode(Api::Chat, &[prefix.as_bytes(), &bytes]);
        let _ = decode(Api::Minimax, &[prefix.as_bytes(), &bytes]);
    }
}
