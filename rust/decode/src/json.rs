//! Reading JSON that means well.

use std::borrow::Cow;
use std::fmt;
use std::ops::Index;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// A JSON value that is looked at once: it borrows its strings where it can, and finds a field by
/// going through all, which for the few fields of a chunk is a tenth of the work of a map.
#[derive(Debug, PartialEq)]
pub(crate) enum Node<'t> {
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'t, str>),
    Array(Vec<Node<'t>>),
    /// In order. Of fields with the same name the last counts.
    Object(Vec<(Cow<'t, str>, Node<'t>)>),
}

impl<'t> Node<'t> {
    pub fn get(&self, key: &str) -> Option<&Node<'t>> {
        let found = self.as_object()?.iter().rfind(|(name, _)| name == key)?;
        Some(&found.1)
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Node::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Node::Number(number) => number.as_f64(),
            _ => None,
        }
    }

    pub fn as_array(&self) -> Option<&[Node<'t>]> {
        match self {
            Node::Array(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_object(&self) -> Option<&[(Cow<'t, str>, Node<'t>)]> {
        match self {
            Node::Object(fields) => Some(fields),
            _ => None,
        }
    }

    pub fn is_object(&self) -> bool {
        self.as_object().is_some()
    }

    pub fn is_null(&self) -> bool {
        *self == Node::Null
    }
}

/// Null if there is none.
impl<'t> Index<&str> for Node<'t> {
    type Output = Node<'t>;

    fn index(&self, key: &str) -> &Node<'t> {
        self.get(key).unwrap_or(&Node::Null)
    }
}

/// What is kept.
impl From<&Node<'_>> for Value {
    fn from(node: &Node) -> Value {
        match node {
            Node::Null => Value::Null,
            Node::Bool(yes) => Value::Bool(*yes),
            Node::Number(number) => Value::Number(number.clone()),
            Node::String(text) => Value::String(text.to_string()),
            Node::Array(items) => items.iter().map(Value::from).collect(),
            Node::Object(fields) => {
                let own = |(key, value): &(Cow<str>, Node)| (key.to_string(), Value::from(value));
                Value::Object(fields.iter().map(own).collect())
            }
        }
    }
}

impl From<Value> for Node<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Node::Null,
            Value::Bool(yes) => Node::Bool(yes),
            Value::Number(number) => Node::Number(number),
            Value::String(text) => Node::String(Cow::Owned(text)),
            Value::Array(items) => Node::Array(items.into_iter().map(Node::from).collect()),
            Value::Object(fields) => {
                let own = |(key, value)| (Cow::Owned(key), Node::from(value));
                Node::Object(fields.into_iter().map(own).collect())
            }
        }
    }
}

/// As JSON.
impl fmt::Display for Node<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Value::from(self).fmt(formatter)
    }
}

impl<'t> Deserialize<'t> for Node<'t> {
    fn deserialize<D: Deserializer<'t>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(Reader)
    }
}

/// Room for as many fields as most objects of an answer have.
const FIELDS: usize = 8;

struct Reader;

impl<'t> Visitor<'t> for Reader {
    type Value = Node<'t>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node<'t>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Node<'t>, E> {
        Ok(Node::Bool(yes))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node<'t>, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node<'t>, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node<'t>, E> {
        Ok(Number::from_f64(number).map_or(Node::Null, Node::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<Node<'t>, E> {
        Ok(Node::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'t>, E> {
        Ok(Node::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut access: A) -> Result<Node<'t>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::Array(items))
    }

    fn visit_map<A: MapAccess<'t>>(self, mut access: A) -> Result<Node<'t>, A::Error> {
        let mut fields = Vec::with_capacity(FIELDS);
        while let Some(key) = access.next_key()? {
            let Node::String(key) = key else {
                return Err(de::Error::custom("a name that is no string"));
            };
            fields.push((key, access.next_value()?));
        }
        Ok(Node::Object(fields))
    }
}

/// Parses one JSON value, with half surrogate pairs (`"\ud83d"`, which models and gateways that cut
/// text by UTF-16 units do send) read as U+FFFD instead of failing.
pub(crate) fn parse(text: &str) -> Option<Node<'_>> {
    match serde_json::from_str(text) {
        Ok(node) => Some(node),
        Err(_) if text.contains("\\u") => {
            let value: Value = serde_json::from_str(&mend_surrogates(text)).ok()?;
            Some(value.into())
        }
        Err(_) => None,
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
pub(crate) fn text<'v>(value: &'v Node, key: &str) -> &'v str {
    value.get(key).and_then(Node::as_str).unwrap_or("")
}

/// A larger count is nonsense, and sums of counts must not overflow: 2^53.
const COUNT_MAX: f64 = 9_007_199_254_740_992.0;

/// The number under *key* as a count: floats are rounded, everything else is None.
pub(crate) fn count(value: &Node, key: &str) -> Option<u64> {
    let number = value.get(key)?.as_f64()?;
    (0.0..=COUNT_MAX)
        .contains(&number)
        .then(|| number.round() as u64)
}

/// The integer under *key*, also when it came as a float or as digits.
pub(crate) fn integer(value: &Node, key: &str) -> Option<i64> {
    match value.get(key)? {
        Node::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|float| float as i64)),
        Node::String(digits) => digits.trim().parse().ok(),
        _ => None,
    }
}

/// Whether there is something in it: not null, false, "", {} or [].
pub(crate) fn is_something(value: &Node) -> bool {
    match value {
        Node::Null | Node::Bool(false) => false,
        Node::String(text) => !text.is_empty(),
        Node::Array(items) => !items.is_empty(),
        Node::Object(fields) => !fields.is_empty(),
        Node::Bool(true) | Node::Number(_) => true,
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
    fn of_fields_with_the_same_name_the_last_counts_in_the_place_of_the_first() {
        let read = parse(r#"{"a":1,"b":[null,true,-2,0.5,"x\n"],"a":{"c":"d"}}"#).expect("is JSON");
        assert_eq!(read["a"]["c"].as_str(), Some("d"));
        assert_eq!(read["a"]["none"]["at all"], Node::Null);
        let told = r#"{"a":{"c":"d"},"b":[null,true,-2,0.5,"x\n"]}"#;
        assert_eq!(read.to_string(), told);
        assert_eq!(Node::from(Value::from(&read)).to_string(), told);
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
