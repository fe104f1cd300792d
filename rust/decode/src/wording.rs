//! What an error says: found in whatever shape it has, readable, without secrets.

use crate::json::{is_something, parse, text, Node};

/// So much of a message is told.
const MESSAGE_CHARS_MAX: usize = 4_096;

/// What the people at the other end wrote. *error* is a body, or the `error` in it.
pub(crate) fn message(error: &Node) -> String {
    let said = match error {
        Node::String(page) => page_text(page),
        _ => find(error).unwrap_or_else(|| error.to_string()),
    };
    redact(&shorten(said.trim()))
}

fn find(error: &Node) -> Option<String> {
    let own = [
        "message",
        "status_msg",
        "detail",
        "error_description",
        "msg",
    ]
    .into_iter()
    .map(|key| text(error, key).trim())
    .find(|it| !it.is_empty())
    .map(str::to_owned);
    // OpenRouter: `message` is "Provider returned error", the cause is in `metadata.raw`.
    if let Some(raw) = upstream(error) {
        return Some(match own {
            Some(own) if !raw.contains(&own) => format!("{own}: {raw}"),
            _ => raw,
        });
    }
    own.or_else(|| match error.get("error") {
        Some(Node::String(said)) if !said.is_empty() => Some(said.to_string()),
        Some(inner) if inner.is_object() => find(inner),
        _ => None,
    })
    .or_else(|| find(error.get("base_resp").filter(|it| it.is_object())?))
    .or_else(|| faults(error.get("detail")?))
}

fn upstream(error: &Node) -> Option<String> {
    match error.get("metadata")?.get("raw")? {
        Node::String(raw) if !raw.trim().is_empty() => {
            let inner = parse(raw);
            let found = inner.filter(Node::is_object).and_then(|it| find(&it));
            Some(found.unwrap_or_else(|| raw.to_string()))
        }
        raw if raw.is_object() => find(raw),
        _ => None,
    }
}

/// FastAPI's `detail`: a list of `{loc, msg}`.
fn faults(detail: &Node) -> Option<String> {
    let one = |fault: &Node| {
        let steps = fault.get("loc").and_then(Node::as_array);
        let place: Vec<String> = steps
            .into_iter()
            .flatten()
            .map(|step| {
                step.as_str()
                    .map_or_else(|| step.to_string(), str::to_owned)
            })
            .collect();
        match (place.is_empty(), text(fault, "msg")) {
            (_, "") => fault.to_string(),
            (true, said) => said.to_owned(),
            (false, said) => format!("{}: {said}", place.join(".")),
        }
    };
    match detail {
        Node::Array(all) if !all.is_empty() => {
            Some(all.iter().map(one).collect::<Vec<_>>().join("; "))
        }
        other if is_something(other) => Some(other.to_string()),
        _ => None,
    }
}

/// Of an HTML page the title, else the text between the tags.
fn page_text(page: &str) -> String {
    let start = page.trim_start().to_ascii_lowercase();
    if !(start.starts_with("<!doctype") || start.starts_with("<html")) {
        return page.to_owned();
    }
    let lower = page.to_ascii_lowercase();
    if let Some(open) = lower.find("<title") {
        let from = open + lower[open..].find('>').map_or(0, |at| at + 1);
        if let Some(length) = lower[from..].find("</title") {
            return format!("an HTML page: {}", page[from..from + length].trim());
        }
    }
    let mut said = String::new();
    let mut in_tag = false;
    for letter in page.chars() {
        match letter {
            '<' => in_tag = true,
            '>' => {
                in_tag = false;
                said.push(' ');
            }
            _ if !in_tag => said.push(letter),
            _ => {}
        }
    }
    let words: Vec<&str> = said.split_whitespace().collect();
    format!("an HTML page: {}", words.join(" "))
}

