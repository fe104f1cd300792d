//! JSON that is not complete yet, for previews of a tool call's arguments.

use serde_json::Value;

use crate::json;

/// Deeper nesting than this is not previewed, as it would not be parsed when complete.
const DEPTH_MAX: usize = 128;

/// Returns what *text* says so far, if it is the beginning of a JSON value; else None.
///
/// An unfinished string ends where the text ends. An unfinished number, literal, escape or key is
/// left out, because it may still become another one. Time is linear in the text.
pub fn parse(text: &str) -> Option<Value> {
    if let Some(value) = json::parse(text) {
        return Some(value);
    }
    let cut = cut(text)?;
    let mut whole = String::with_capacity(cut.end + cut.closers.len() + 1);
    whole.push_str(&text[..cut.end]);
    if cut.in_string {
        whole.push('"');
    }
    whole.extend(cut.closers.iter().rev());
    json::parse(&whole)
}

/// Where the text can be cut so that closing what is open makes it valid.
struct Cut {
    end: usize,
    in_string: bool,
    closers: Vec<char>,
}

/// What may come next, as far as the cut depends on it.
#[derive(Clone, Copy, PartialEq)]
enum Expect {
    Key,
    Colon,
    Value,
    Comma,
}

struct Scan<'t> {
    bytes: &'t [u8],
    at: usize,
    closers: Vec<char>,
    /// The last cut that is certain: its end, and how many containers are open there.
    safe: Option<(usize, usize)>,
}

fn cut(text: &str) -> Option<Cut> {
    let mut scan = Scan {
        bytes: text.as_bytes(),
        at: 0,
        closers: Vec::new(),
        safe: None,
    };
    let mut expect = Expect::Value;
    while let Some(&byte) = scan.bytes.get(scan.at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => scan.at += 1,
            b'"' => {
                let is_key = expect == Expect::Key;
                match scan.string()? {
                    Some(_) if is_key => expect = Expect::Colon,
                    Some(end) => {
                        scan.safe = Some((end, scan.closers.len()));
                        expect = Expect::Comma;
                    }
                    None if is_key => break,
                    None => {
                        return Some(Cut {
                            end: whole_part(scan.bytes, scan.at),
                            in_string: true,
                            closers: scan.closers,
                        });
                    }
                }
            }
            b'{' | b'[' if expect == Expect::Value && scan.closers.len() < DEPTH_MAX => {
                scan.closers.push(if byte == b'{' { '}' } else { ']' });
                scan.at += 1;
                scan.safe = Some((scan.at, scan.closers.len()));
                expect = if byte == b'{' {
                    Expect::Key
                } else {
                    Expect::Value
                };
            }
            b'}' | b']' => {
                if scan.closers.pop() != Some(char::from(byte)) {
                    return None;
                }
                scan.at += 1;
                scan.safe = Some((scan.at, scan.closers.len()));
                expect = Expect::Comma;
            }
            b':' if expect == Expect::Colon => {
                scan.at += 1;
                expect = Expect::Value;
            }
            b',' if expect == Expect::Comma && !scan.closers.is_empty() => {
                scan.at += 1;
                expect = match scan.closers.last() {
                    Some('}') => Expect::Key,
                    _ => Expect::Value,
                };
            }
            _ if expect == Expect::Value && !b",:".contains(&byte) => {
                // A number or literal counts when something after it says that it is over.
                match scan.word() {
                    Some(end) => scan.safe = Some((end, scan.closers.len())),
                    None => break,
                }
                expect = Expect::Comma;
            }
            _ => return None,
        }
    }
    let (end, depth) = scan.safe?;
    // What was closed after the last certain cut does not exist: `safe` moves with every closer.
    scan.closers.truncate(depth);
    Some(Cut {
        end,
        in_string: false,
        closers: scan.closers,
    })
}

