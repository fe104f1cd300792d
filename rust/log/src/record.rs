//! One record is one line: built here, checked here, taken apart here.
//!
//! `{"seq":17,"d":12,"ts":1795420800123456,"a":"critic","k":"tool.started","v":1,"c":15,"e":{...},"x":"9f3a1c02"}`
//! and a newline. Always in this order, no blanks; `a` is left out where it is not needed.

use crate::chain::{self, Hash};
use crate::checksum::{hex8, parse_hex8, LogId};
use crate::garden::planted;
use crate::json::{push_u64, take_u64};

/// The end of every line: `,"x":"........"}` and a newline.
pub const TAIL_BYTES: usize = 17;
/// What a chain hash takes, before the tail: `,"h":"` + 32 digits + `"`.
const CHAIN_BYTES: usize = 39;
/// A longer line is not one of ours.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// The largest record number: 2^53 - 1, which every JSON reader keeps exact.
pub const SEQ_MAX: u64 = (1 << 53) - 1;

/// What a line says, borrowed from whoever has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Number of the record in its log.
    pub seq: u64,
    /// The last record known to be durable when the line was built.
    pub d: u64,
    /// Microseconds since 1970 UTC.
    pub ts_us: u64,
    /// Who wrote it; `None` for the kind's usual emitter.
    pub actor: Option<&'a str>,
    /// What happened, e.g. `tool.started`.
    pub kind: &'a str,
    /// Version of the payload.
    pub v: u16,
    /// Number of the record that led to this one; 0 from outside.
    pub cause: u64,
    /// The event's fields, a JSON object without newlines.
    pub payload: &'a [u8],
}

/// Says what is wrong with a record before it is written; `None` if nothing is.
pub fn complaint(record: &Record<'_>) -> Option<String> {
    let payload = record.payload;
    if record.seq == 0 || record.seq > SEQ_MAX {
        return Some(format!("seq {} is not within 1..2^53-1", record.seq));
    }
    if record.cause >= record.seq {
        let (cause, seq) = (record.cause, record.seq);
        return Some(format!("cause {cause} of record {seq} is not before it"));
    }
    if record.v == 0 {
        return Some("version 0 of a payload; versions start at 1".to_owned());
    }
    if !is_kind(record.kind) {
        return Some(format!(
            "kind {:?} is not of the form `tool.started`, at most 64 bytes",
            record.kind
        ));
    }
    if let Some(actor) = record.actor.filter(|actor| !is_actor(actor)) {
        return Some(format!(
            "actor {actor:?} is not 1..128 of A-Z a-z 0-9 _ . : / # -"
        ));
    }
    let is_object = payload.first() == Some(&b'{') && payload.last() == Some(&b'}');
    if !is_object || memchr::memchr2(b'\n', b'\r', payload).is_some() {
        return Some("the payload is not a JSON object on one line".to_owned());
    }
    None
}

fn is_actor(actor: &str) -> bool {
    let symbol = |b: u8| b.is_ascii_alphanumeric() || b"_.:/#-".contains(&b);
    (1..=128).contains(&actor.len()) && actor.bytes().all(symbol)
}