fn shorten(said: &str) -> String {
    if said.char_indices().nth(MESSAGE_CHARS_MAX).is_none() {
        return said.to_owned();
    }
    let told: String = said.chars().take(MESSAGE_CHARS_MAX - 1).collect();
    told + "…"
}

/// What keys of known providers begin with.
const PREFIXES: [&str; 12] = [
    "sk-", "sk_", "gsk_", "xai-", "AIza", "hf_", "pplx-", "csk-", "key-", "tgp_", "nvapi-", "eyJ",
];

/// Words after which a key follows: OpenAI quotes short ones in full.
const INTRODUCTIONS: [&str; 3] = ["key provided: ", "api key: ", "bearer "];

/// Replaces what looks like a key by its first letters.
pub(crate) fn redact(said: &str) -> String {
    let is_of_key = |letter: char| letter.is_ascii_alphanumeric() || "-_.*+/=".contains(letter);
    let mut told = String::with_capacity(said.len());
    let mut rest = said;
    while !rest.is_empty() {
        let length = rest.find(|letter| !is_of_key(letter)).unwrap_or(rest.len());
        if length == 0 {
            let first = rest.chars().next().map_or(1, char::len_utf8);
            told.push_str(&rest[..first]);
            rest = &rest[first..];
            continue;
        }
        let word = &rest[..length];
        // A sentence's full stop is not the key's.
        let bare = word.trim_end_matches('.');
        // The introductions are ASCII: only the end of what was told needs a look.
        let tail: String = told.chars().rev().take(16).collect();
        let tail: String = tail.chars().rev().collect::<String>().to_ascii_lowercase();
        // "Bearer authentication failed" gives nothing away.
        let introduced = !bare.chars().all(char::is_alphabetic)
            && INTRODUCTIONS.iter().any(|words| tail.ends_with(words));
        let known = PREFIXES.iter().any(|prefix| bare.starts_with(prefix));
        if bare.len() >= 8 && (introduced || (known && bare.len() >= 16)) {
            told.push_str(&bare[..4]);
            told.push('…');
            told.push_str(&word[bare.len()..]);
        } else {
            told.push_str(word);
        }
        rest = &rest[length..];
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_not_repeated() {
        assert_eq!(
            redact("Incorrect API key provided: invalid-key. You can find yours at https://x/y."),
            "Incorrect API key provided: inva…. You can find yours at https://x/y."
        );
        assert_eq!(redact("no: sk-proj-abcdefghijklmnop!"), "no: sk-p…!");
        assert_eq!(redact("Bearer abcdefgh1234, über"), "Bearer abcd…, über");
        assert_eq!(
            redact("sk-learn is fine, key-value too"),
            "sk-learn is fine, key-value too"
        );
    }

    #[test]
    fn the_cause_is_found_in_every_shape() {
        let cases = [
            (json!({"error": {"message": "m", "code": 1}}), "m"),
            (json!({"code": "invalid-argument", "error": "m"}), "m"),
            (json!({"detail": "m"}), "m"),
            (
                json!({"detail": [{"loc": ["body", 0], "msg": "m"}]}),
                "body.0: m",
            ),
            (
                json!({"base_resp": {"status_code": 1008, "status_msg": "m"}}),
                "m",
            ),
            (
                json!({"error": {"message": "Provider returned error",
                    "metadata": {"raw": "{\"error\":{\"message\":\"m\"}}"}}}),
                "Provider returned error: m",
            ),
            (json!({"odd": 1}), "{\"odd\":1}"),
            (
                json!("<html><head><title>502 Bad</title></head></html>"),
                "an HTML page: 502 Bad",
            ),
            (
                json!("<html><body><p>no</p>way</body></html>"),
                "an HTML page: no way",
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(message(&error.into()), expected);
        }
    }

    #[test]
    fn a_long_message_is_cut() {
        let told = message(&json!("é".repeat(5000)).into());
        assert_eq!(told.chars().count(), MESSAGE_CHARS_MAX);
        assert!(told.ends_with('…'));
    }
}
