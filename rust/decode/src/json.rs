//! Reading JSON that means well.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Deserializer, Map, Value};

/// Parses one JSON value, with half surrogate pairs (`"\ud83d"`, which models and gateways that cut
/// text by UTF-16 units do send) read as U+FFFD instead of failing.
pub(crate) fn parse(text: &str) -> Option<Value> {
    match quick(text) {
        Ok(value) => Some(value),
        Err(_) if text.contains("\\u") => quick(&mend_surrogates(text)).ok(),
        Err(_) => None,
    }
}

/// What every chunk of a chat completion repeats, and no decoder reads: half of the work of
/// parsing a chunk that carries one word.
const CHUNK: &str = "chat.completion.chunk";
const REPEATED: [&str; 4] = ["created", "model", "service_tier", "system_fingerprint"];

fn quick(text: &str) -> serde_json::Result<Value> {
    if !text.starts_with('{') {
        return serde_json::from_str(text);
    }
    let mut reader = Deserializer::from_str(text);
    let fields = reader.deserialize_map(Fields)?;
    reader.end().map(|()| Value::Object(fields))
}

/// An object, without what a chunk repeats.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Map<String, Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut fields = Map::with_capacity(8);
        let mut is_chunk = false;
        while let Some(key) = access.next_key::<Cow<'de, str>>()? {
            if is_chunk && REPEATED.contains(&key.as_ref()) {
                access.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: Value = access.next_value()?;
            is_chunk |= key == "object" && value == CHUNK;
            fields.insert(key.into_owned(), value);
        }
        Ok(fields)
    }
}

fn mend_surrogates(text: &str) -> String {
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        mended.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match unit(rest) {
            Some(0xD800..=0xDBFF) if matches!(unit(&rest[6..]), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => {
                mended.push_str("\\ufffd");
                rest = &rest[6..];
                continue;
            }
            Some(_) => 6,
            None => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
        };
        mended.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    mended.push_str(rest);
    mended
}

/// The UTF-16 unit that *text* escapes at its start.
fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok()
}

/// The string under *key*, or "".
pub(crate) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// A larger count is nonsense, and sums of counts must not overflow: 2^53.
const COUNT_MAX: f64 = 9_007_199_254_740_992.0;

/// The number under *key* as a count: floats are rounded, everything else is None.
pub(crate) fn count(value: &Value, key: &str) -> Option<u64> {
    let number = value.get(key)?.as_f64()?;
    (0.0..=COUNT_MAX)
        .contains(&number)
        .then(|| number.round() as u64)
}

/// The integer under *key*, also when it came as a float or as digits.
pub(crate) fn integer(value: &Value, key: &str) -> Option<i64> {
    match value.get(key)? {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|float| float as i64)),
        Value::String(digits) => digits.trim().parse().ok(),
        _ => None,
    }
}

/// Whether there is something in it: not null, false, "", {} or [].
pub(crate) fn is_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        let read = |text| parse(text).and_then(|value| value.as_str().map(str::to_owned));
        assert_eq!(read(r#""a\ud83d""#).as_deref(), Some("a\u{fffd}"));
        assert_eq!(
            read(r#""\ude00 \ud83d\ude00""#).as_deref(),
            Some("\u{fffd} 😀")
        );
        assert_eq!(
            read(r#""\\ud83d \ud83d\n""#).as_deref(),
            Some("\\ud83d \u{fffd}\n")
        );
    }

    #[test]
    fn what_every_chunk_repeats_is_left_out_of_chunks_only() {
        let chunk = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m",
            "choices":[{"model":"kept"}],"usage":null,"id":"d"}"#;
        let read = parse(chunk).expect("is JSON").to_string();
        assert_eq!(
            read,
            r#"{"id":"d","object":"chat.completion.chunk","choices":[{"model":"kept"}],"usage":null}"#
        );
        let other = r#"{"created":1,"object":"error","model":"m"}"#;
        assert_eq!(parse(other).expect("is JSON").to_string(), other);
    }

    #[test]
    fn broken_json_stays_broken() {
        for text in [
            "",
            "{",
            r#"{"a":"\u12"}x"#,
            "\\",
            r#""\ud8"#,
            r#"{"a":1} x"#,
            r#"{"object":"chat.completion.chunk","model":}"#,
            "\"\\ud83d\\é\"",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
