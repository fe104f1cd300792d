//! Server-sent events: bytes to events (WHATWG HTML, section 9.2.6), with two deviations.
//!
//! An event whose blank line never came is reported at the end instead of dropped, and the
//! non-standard field `error:` (llama.cpp until late 2025) is an event named `error`. `id:` and
//! `retry:` mean nothing here. Lines end at CRLF, LF or CR and nowhere else: U+2028, U+0085 and
//! other "line breaks" are legal unescaped inside JSON strings, and models write them.

use std::borrow::Cow;
use std::str;

/// An event: its name ("" if it has none) and its `data` lines, joined with LF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The `event` field.
    pub name: String,
    /// The `data` fields.
    pub data: String,
}

/// An event or a line is longer than the framer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// The limit that it broke.
    pub event_bytes_max: usize,
}

/// Cuts bytes into events. Comments and blank lines are swallowed.
#[derive(Debug)]
pub struct Framer {
    event_bytes_max: usize,
    line: Vec<u8>,
    after_cr: bool,
    at_start: bool,
    name: String,
    data: String,
    has_data: bool,
    is_stream: bool,
}

const FIELDS: [&[u8]; 5] = [b"data", b"event", b"id", b"retry", b"error"];

const BOM: &[u8] = b"\xEF\xBB\xBF";

impl Framer {
    /// A framer that takes events of at most *event_bytes_max* bytes.
    pub fn new(event_bytes_max: usize) -> Self {
        Framer {
            event_bytes_max,
            line: Vec::new(),
            after_cr: false,
            at_start: true,
            name: String::new(),
            data: String::new(),
            has_data: false,
            is_stream: false,
        }
    }

    /// Whether anything so far was a field or a comment, not just any text.
    pub fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// Adds to *events* those that *bytes* completes.
    ///
    /// # Errors
    ///
    /// [`TooLarge`]: the framer must not be fed again.
    pub fn feed(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), TooLarge> {
        while !bytes.is_empty() {
            // A CR ended the line at once, wherever the chunk was cut; its LF is still to come.
            if self.after_cr && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                self.after_cr = false;
                continue;
            }
            self.after_cr = false;
            let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else {
                self.line.extend_from_slice(bytes);
                return self.check(0);
            };
            self.after_cr = bytes[end] == b'\r';
            // Counted before the line is taken: one that comes whole is as long as one in parts.
            self.check(end)?;
            if self.line.is_empty() {
                self.take_line(&bytes[..end], events);
            } else {
                self.line.extend_from_slice(&bytes[..end]);
                let line = std::mem::take(&mut self.line);
                self.take_line(&line, events);
                self.line = line;
                self.line.clear();
            }
            bytes = &bytes[end + 1..];
            self.check(0)?;
        }
        Ok(())
    }

    /// The event that still waits for its line end or blank line, if there is one.
    pub fn finish(&mut self) -> Option<Event> {
        let mut events = Vec::new();
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.take_line(&line, &mut events);
        }
        self.dispatch(&mut events);
        events.pop()
    }

    fn check(&self, more: usize) -> Result<(), TooLarge> {
        if self.line.len() + more + self.data.len() > self.event_bytes_max {
            return Err(TooLarge {
                event_bytes_max: self.event_bytes_max,
            });
        }
        Ok(())
    }

    fn take_line(&mut self, mut line: &[u8], events: &mut Vec<Event>) {
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(BOM).unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch(events);
            return;
        }
        let colon = memchr::memchr(b':', line);
        let (field, value) = match colon {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        // A field's name may be cut off.
        self.is_stream |= FIELDS.iter().any(|known| known.starts_with(field));
        match field {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(&text(value));
            }
            b"event" => self.name = text(value).into_owned(),
            b"error" => events.push(Event {
                name: "error".to_owned(),
                data: text(value).into_owned(),
            }),
            _ => {}
        }
    }

    fn dispatch(&mut self, events: &mut Vec<Event>) {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        if std::mem::take(&mut self.has_data) {
            events.push(Event { name, data });
        }
    }
}

/// As `from_utf8_lossy`, which looks at each byte even if all is well.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut framer = Framer::new(1 << 20);
        let mut events = Vec::new();
        for chunk in chunks {
            framer.feed(chunk, &mut events).expect("small");
        }
        events.extend(framer.finish());
        events.into_iter().map(|e| (e.name, e.data)).collect()
    }

    fn pairs(events: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = |text: &str| text.to_owned();
        events.iter().map(|(n, d)| (own(n), own(d))).collect()
    }

    #[test]
    fn lines_end_at_any_of_three_and_nowhere_else() {
        let text = "data: a\u{2028}b\u{85}c\u{b}\n\ndata:x\r\n\r\ndata:  y\r\rdata\n\n";
        let expected = [
            ("", "a\u{2028}b\u{85}c\u{b}"),
            ("", "x"),
            ("", " y"),
            ("", ""),
        ];
        assert_eq!(frame(&[text.as_bytes()]), pairs(&expected));
    }

    #[test]
    fn comments_names_and_several_data_lines() {
        let text = ": hi\n\n\nevent: a\n: c\ndata: 1\ndata: 2\nid: 7\nretry: 1\n\nevent: lost\n\ndata: 3\n\n";
        assert_eq!(
            frame(&[text.as_bytes()]),
            pairs(&[("a", "1\n2"), ("", "3")])
        );
    }

    #[test]
    fn an_error_field_is_an_error_event() {
        let text = "error: {\"code\":500}\n\ndata: [DONE]\n\n";
        let expected = [("error", "{\"code\":500}"), ("", "[DONE]")];
        assert_eq!(frame(&[text.as_bytes()]), pairs(&expected));
    }

    #[test]
    fn the_last_event_needs_neither_blank_line_nor_line_end() {
        assert_eq!(
            frame(&[b"data: 1\n\ndata: 2"]),
            pairs(&[("", "1"), ("", "2")])
        );
        assert_eq!(frame(&[b"data: 1\r"]), pairs(&[("", "1")]));
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut framer = Framer::new(64);
        let mut events = Vec::new();
        let outcome = framer.feed(&[b'x'; 65], &mut events);
        assert_eq!(
            outcome,
            Err(TooLarge {
                event_bytes_max: 64
            })
        );
        let mut framer = Framer::new(64);
        let comment = [&[b':'; 65][..], b"\n"].concat();
        assert!(framer.feed(&comment, &mut events).is_err());
        let mut framer = Framer::new(64);
        let many = b"data: 0123456789\n".repeat(8);
        assert!(framer.feed(&many, &mut events).is_err());
    }

    fn any_stream() -> impl Strategy<Value = Vec<u8>> {
        let words = prop::sample::select(vec![
            "data: ", "data:", "event: e", "error: x", ": c", "\n", "\r", "\r\n", "é😀", "{}", " ",
            "\u{feff}", "\u{2028}",
        ]);
        prop::collection::vec(words, 0..40).prop_map(|words| words.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn cuts_make_no_difference(stream in any_stream(), cuts in prop::collection::vec(0usize..200, 0..8)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(frame(&chunks), frame(&[&stream]));
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(frame(&bytes), frame(&[&stream]));
        }
    }
}
