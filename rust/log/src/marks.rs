//! Marks: the first and the last line of a segment. They have no number.

use std::borrow::Cow;

use crate::chain::{parse_hash, Fork, Hash};
use crate::checksum::LogId;
use crate::failure::Failure;
use crate::json::{fields, parse_string, push_string, push_u64, take_u64};
use crate::rare::{Rare, NOTHING};
use crate::record::{is_sound, push_tail, SEQ_MAX, TAIL_BYTES};

/// The format that this library writes, and the newest that it reads.
pub const FORMAT: u64 = 1;

/// A header, and nothing else, is written when a log is created: no more bytes than this.
pub(crate) const CREATION_BYTES_MAX: usize = 64 << 10;

/// What a reader may be told that it must know, and does: `enc`, values are encrypted. Nothing here
/// opens them.
const KNOWN_NEEDS: [&str; 2] = ["[]", "[\"enc\"]"];

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
    pub level: Cow<'static, str>,
    /// Microseconds since 1970 UTC.
    pub at: u64,
    /// The library that wrote it.
    pub by: Cow<'static, str>,
    /// What few logs have; see [`Header::rare`].
    pub rare: Option<Box<Rare>>,
}

/// A field of a mark as it was written, `"name":value`, and the known one that it stands behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Name of a field that is known.
    pub behind: String,
    /// Name and value.
    pub raw: String,
}

/// The fields of a header that are known, in their order.
#[rustfmt::skip]
const HEADER: &[&str] = &[
    "tinyagent_log", "log", "seg", "epoch", "first", "tail", "level", "prev", "fork", "pruned",
    "redacted", "need", "name", "origin", "at", "by",
];

/// Those of a seal.
const SEAL: &[&str] = &[
    "tinyagent_seal",
    "seg",
    "last",
    "d",
    "why",
    "head",
    "sig",
    "at",
];

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
    /// Fields that are not known here, in their order.
    pub more: Vec<Kept>,
}

