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
    if let Some(whole) = json::parse(text) {
        return Some(Value::from(&whole));
    }
    let cut = cut(text)?;
    let mut whole = String::with_capacity(cut.end + cut.closers.len() + 1);
    whole.push_str(&text[..cut.end]);
    if cut.in_string {
        whole.push('"');
    }
    whole.extend(cut.closers.iter().rev());
    json::parse(&whole).as_ref().map(Value::from)
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

/// How far a step came.
enum Step {
    On,
    /// The text ends inside something that is left out.
    Ends,
    /// The text ends inside a string that is shown.
    EndsInString,
    /// Nothing can make this JSON.
    Broken,
}

struct Scan<'t> {
    bytes: &'t [u8],
    at: usize,
    expect: Expect,
    closers: Vec<char>,
    /// The last cut that is certain: its end, and how many containers are open there.
    safe: Option<(usize, usize)>,
}

fn cut(text: &str) -> Option<Cut> {
    let mut scan = Scan {
        bytes: text.as_bytes(),
        at: 0,
        expect: Expect::Value,
        closers: Vec::new(),
        safe: None,
    };
    while let Some(&byte) = scan.bytes.get(scan.at) {
        match scan.step(byte) {
            Step::On => {}
            Step::Ends => break,
            Step::Broken => return None,
            Step::EndsInString => {
                return Some(Cut {
                    end: whole_part(scan.bytes, scan.at),
                    in_string: true,
                    closers: scan.closers,
                });
            }
        }
    }
    let (end, depth) = scan.safe?;
    // Every bracket moves the certain cut, so what is open there is a part of what is open now.
    scan.closers.truncate(depth);
    Some(Cut {
        end,
        in_string: false,
        closers: scan.closers,
    })
}

impl Scan<'_> {
    fn step(&mut self, byte: u8) -> Step {
        match (byte, self.expect) {
            (b' ' | b'\t' | b'\n' | b'\r', _) => self.at += 1,
            (b'"', _) => return self.string(),
            (b'{' | b'[', Expect::Value) if self.closers.len() < DEPTH_MAX => {
                self.closers.push(if byte == b'{' { '}' } else { ']' });
                self.at += 1;
                self.safe = Some((self.at, self.closers.len()));
                if byte == b'{' {
                    self.expect = Expect::Key;
                }
            }
            (b'}' | b']', _) => {
                if self.closers.pop() != Some(char::from(byte)) {
                    return Step::Broken;
                }
                self.at += 1;
                self.value_ends();
            }
            (b':', Expect::Colon) => {
                self.at += 1;
                self.expect = Expect::Value;
            }
            (b',', Expect::Comma) if !self.closers.is_empty() => {
                self.at += 1;
                self.expect = match self.closers.last() {
                    Some('}') => Expect::Key,
                    _ => Expect::Value,
                };
            }
            (_, Expect::Value) if !b",:{[".contains(&byte) => return self.word(),
            _ => return Step::Broken,
        }
        Step::On
    }

    fn value_ends(&mut self) {
        self.safe = Some((self.at, self.closers.len()));
        self.expect = Expect::Comma;
    }

    fn string(&mut self) -> Step {
        let mut at = self.at + 1;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'"' if self.expect == Expect::Key => {
                    self.at = at + 1;
                    self.expect = Expect::Colon;
                    return Step::On;
                }
                b'"' => {
                    self.at = at + 1;
                    self.value_ends();
                    return Step::On;
                }
                b'\\' => at += 2,
                // A raw line break: no cut makes it valid.
                0..=31 => return Step::Broken,
                _ => at += 1,
            }
        }
        match self.expect {
            Expect::Key => Step::Ends,
            _ => Step::EndsInString,
        }
    }

    /// A number or a literal counts when something after it says that it is over.
    fn word(&mut self) -> Step {
        let rest = &self.bytes[self.at..];
        let is_over = |byte: &u8| b" \t\n\r,]}:\"[{".contains(byte);
        match rest.iter().position(is_over) {
            Some(length) => {
                self.at += length;
                self.value_ends();
                Step::On
            }
            None => Step::Ends,
        }
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
