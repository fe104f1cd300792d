//! Marks: the first and the last line of a segment. They have no number.

use crate::chain::{parse_hash, Fork, Hash};
use crate::checksum::LogId;
use crate::json::{fields, parse_string, push_string, push_u64, take_u64};
use crate::record::{is_sound, push_tail, SEQ_MAX, TAIL_BYTES};

/// The format that this library writes, and the newest that it reads.
pub const FORMAT: u64 = 1;

/// The first line of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Version of the format.
    pub format: u64,
    /// The log that the segment belongs to.
    pub log: LogId,
    /// Ordinal of the segment.
    pub seg: u64,
    /// The opening that wrote it.
    pub epoch: u64,
    /// Every record before this one is durable.
    pub first: u64,
    /// `first..tail` are copies; whatever older segments hold after `tail` is void.
    pub tail: u64,
    /// Integrity level: `crc`, `chain` or `signed`.
    pub level: String,
    /// Chain hash of record `first - 1`, 64 hexadecimal digits, at the levels that have one.
    pub prev: Option<String>,
    /// Raw JSON of `fork`, where the log is one.
    pub fork: Option<String>,
    /// Raw JSON of `pruned`, where records were removed on purpose.
    pub pruned: Option<String>,
    /// Raw JSON of `redacted`, where texts were masked and the chain made anew.
    pub redacted: Option<String>,
    /// Raw JSON of `need`: what a reader must know.
    pub need: Option<String>,
    /// A label for people.
    pub name: Option<String>,
    /// Set if the log was imported.
    pub origin: Option<String>,
    /// Microseconds since 1970 UTC.
    pub at: u64,
    /// The library that wrote it.
    pub by: String,
}

/// The last line of a segment that was closed in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Ordinal of the segment.
    pub seg: u64,
    /// Its last record; all up to it are durable.
    pub last: u64,
    /// Durable watermark.
    pub d: u64,
    /// `rotate`, `close`, `full` or `pack`.
    pub why: String,
    /// Chain hash of record `last`, 64 hexadecimal digits, at the levels that have one.
    pub head: Option<String>,
    /// Signature of it, at level `signed`.
    pub sig: Option<String>,
    /// Microseconds since 1970 UTC.
    pub at: u64,
}

impl Header {
    /// Appends the line to *out*.
    pub fn push_line(&self, out: &mut Vec<u8>) {
        let start = out.len();
        push_number(out, "{\"tinyagent_log\":", self.format);
        push_text(out, ",\"log\":", &self.log.to_string());
        push_number(out, ",\"seg\":", self.seg);
        push_number(out, ",\"epoch\":", self.epoch);
        push_number(out, ",\"first\":", self.first);
        push_number(out, ",\"tail\":", self.tail);
        push_text(out, ",\"level\":", &self.level);
        push_known(out, ",\"prev\":", &self.prev);
        let raw = [
            ("fork", &self.fork),
            ("pruned", &self.pruned),
            ("redacted", &self.redacted),
            ("need", &self.need),
        ];
        for (name, value) in raw {
            if let Some(value) = value {
                out.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
            }
        }
        push_known(out, ",\"name\":", &self.name);
        push_known(out, ",\"origin\":", &self.origin);
        push_number(out, ",\"at\":", self.at);
        push_text(out, ",\"by\":", &self.by);
        push_tail(out, start, &self.log);
    }

    /// Reads a header line. `None` if it is damaged, or not one.
    pub fn parse(line: &[u8]) -> Option<Header> {
        let found = mark_fields(line, b"{\"tinyagent_log\":")?;
        let number = |name| field(&found, name).and_then(number);
        let text = |name| field(&found, name).and_then(parse_string);
        let raw = |name| field(&found, name).and_then(|v| String::from_utf8(v.to_vec()).ok());
        let log = LogId::parse(text("log")?.as_bytes())?;
        if !is_sound(line, &log) {
            return None;
        }
        Some(Header {
            format: number("tinyagent_log")?,
            log,
            seg: number("seg")?,
            epoch: number("epoch")?,
            first: number("first").filter(|first| (1..=SEQ_MAX).contains(first))?,
            tail: number("tail").filter(|tail| *tail <= SEQ_MAX)?,
            level: text("level")?,
            prev: text("prev"),
            fork: raw("fork"),
            pruned: raw("pruned"),
            redacted: raw("redacted"),
            need: raw("need"),
            name: text("name"),
            origin: text("origin"),
            at: number("at")?,
            by: text("by").unwrap_or_default(),
        })
    }