impl Header {
    /// What few headers say.
    pub fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&NOTHING)
    }

    /// The same, to say some of it.
    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Appends the line to *out*.
    pub fn push_line(&self, out: &mut Vec<u8>) {
        let (start, rare) = (out.len(), self.rare());
        let mut line = MarkLine::new(out, &rare.more);
        line.number("tinyagent_log", self.format);
        line.text("log", Some(&self.log.to_string()));
        line.number("seg", self.seg);
        line.number("epoch", self.epoch);
        line.number("first", self.first);
        line.number("tail", self.tail);
        line.text("level", Some(&self.level));
        line.text("prev", rare.prev.as_deref());
        line.raw("fork", rare.fork.as_deref());
        line.raw("pruned", rare.pruned.as_deref());
        line.raw("redacted", rare.redacted.as_deref());
        line.raw("need", rare.need.as_deref());
        line.text("name", rare.name.as_deref());
        line.text("origin", rare.origin.as_deref());
        line.number("at", self.at);
        line.text("by", Some(&self.by));
        push_tail(out, start, &self.log);
    }

    /// Refuses to begin a log in *path* with a line that is too long for its readers.
    pub(crate) fn check_size(&self, path: &str) -> Result<(), Failure> {
        let mut line = Vec::new();
        self.push_line(&mut line);
        let size = line.len();
        if size <= CREATION_BYTES_MAX {
            return Ok(());
        }
        Err(Failure::Limit(format!(
            "{path}: the header would be {size} bytes long, at most {CREATION_BYTES_MAX} may be; \
             give a shorter name"
        )))
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
            level: text("level")?.into(),
            at: number("at")?,
            by: text("by").unwrap_or_default().into(),
            rare: Rare {
                prev: text("prev"),
                fork: raw("fork"),
                pruned: raw("pruned"),
                redacted: raw("redacted"),
                need: raw("need"),
                name: text("name"),
                origin: text("origin"),
                more: unknown(&found, HEADER)?,
            }
            .boxed(),
        })
    }

    /// What a tool that writes the log anew hands on unseen: what is not known here, what was
    /// removed or masked, and what a reader must know.
    pub fn kept(&self) -> Vec<Kept> {
        let rare = self.rare();
        let removed = [
            ("pruned", &rare.pruned),
            ("redacted", &rare.redacted),
            ("need", &rare.need),
        ];
        let removed = removed.into_iter().filter_map(|(name, value)| {
            Some(Kept {
                behind: "fork".to_owned(),
                raw: format!("\"{name}\":{}", value.as_ref()?),
            })
        });
        removed.chain(rare.more.iter().cloned()).collect()
    }

    /// Takes what [`Header::kept`] gave; what it says itself stays.
    pub fn keep(&mut self, kept: Vec<Kept>) {
        for one in kept {
            let rare = self.rare_mut();
            let known = [
                ("\"pruned\":", &mut rare.pruned),
                ("\"redacted\":", &mut rare.redacted),
                ("\"need\":", &mut rare.need),
            ];
            let known = known
                .into_iter()
                .find_map(|(name, place)| Some((one.raw.strip_prefix(name)?, place)));
            match known {
                Some((value, place)) => *place = place.take().or(Some(value.to_owned())),
                None => rare.more.push(one),
            }
        }
    }

    /// Where the log left its parent, if it is a fork.
    pub fn forked(&self) -> Option<Fork> {
        Fork::parse(self.rare().fork.as_deref()?)
    }

    /// The last record that was removed on purpose, and the hash there.
    pub fn pruned(&self) -> Option<(u64, Hash)> {
        let found = fields(self.rare().pruned.as_deref()?.as_bytes())?;
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
        let rare = self.rare();
        if is_strange(rare.fork.is_some(), self.forked().is_some())
            || is_strange(rare.pruned.is_some(), self.pruned().is_some())
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
        let need = rare
            .need
            .as_deref()
            .filter(|need| !KNOWN_NEEDS.contains(need))?;
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
        let mut line = MarkLine::new(out, &self.more);
        line.number("tinyagent_seal", FORMAT);
        line.number("seg", self.seg);
        line.number("last", self.last);
        line.number("d", self.d);
        line.text("why", Some(&self.why));
        line.text("head", self.head.as_deref());
        line.text("sig", self.sig.as_deref());
        line.number("at", self.at);
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
            more: unknown(&found, SEAL)?,
        })
    }
}

/// A mark while it is built: each field, and what stands behind it.
struct MarkLine<'a> {
    out: &'a mut Vec<u8>,
    more: &'a [Kept],
    separator: u8,
}

impl<'a> MarkLine<'a> {
    fn new(out: &'a mut Vec<u8>, more: &'a [Kept]) -> Self {
        let separator = b'{';
        MarkLine {
            out,
            more,
            separator,
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        self.field(name, Some(value), push_u64);
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        self.field(name, value, push_string);
    }

    fn raw(&mut self, name: &str, value: Option<&str>) {
        self.field(name, value, |out, value| {
            out.extend_from_slice(value.as_bytes());
        });
    }

    fn field<T>(&mut self, name: &str, value: Option<T>, push: impl FnOnce(&mut Vec<u8>, T)) {
        if let Some(value) = value {
            self.out.push(std::mem::replace(&mut self.separator, b','));
            push_string(self.out, name);
            self.out.push(b':');
            push(self.out, value);
        }
        for kept in self.more.iter().filter(|kept| kept.behind == name) {
            self.out.push(b',');
            self.out.extend_from_slice(kept.raw.as_bytes());
        }
    }
}

/// The fields that are not known. `None` if they are no text.
fn unknown(found: &Fields<'_>, all: &[&str]) -> Option<Vec<Kept>> {
    let mut behind = all[0];
    let mut more = Vec::new();
    for (name, value) in found {
        match all.iter().find(|known| known.as_bytes() == *name) {
            Some(known) => behind = known,
            None if *name == b"x" => {}
            None => more.push(Kept {
                behind: behind.to_owned(),
                raw: String::from_utf8([b"\"", *name, b"\":", *value].concat()).ok()?,
            }),
        }
    }
    // In the order in which they are written.
    more.sort_by_key(|kept| all.iter().position(|known| *known == kept.behind));
    Some(more)
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