fn is_kind(kind: &str) -> bool {
    let word = |word: &str| {
        word.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    kind.len() <= 64 && kind.split('.').all(word)
}

/// Appends the whole line of *record*, newline included, to *out*.
pub fn push_line(out: &mut Vec<u8>, id: &LogId, record: &Record<'_>) {
    let start = out.len();
    push_body(out, record);
    push_tail(out, start, id);
}

/// The same with its chain hash, where *before* is the one before it; returns its full hash.
pub fn push_chained(out: &mut Vec<u8>, id: &LogId, record: &Record<'_>, before: &Hash) -> Hash {
    let start = out.len();
    push_body(out, record);
    let head = out.len() - record.payload.len() - b",\"e\":".len();
    let hash = chain::link(before, &out[start..head], record.payload);
    out.extend_from_slice(b",\"h\":\"");
    out.extend_from_slice(&chain::show(&hash).as_bytes()[..32]);
    out.push(b'"');
    push_tail(out, start, id);
    hash
}

/// The chain hash that *line* carries: the first half of its 64 digits.
pub fn stored_hash(line: &[u8]) -> Option<&[u8]> {
    let body = line.get(..line.len().checked_sub(TAIL_BYTES)?)?;
    let field = body.get(body.len().checked_sub(CHAIN_BYTES)?..)?;
    field.strip_prefix(b",\"h\":\"")?.strip_suffix(b"\"")
}

fn push_body(out: &mut Vec<u8>, record: &Record<'_>) {
    out.reserve(record.payload.len() + 192);
    out.extend_from_slice(b"{\"seq\":");
    push_u64(out, record.seq);
    out.extend_from_slice(b",\"d\":");
    push_u64(out, record.d + u64::from(planted("watermark_one_ahead")));
    out.extend_from_slice(b",\"ts\":");
    push_u64(out, record.ts_us);
    if let Some(actor) = record.actor {
        out.extend_from_slice(b",\"a\":\"");
        out.extend_from_slice(actor.as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(b",\"k\":\"");
    out.extend_from_slice(record.kind.as_bytes());
    out.extend_from_slice(b"\",\"v\":");
    push_u64(out, u64::from(record.v));
    out.extend_from_slice(b",\"c\":");
    push_u64(out, record.cause);
    out.extend_from_slice(b",\"e\":");
    out.extend_from_slice(record.payload);
}

/// Ends the line that starts at *start* with its checksum and a newline.
pub(crate) fn push_tail(out: &mut Vec<u8>, start: usize, id: &LogId) {
    let crc = id.crc(&out[start..]);
    out.extend_from_slice(&tail(crc));
}

/// The end of a line with the checksum *crc*.
fn tail(crc: u32) -> [u8; TAIL_BYTES] {
    let mut tail = *b",\"x\":\"........\"}\n";
    tail[6..14].copy_from_slice(&hex8(crc));
    tail
}

/// The checksum that a line carries, if its last 17 bytes are in place.
pub fn stored_crc(line: &[u8]) -> Option<u32> {
    let tail = line.get(line.len().checked_sub(TAIL_BYTES)?..)?;
    if &tail[..6] != b",\"x\":\"" || &tail[14..] != b"\"}\n" {
        return None;
    }
    parse_hex8(&tail[6..14])
}

/// Whether *line*, newline included, is whole and belongs to this log.
pub fn is_sound(line: &[u8], id: &LogId) -> bool {
    sound_crc(line, id).is_some()
}

/// The checksum of *line*, if that is so.
pub(crate) fn sound_crc(line: &[u8], id: &LogId) -> Option<u32> {
    let (body, end) = line.split_at_checked(line.len().checked_sub(TAIL_BYTES)?)?;
    // Written again, it is compared sooner than it is read.
    let crc = id.crc(body);
    (line.len() <= LINE_BYTES_MAX && end == tail(crc)).then_some(crc)
}

/// *line* with the checksum that it has in the log *id*. `None` if it has none yet.
pub fn under(line: &[u8], id: &LogId) -> Option<Vec<u8>> {
    stored_crc(line)?;
    let mut moved = line[..line.len() - TAIL_BYTES].to_vec();
    push_tail(&mut moved, 0, id);
    Some(moved)
}

/// `seq` and `d`, and what follows them, of a line that starts like a record.
pub(crate) fn front(line: &[u8]) -> Option<(u64, u64, &[u8])> {
    let (seq, rest) = take_u64(line.strip_prefix(b"{\"seq\":")?)?;
    let (d, rest) = take_u64(rest.strip_prefix(b",\"d\":")?)?;
    (1..=SEQ_MAX).contains(&seq).then_some(())?;
    Some((seq, d, rest.strip_prefix(b",")?))
}

/// Takes a sound line apart. `None` if its fields are not those of format 1, in its order.
pub fn parse(line: &[u8]) -> Option<Record<'_>> {
    let body = line.get(..line.len().checked_sub(TAIL_BYTES)?)?;
    let (seq, d, rest) = front(body)?;
    let (ts_us, rest) = take_u64(rest.strip_prefix(b"\"ts\":")?)?;
    let (actor, rest) = match rest.strip_prefix(b",\"a\":\"") {
        Some(rest) => take_text(rest).map(|(actor, rest)| (Some(actor), rest))?,
        None => (None, rest),
    };
    let (kind, rest) = take_text(rest.strip_prefix(b",\"k\":\"")?)?;
    let (v, rest) = take_u64(rest.strip_prefix(b",\"v\":")?)?;
    let (cause, rest) = take_u64(rest.strip_prefix(b",\"c\":")?)?;
    let mut payload = rest.strip_prefix(b",\"e\":")?;
    if let Some(cut) = payload.len().checked_sub(CHAIN_BYTES) {
        // An object ends in `}`, so what ends like a chain hash is one.
        if payload[cut..].starts_with(b",\"h\":\"") && payload.ends_with(b"\"") {
            payload = &payload[..cut];
        }
    }
    let v = u16::try_from(v).ok()?;
    Some(Record {
        seq,
        d,
        ts_us,
        actor,
        kind,
        v,
        cause,
        payload,
    })
}

fn take_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr::memchr(b'"', bytes)?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

/// What is in the list that is all of *payload*, under the name *field*: without its brackets.
pub fn elements<'a>(payload: &'a [u8], field: &str) -> Option<&'a [u8]> {
    match crate::json::fields(payload)?[..] {
        [(name, list)] if name == field.as_bytes() => list.strip_prefix(b"[")?.strip_suffix(b"]"),
        _ => None,
    }
}

/// For a `log.lost` record: the first of the records that it stands for.
pub(crate) fn lost_from(line: &[u8]) -> Option<u64> {
    let record = parse(line).filter(|record| record.kind == "log.lost")?;
    let fields = crate::json::fields(record.payload)?;
    let (_, value) = fields.iter().find(|(name, _)| *name == b"first")?;
    take_u64(value).map(|(first, _)| first)
}

/// Both checksums of the line that *rest* starts with; if it is whole but for them, someone edited
/// it.
pub(crate) fn crc_detail(rest: &[u8], id: &LogId) -> String {
    let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
    let line = &rest[..end];
    let Some(stored) = stored_crc(line) else {
        return String::new();
    };
    let found = id.crc(&line[..line.len() - TAIL_BYTES]);
    if stored == found {
        return String::new();
    }
    let edited = parse(line).is_some_and(|record| crate::json::fields(record.payload).is_some());
    let why = if edited { ": edited by hand?" } else { "" };
    format!(" (CRC {found:08x}, expected {stored:08x}{why})")
}
