//! What an error means: of an HTTP answer, or inside an answer with status 200.
//!
//! Providers agree on nothing but the status, and inside a stream there is none. So: the words of
//! the error first (type, code, status), then a status, which may also stand in the error.

use crate::answer::{Failure, Kind};
use crate::delay::retry_after_s;
use crate::json::{integer, is_something, parse, text, Node};
use crate::overflow::is_overflow;
use crate::wording::message;

/// What to make of an HTTP error.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpError {
    /// The kind, and what the provider said.
    pub failure: Failure,
    /// Seconds that the provider asked to wait.
    pub retry_after_s: Option<f64>,
    /// Whether the same request may succeed if it is sent again.
    pub retryable: bool,
}

/// Says what an HTTP answer with an error *status* means. *headers*: names in any case.
///
/// May be sent again: 408, 409, 429 and 5xx, unless the header `x-should-retry` (OpenAI,
/// Anthropic) says otherwise, or no money or no context is left.
pub fn classify(status: u16, headers: &[(String, String)], body: &[u8]) -> HttpError {
    let body = String::from_utf8_lossy(body);
    let body = body.trim();
    let parsed = parse(body).filter(is_something);
    let parsed = parsed.unwrap_or_else(|| Node::String(body.into()));
    // Gemini without `alt=sse`: the error is in a list.
    let parsed = match &parsed {
        Node::Array(items) if items.len() == 1 => &items[0],
        other => other,
    };
    let mut failure = told(Some(status), parsed);
    if body.is_empty() {
        failure.message = format!("HTTP {status} with an empty body");
        // Cerebras, when the context is too long.
        if matches!(status, 400 | 413) {
            failure.kind = Kind::Overflow;
        }
    }
    let inner = inner(parsed);
    let said = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("x-should-retry"))
        .map(|(_, value)| value.trim());
    let by_status = matches!(status, 408 | 409 | 429 | 500..);
    let final_ = failure.kind == Kind::Overflow || has_no_money(&words(inner));
    HttpError {
        retryable: !final_
            && match said {
                Some("true") => true,
                Some("false") => false,
                _ => by_status,
            },
        retry_after_s: retry_after_s(headers, inner),
        failure,
    }
}

/// The failure that *payload* tells inside an answer, if it does.
///
/// *name* is the event's. *is_known*: the payload looks like part of an answer, so that stray
/// fields do not make it an error.
pub(crate) fn in_band(name: &str, payload: &Node, is_known: bool) -> Option<Failure> {
    let has = |holder: &&Node, key: &str| holder.get(key).is_some_and(is_something);
    let code = |base: &&Node| integer(base, "status_code").is_some_and(|code| code != 0);
    let holder = Some(payload)
        .filter(|it| has(it, "error"))
        .or_else(|| payload.get("x_groq").filter(|it| has(it, "error")))
        .or_else(|| payload.get("base_resp").filter(code))
        .or_else(|| {
            let says = text(payload, "object") == "error" || text(payload, "type") == "error";
            let bare = !is_known && (has(&payload, "detail") || has(&payload, "status_msg"));
            (says || bare || name == "error").then_some(payload)
        })?;
    Some(told(None, holder))
}

/// The failure that *error* describes: a body, the `error` in it, or text that is not JSON.
pub(crate) fn told(status: Option<u16>, error: &Node) -> Failure {
    let inner = inner(error);
    let said = message(error);
    let mut words = words(inner);
    if !std::ptr::eq(inner, error) {
        words.extend(self::words(error));
    }
    let kind = if is_overflow(&words, &said) {
        Kind::Overflow
    } else {
        kind(status, inner, &words, &said)
    };
    Failure {
        kind,
        message: said,
    }
}

fn inner<'v>(error: &'v Node<'v>) -> &'v Node<'v> {
    match error.get("error") {
        Some(inner) if inner.is_object() => inner,
        _ => error
            .get("base_resp")
            .filter(|it| it.is_object())
            .unwrap_or(error),
    }
}

/// The words by which an error says what it is.
fn words<'v>(error: &'v Node) -> Vec<&'v str> {
    let own = ["type", "code", "status"].map(|key| text(error, key));
    let details = error.get("details");
    let listed = details.and_then(Node::as_array);
    let reasons = listed.into_iter().flatten().map(|it| text(it, "reason"));
    let spend = details.map(|it| text(it, "error_code"));
    own.into_iter()
        .chain(reasons)
        .chain(spend)
        .filter(|word| !word.is_empty())
        .collect()
}

