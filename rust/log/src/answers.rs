//! A whole answer of a model, read back: the blocks that its pieces make. The same as
//! `events/drafts.py` makes of them, as JSON to JSON: no text is unescaped, or looked at twice.

use memchr::memmem;

use crate::json::{fields, string_end, take_u64, value_end};

/// A block while its pieces are gone through; all but *number* as it stands in the JSON.
struct Draft<'a> {
    number: u64,
    op: &'a [u8],
    text: Vec<u8>,
    /// The others by their names.
    named: Vec<(&'static str, &'a [u8])>,
}

/// The JSON array of the blocks that *pieces* make, which is what is in the array of all of an
/// answer, without its brackets.
///
/// `None` if a piece is not as we write it: whoever reads it as a piece finds out what it is.
pub fn blocks(pieces: &[u8]) -> Option<Vec<u8>> {
    let mut drafts: Vec<Draft<'_>> = Vec::new();
    let mut rest = pieces;
    while !rest.is_empty() {
        if !drafts.is_empty() {
            rest = rest.strip_prefix(b",")?;
        }
        let (number, piece) = take_u64(rest.strip_prefix(b"[")?)?;
        let (op, piece) = take_value(piece.strip_prefix(b",")?)?;
        let (data, times) = take_value(piece)?;
        rest = behind_times(times)?.strip_prefix(b"]")?;
        let op = inside(op)?;
        let found = drafts.iter().position(|draft| draft.number == number);
        let at = found.unwrap_or_else(|| {
            drafts.push(Draft {
                number,
                op: match op {
                    b"args" => b"call",
                    b"sign" => b"think",
                    op => op,
                },
                text: Vec::new(),
                named: Vec::new(),
            });
            drafts.len() - 1
        });
        drafts[at].take(op, data)?;
    }
    drafts.sort_by_key(|draft| draft.number);
    let mut out = vec![b'['];
    for draft in &drafts {
        draft.push(&mut out);
    }
    out.push(b']');
    Some(out)
}

impl<'a> Draft<'a> {
    fn take(&mut self, op: &[u8], data: &'a [u8]) -> Option<()> {
        match op {
            b"call" => {
                for (name, value) in fields(data)? {
                    let name = match name {
                        b"id" => "id",
                        b"name" => "name",
                        _ => return None,
                    };
                    if !inside(value)?.is_empty() {
                        self.set(name, value)?;
                    }
                }
            }
            b"sign" => self.set("sign", inside(data).map(|_| data)?)?,
            b"keep" => self.set("keep", data)?,
            _ => {
                let text = inside(data)?;
                (!has_half(text)).then(|| self.text.extend_from_slice(text))?;
            }
        }
        Some(())
    }

    /// What is said twice is to be the same: what is left out here nobody would read.
    fn set(&mut self, name: &'static str, value: &'a [u8]) -> Option<()> {
        match self.named.iter().find(|(other, _)| *other == name) {
            Some((_, before)) => (*before == value).then_some(()),
            None => {
                self.named.push((name, value));
                Some(())
            }
        }
    }

    fn push(&self, out: &mut Vec<u8>) {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"op\":\"");
        out.extend_from_slice(self.op);
        out.extend_from_slice(b"\",\"text\":\"");
        out.extend_from_slice(&self.text);
        out.push(b'"');
        for (name, value) in &self.named {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value);
        }
        out.push(b'}');
    }
}

/// What is between the quotes of a string.
fn inside(value: &[u8]) -> Option<&[u8]> {
    let is_string = value.first() == Some(&b'"') && string_end(value, 0) == Some(value.len());
    is_string.then(|| &value[1..value.len() - 1])
}

/// Whether half a surrogate pair may be in *text*: it is refused alone, but not beside the other.
fn has_half(text: &[u8]) -> bool {
    let has = |escape| memmem::find(text, escape).is_some();
    memchr::memchr(b'\\', text).is_some() && (has(b"\\ud") || has(b"\\uD"))
}

/// The value that *bytes* start with, and what follows its comma.
fn take_value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (value, rest) = bytes.split_at(value_end(bytes, 0)?);
    Some((value, rest.strip_prefix(b",")?))
}

/// What follows how long a piece took, or how long each part of it took and how long each is.
fn behind_times(bytes: &[u8]) -> Option<&[u8]> {
    match bytes.first()? {
        b'[' => behind_numbers(behind_numbers(bytes)?.strip_prefix(b",")?),
        _ => take_u64(bytes).map(|(_, rest)| rest),
    }
}

fn behind_numbers(bytes: &[u8]) -> Option<&[u8]> {
    let mut list = bytes.strip_prefix(b"[")?;
    loop {
        let (_, rest) = take_u64(list)?;
        match rest.split_first()? {
            (b',', rest) => list = rest,
            (b']', rest) => return Some(rest),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(pieces: &[u8]) -> Option<String> {
        blocks(pieces).map(|made| String::from_utf8(made).expect("it is made of text"))
    }

    #[test]
    fn pieces_of_a_block_are_one_text_and_blocks_come_by_their_numbers() {
        let pieces = br#"[1,"text","b",7],[0,"think","a\"",[1,2],[1,1]],[1,"text","],[",0],[0,"sign","s",0]"#;
        assert_eq!(
            made(pieces).as_deref(),
            Some(r#"[{"op":"think","text":"a\"","sign":"s"},{"op":"text","text":"b],["}]"#)
        );
        assert_eq!(made(b"").as_deref(), Some("[]"));
    }

    #[test]
    fn a_call_has_what_is_not_empty_of_all_that_is_said_of_it() {
        let pieces = br#"[0,"args","{\"n\":",1],[0,"call",{"id":"a","name":""},1],[0,"args","1}",1],[0,"call",{"id":"a","name":"f"},1],[2,"keep",{"x":["]"]},1]"#;
        assert_eq!(
            made(pieces).as_deref(),
            Some(
                r#"[{"op":"call","text":"{\"n\":1}","id":"a","name":"f"},{"op":"keep","text":"","keep":{"x":["]"]}}]"#
            )
        );
    }

    #[test]
    fn what_is_not_as_we_write_it_is_left_to_who_reads_pieces() {
        for pieces in [
            r#"[0,"text","a"]"#,
            r#"[0,"text",1,1]"#,
            r#"[0,"text","a",-1]"#,
            r#"[0,"text","a",[1],[]]"#,
            r#"["0","text","a",1]"#,
            r#"[0,"text","\ud83d",1],[0,"text","\ude00",1]"#,
            r#"[0,"call",{"id":1},1]"#,
            r#"[0,"call",{"id":"a","more":1},1]"#,
            r#"[0,"sign","a",1],[0,"sign","b",1]"#,
            r#"[0,"text","a",1],"#,
            r#"{"a":1}"#,
        ] {
            assert_eq!(made(pieces.as_bytes()), None, "{pieces}");
        }
    }
}