    /// Where the log left its parent, if it is a fork.
    pub fn forked(&self) -> Option<Fork> {
        Fork::parse(self.fork.as_deref()?)
    }

    /// The last record that was removed on purpose, and the hash there.
    pub fn pruned(&self) -> Option<(u64, Hash)> {
        let found = fields(self.pruned.as_deref()?.as_bytes())?;
        let head = field(&found, "head").and_then(parse_string)?;
        let upto = field(&found, "upto").and_then(number)?;
        Some((upto, parse_hash(head.as_bytes())?))
    }

    /// The first record that the files of this log hold, going by its first header. A packed
    /// fork holds its parent's records too, a folder does not.
    pub fn base(&self) -> u64 {
        match (self.pruned(), self.forked()) {
            (Some((upto, _)), _) => upto + 1,
            (None, Some(fork)) if self.first > fork.at => fork.at + 1,
            _ => 1,
        }
    }

    /// Why this library may not read the log; `None` if it may.
    pub fn objection(&self) -> Option<String> {
        let is_strange = |raw: bool, known: bool| raw && !known;
        if is_strange(self.fork.is_some(), self.forked().is_some())
            || is_strange(self.pruned.is_some(), self.pruned().is_some())
        {
            return Some(format!(
                "its header says that it is forked or pruned, in words that are not known here; \
                 it was written by {}",
                self.by
            ));
        }
        if self.format > FORMAT {
            let (found, known) = (self.format, FORMAT);
            return Some(format!(
                "it is of format {found}, written by {}; this library reads up to format {known}",
                self.by
            ));
        }
        let need = self.need.as_deref().filter(|need| *need != "[]")?;
        Some(format!(
            "it needs {need}, which this library does not know; it was written by {}",
            self.by
        ))
    }
}

/// The id that a damaged header seems to name. To be believed only if lines pass under it.
pub(crate) fn claimed_id(line: &[u8]) -> Option<LogId> {
    let at = memchr::memmem::find(line, b",\"log\":\"")? + 8;
    LogId::parse(line.get(at..at + 32)?)
}

impl Seal {
    /// Appends the line to *out*.
    pub fn push_line(&self, out: &mut Vec<u8>, id: &LogId) {
        let start = out.len();
        push_number(out, "{\"tinyagent_seal\":", FORMAT);
        push_number(out, ",\"seg\":", self.seg);
        push_number(out, ",\"last\":", self.last);
        push_number(out, ",\"d\":", self.d);
        push_text(out, ",\"why\":", &self.why);
        push_known(out, ",\"head\":", &self.head);
        push_known(out, ",\"sig\":", &self.sig);
        push_number(out, ",\"at\":", self.at);
        push_tail(out, start, id);
    }

    /// Reads a seal line of this log. `None` if it is damaged, or not one.
    pub fn parse(line: &[u8], id: &LogId) -> Option<Seal> {
        let found = mark_fields(line, b"{\"tinyagent_seal\":")?;
        if !is_sound(line, id) {
            return None;
        }
        let number = |name| field(&found, name).and_then(number);
        let text = |name| field(&found, name).and_then(parse_string);
        Some(Seal {
            seg: number("seg")?,
            last: number("last")?,
            d: number("d")?,
            why: text("why")?,
            head: text("head"),
            sig: text("sig"),
            at: number("at")?,
        })
    }
}

type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;

fn mark_fields<'a>(line: &'a [u8], start: &[u8]) -> Option<Fields<'a>> {
    if !line.starts_with(start) || line.len() < TAIL_BYTES {
        return None;
    }
    fields(line.strip_suffix(b"\n")?)
}

pub(crate) fn field<'a>(found: &Fields<'a>, name: &str) -> Option<&'a [u8]> {
    let same = |(key, _): &&(&[u8], &[u8])| *key == name.as_bytes();
    found.iter().find(same).map(|(_, value)| *value)
}

pub(crate) fn number(value: &[u8]) -> Option<u64> {
    let (number, rest) = take_u64(value)?;
    rest.is_empty().then_some(number)
}

fn push_number(out: &mut Vec<u8>, name: &str, value: u64) {
    out.extend_from_slice(name.as_bytes());
    push_u64(out, value);
}

fn push_text(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    push_string(out, value);
}

fn push_known(out: &mut Vec<u8>, name: &str, value: &Option<String>) {
    if let Some(value) = value {
        push_text(out, name, value);
    }
}