/// OpenAI; Anthropic (Microsoft Learn, dev proxy: 429 when a spending limit is reached).
fn has_no_money(words: &[&str]) -> bool {
    [
        "insufficient_quota",
        "enforced_spend_limit_reached",
        "billing_hard_limit_reached",
    ]
    .iter()
    .any(|word| words.contains(word))
}

fn kind(status: Option<u16>, error: &Node, words: &[&str], said: &str) -> Kind {
    if has_no_money(words) {
        return Kind::Refused;
    }
    if let Some(kind) = words.iter().find_map(|word| kind_of_word(word)) {
        return kind;
    }
    let lower = said.to_lowercase();
    // xAI and Gemini answer 400 to a wrong key.
    if [
        "incorrect api key",
        "invalid api key",
        "api key not valid",
        "no cookie auth",
    ]
    .iter()
    .any(|it| lower.contains(it))
    {
        return Kind::Refused;
    }
    if let Some(kind) = integer(error, "status_code").and_then(kind_of_minimax) {
        return kind;
    }
    // The status of the answer itself comes first: 429 with `code: 400` is a rate limit.
    let inside = ["code", "status_code", "raw_status_code", "status"]
        .iter()
        .find_map(|key| integer(error, key));
    let answered = status.map(i64::from);
    if let Some(kind) = answered.or(inside).and_then(kind_of_status) {
        return kind;
    }
    if let Some(kind) = words.iter().find_map(|word| kind_of_vague_word(word)) {
        return kind;
    }
    match answered {
        // A redirect, or another protocol: a provider of models answers neither.
        Some(100..=399) => Kind::Network,
        // A provider that fails in the middle of an answer and does not say why.
        _ => Kind::Overloaded,
    }
}

/// Words that say more than a status does.
fn kind_of_word(word: &str) -> Option<Kind> {
    Some(match word.to_ascii_lowercase().as_str() {
        "content_filter" | "content_policy_violation" | "responsibleaipolicyviolation" => {
            Kind::Filtered
        }
        "authentication_error"
        | "permission_error"
        | "billing_error"
        | "invalid_api_key"
        | "api_key_invalid"
        | "permission_denied"
        | "unauthenticated" => Kind::Refused,
        "rate_limit_error"
        | "rate_limit_exceeded"
        | "overloaded_error"
        | "overloaded"
        | "resource_exhausted"
        | "unavailable"
        | "insufficient_system_resource" => Kind::Overloaded,
        "timeout_error" | "timeout" | "deadline_exceeded" => Kind::Timeout,
        "not_found_error" | "model_not_found" | "tool_use_failed" => Kind::Invalid,
        _ => return None,
    })
}

/// Words that a provider also uses for what its status says better.
fn kind_of_vague_word(word: &str) -> Option<Kind> {
    let word = word.to_ascii_lowercase();
    let has = |part: &str| word.contains(part);
    Some(match () {
        () if has("rate_limit") || has("overload") => Kind::Overloaded,
        () if has("timeout") => Kind::Timeout,
        () if has("auth") || has("permission") || has("billing") => Kind::Refused,
        () if has("server") || has("internal") || word == "api_error" => Kind::Overloaded,
        () if has("invalid") || has("not_found") || has("bad request") => Kind::Invalid,
        () => return None,
    })
}

fn kind_of_status(status: i64) -> Option<Kind> {
    Some(match status {
        401..=403 => Kind::Refused,
        408 | 504 => Kind::Timeout,
        409 | 429 => Kind::Overloaded,
        413 => Kind::Overflow,
        400..=499 => Kind::Invalid,
        500..=599 => Kind::Overloaded,
        _ => return None,
    })
}

/// MiniMax's own numbers (platform.minimax.io, error codes).
fn kind_of_minimax(code: i64) -> Option<Kind> {
    Some(match code {
        1000 | 1002 | 1013 => Kind::Overloaded,
        1001 => Kind::Timeout,
        1004 | 1008 | 2049 => Kind::Refused,
        1026 | 1027 => Kind::Filtered,
        1039 => Kind::Overflow,
        1000..=2999 => Kind::Invalid,
        _ => return None,
    })
}
