//! How answers of chat completions end, and fail. All samples are synthesised.

mod common;

use common::{chat, decode, of_deltas, told};
use serde_json::json;
use tinyagent_decode::{Api, Kind, Reason};

fn failure(body: &str) -> (Kind, String) {
    let failed = decode(Api::Chat, &[body.as_bytes()]).1.failure;
    let failed = failed.unwrap_or_else(|| panic!("{body} did not fail"));
    (failed.kind, failed.message)
}

#[test]
fn words_for_the_end() {
    let text = json!({"content": "x"});
    for (word, reason) in [
        ("stop", Some(Reason::End)),
        ("repetition", Some(Reason::End)),
        ("function_call", Some(Reason::Tools)),
        ("length", Some(Reason::Length)),
        ("content_filter", Some(Reason::Filtered)),
        ("error", None),
        ("insufficient_system_resource", None),
    ] {
        let (_, answer) = chat(std::slice::from_ref(&text), word);
        assert_eq!(
            (answer.reason, answer.raw_reason.as_deref()),
            (reason, Some(word))
        );
        assert_eq!(answer.failure.is_some(), reason.is_none());
    }
}

#[test]
fn every_form_of_an_error_inside_the_answer_is_one() {
    let start = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    for (event, kind) in [
        ("data: {\"error\":{\"message\":\"m\",\"code\":\"rate_limit_exceeded\"}}", Kind::Overloaded),
        ("event: error\ndata: {\"error\":{\"message\":\"m\",\"status_code\":400}}", Kind::Invalid),
        ("data: {\"object\":\"error\",\"message\":\"m\",\"code\":500}", Kind::Overloaded),
        ("data: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}", Kind::Overloaded),
        ("data: {\"base_resp\":{\"status_code\":1008,\"status_msg\":\"m\"}}", Kind::Refused),
        ("data: {\"error\":{\"code\":502,\"message\":\"m\"},\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}", Kind::Overloaded),
        ("data: {\"choices\":[{\"delta\":{},\"error\":{\"code\":403,\"message\":\"m\"}}]}", Kind::Refused),
        ("data: {\"x_groq\":{\"error\":\"m\"}}", Kind::Overloaded),
        ("error: {\"code\":400,\"message\":\"m\",\"type\":\"invalid_request_error\"}", Kind::Invalid),
        ("error: m", Kind::Overloaded),
        ("data: {\"error\":{\"message\":\"m\",\"code\":\"content_filter\"}}", Kind::Filtered),
        ("data: {\"error\":\"m\"}", Kind::Overloaded),
    ] {
        let body = format!("{start}{event}\n\ndata: [DONE]\n\n");
        assert_eq!(failure(&body), (kind, "m".to_owned()), "{event}");
        let (pieces, answer) = decode(Api::Chat, &[body.as_bytes()]);
        assert_eq!((told(&pieces), answer.reason), (vec!["0 text a".to_owned()], None));
    }
}

#[test]
fn answers_of_nothing_are_failures() {
    for body in [
        "",
        "\n\n",
        ": ping\n\n",
        "data: [DONE]\n\n",
        "data: {\"choices\":[]}\n\ndata: [DONE]\n\n",
    ] {
        assert_eq!(failure(body).0, Kind::Interrupted, "{body:?}");
    }
    assert_eq!(
        failure("<html><title>Log in</title></html>").0,
        Kind::Network
    );
    assert_eq!(failure("upstream connect error").0, Kind::Network);
    let (_, answer) = chat(&[json!({"content": ""})], "stop");
    assert_eq!((answer.reason, answer.failure), (Some(Reason::End), None));
}

#[test]
fn a_damaged_event_fails_the_answer_but_a_stray_word_does_not() {
    let text = of_deltas(&[json!({"content": "x"})], "stop");
    assert_eq!(
        decode(Api::Chat, &[b"data: ping\n\n", text.as_bytes()])
            .1
            .failure,
        None
    );
    let damaged = "data: {\"choices\":[{\n\n";
    for body in [format!("{damaged}{text}"), damaged.to_owned()] {
        assert_eq!(
            failure(&body),
            (
                Kind::Interrupted,
                "a part of the answer arrived damaged: it is not JSON".to_owned()
            )
        );
    }
    let cut = "the stream ended before the answer was complete";
    assert_eq!(failure(damaged.trim_end()).1, cut);
}

#[test]
fn a_plain_json_answer_is_an_answer() {
    let body = json!({"id": "r", "choices": [{"index": 1, "message": {"content": "no"}}, {"index": 0, "finish_reason": "tool_calls",
        "message": {"content": [{"type": "text", "text": "t"}], "reasoning_content": "r",
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2}});
    // DeepSeek: empty lines before it, to keep the connection alive.
    for text in [body.to_string(), format!("\n\n \n{body}")] {
        let (pieces, answer) = decode(Api::Chat, &[text.as_bytes()]);
        let expected = [
            "0 text t",
            "1 think r",
            "1 sign reasoning_content",
            "2 call \"a\" \"f\"",
            "2 args {}",
        ];
        assert_eq!(told(&pieces), expected);
        assert_eq!(
            (answer.reason, answer.usage.map(|it| it.total)),
            (Some(Reason::Tools), Some(3))
        );
        assert_eq!(failure(&text[..text.len() - 3]).0, Kind::Interrupted);
    }
}