impl Scan<'_> {
    /// Steps over a string: Some(its end), or None if it is cut off (`at` stays). The outer None:
    /// it has a raw line break in it, which no cut makes valid.
    fn string(&mut self) -> Option<Option<usize>> {
        let mut at = self.at + 1;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'"' => {
                    self.at = at + 1;
                    return Some(Some(self.at));
                }
                b'\\' => at += 2,
                0..=31 => return None,
                _ => at += 1,
            }
        }
        Some(None)
    }

    /// Steps over a number or a literal; None if the text ends with it.
    fn word(&mut self) -> Option<usize> {
        let rest = &self.bytes[self.at..];
        let is_over = |byte: &u8| b" \t\n\r,]}:\"[{".contains(byte);
        let length = rest.iter().position(is_over)?;
        self.at += length;
        Some(self.at)
    }
}

/// The end of the text without an escape that is cut off, or half a surrogate pair.
fn whole_part(bytes: &[u8], string: usize) -> usize {
    let mut at = string + 1;
    while at < bytes.len() {
        let length = match (bytes[at], bytes.get(at + 1)) {
            (b'\\', Some(b'u')) => {
                let high = matches!(bytes.get(at + 2), Some(b'd' | b'D'))
                    && matches!(
                        bytes.get(at + 3),
                        Some(b'8' | b'9' | b'a' | b'b' | b'A' | b'B')
                    );
                if high && bytes.get(at + 6).is_none_or(|byte| *byte == b'\\') {
                    12
                } else {
                    6
                }
            }
            (b'\\', _) => 2,
            _ => 1,
        };
        if at + length > bytes.len() {
            return at;
        }
        at += length;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_is_not_certain_is_left_out() {
        let cases = [
            (r#"{"a": "b"#, json!({"a": "b"})),
            (r#"{"a": "b\"#, json!({"a": "b"})),
            (r#"{"a": "b\u12"#, json!({"a": "b"})),
            (r#"{"a": "x\ud83d\ude0"#, json!({"a": "x"})),
            (r#"{"a": 1, "b"#, json!({"a": 1})),
            (r#"{"a": 1, "b":"#, json!({"a": 1})),
            (r#"{"a": 12"#, json!({})),
            (r#"{"a": tru"#, json!({})),
            (r#"[1, [2, {"#, json!([1, [2, {}]])),
            (r#"[[], "#, json!([[]])),
            (r#"{"a": {"b": [1, 2"#, json!({"a": {"b": [1]}})),
            ("{", json!({})),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_nothing() {
        for text in [
            "",
            " ",
            "1x",
            "}",
            "{]",
            "{1",
            "nul",
            "\"a\n",
            "{\"a\" 1",
            "[,",
            "{\"a\":1}}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            (-1e9..1e9f64).prop_map(Value::from),
            "[a\"\\\\é😀\n ]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[ab\"é]{0,3}", inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// Whether *part* can grow into *whole*.
    fn grows(part: &Value, whole: &Value) -> bool {
        match (part, whole) {
            (Value::String(part), Value::String(whole)) => whole.starts_with(part.as_str()),
            (Value::Array(part), Value::Array(whole)) => {
                part.len() <= whole.len() && part.iter().zip(whole).all(|(p, w)| grows(p, w))
            }
            (Value::Object(part), Value::Object(whole)) => part
                .iter()
                .zip(whole)
                .all(|((pk, p), (wk, w))| pk == wk && grows(p, w)),
            _ => part == whole,
        }
    }

    proptest! {
        #[test]
        fn every_beginning_is_a_part_of_the_whole(fields in prop::collection::vec(any_value(), 0..4), escape: bool) {
            let whole = json!({"k": fields});
            let mut text = serde_json::to_string_pretty(&whole).expect("serializable");
            if escape {
                text = text.replace('😀', "\\ud83d\\ude00").replace('é', "\\u00e9");
            }
            for end in (1..=text.len()).filter(|end| text.is_char_boundary(*end)) {
                let part = parse(&text[..end]);
                prop_assert!(part.as_ref().is_some_and(|part| grows(part, &whole)), "{:?} {:?}", &text[..end], part);
            }
        }
    }
}
