//! Walks the bytes of a segment: which lines are whole, which bytes are bad. Never guesses.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use crate::checksum::LogId;
use crate::garden::planted;
use crate::marks::{claimed_id, Header, Kept, Seal};
use crate::record::{front, is_sound, lost_from, sound_crc, stored_crc, LINE_BYTES_MAX};

// Looked for in every line: to prepare the search each time costs more than the search.
pub(crate) static LOST: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"\"k\":\"log.lost\""));
static WRAPPER: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"{\"$"));
static REFERENCE: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(crate::blobs::REFERENCE));

/// One thing found, in the order of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A valid record.
    Record(Place),
    /// Records up to this one, from there on, which were not looked at: a seal vouches for them.
    Vouched(u64, u64),
    /// A valid header, and where.
    Header(Box<Header>, u64),
    /// A valid seal, and where.
    Seal(Box<Seal>, u64),
    /// Bytes that are no valid line.
    Bad(Range<u64>),
}

impl Item {
    /// Its first byte in the file.
    pub fn offset(&self) -> u64 {
        match self {
            Item::Record(place) => place.offset,
            Item::Header(_, offset) | Item::Seal(_, offset) | Item::Vouched(_, offset) => *offset,
            Item::Bad(range) => range.start,
        }
    }

    /// The number of the record that it is.
    pub fn seq(&self) -> Option<u64> {
        match self {
            Item::Record(place) => Some(place.seq),
            _ => None,
        }
    }
}

/// What the last seal among *items* says in fields that are not known here.
pub fn last_seal<'a>(items: impl DoubleEndedIterator<Item = &'a Item>) -> Vec<Kept> {
    let more = |item: &'a Item| match item {
        Item::Seal(seal, _) => Some(seal.more.clone()),
        _ => None,
    };
    items.rev().find_map(more).unwrap_or_default()
}

/// Where a valid record lies, and the little that recovery needs of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the record.
    pub seq: u64,
    /// Its watermark.
    pub d: u64,
    /// The first record that it stands for: `seq`, but for `log.lost`.
    pub from: u64,
    /// Whether it is a `log.lost`.
    pub is_lost: bool,
    /// First byte in its file.
    pub offset: u64,
    /// Bytes, newline included.
    pub len: u32,
    /// Its checksum: two lines with the same one and the same length are the same line.
    pub crc: u32,
    /// Whether something in it stands for something else: `{"$...":`.
    pub has_wrapper: bool,
    /// Whether values of it lie in blobs.
    pub has_blob: bool,
}

impl Place {
    /// Whether it is a `log.lost` that stands for the records from *seq* on.
    pub fn stands_for(&self, seq: u64) -> bool {
        self.from == seq && self.seq > seq
    }
}

/// Finds the id of the log that *bytes* belong to: of a valid header, or of a damaged one whose
/// lines agree with it.
pub fn find_id(bytes: &[u8]) -> Option<LogId> {
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        // Bad bytes before it cost a header no more than they cost a record.
        let starts = memmem::find_iter(line, b"{\"tinyagent_log\":");
        let found = starts
            .filter_map(|start| Header::parse(&line[start..]))
            .last();
        if let Some(header) = found {
            return Some(header.log);
        }
    }
    let mut lines = bytes.split_inclusive(|&b| b == b'\n');
    let id = claimed_id(lines.next()?)?;
    lines.any(|line| is_sound(line, &id)).then_some(id)
}

/// Lists what is in *bytes*, which is a whole segment file of the log *id*.
pub fn scan(bytes: &[u8], id: &LogId) -> Vec<Item> {
    scan_from(bytes, 0, id)
}

/// The same from the line on that starts at byte *at*.
pub(crate) fn scan_from(bytes: &[u8], mut at: usize, id: &LogId) -> Vec<Item> {
    let mut items = Vec::new();
    let mut bad: Option<Range<u64>> = None;
    while at < bytes.len() {
        let end = memchr::memchr(b'\n', &bytes[at..]).map(|n| at + n + 1);
        let line_end = end.unwrap_or(bytes.len());
        let found = if end.is_some() && !(bad.is_some() && planted("no_resync_after_newline")) {
            find_in(bytes, at..line_end, id)
        } else {
            None
        };
        let bad_end = found.as_ref().map_or(line_end, |(start, _)| *start);
        if bad_end > at {
            let start = bad.take().map_or(at as u64, |range| range.start);
            bad = Some(start..bad_end as u64);
        }
        if let Some((_, item)) = found {
            items.extend(bad.take().map(Item::Bad));
            items.push(item);
        }
        at = line_end;
    }
    items.extend(bad.map(Item::Bad));
    items
}

/// The valid line that ends where *range* does, and its start. Normally it starts where *range*
/// does; a damaged newline glues two lines, then it starts later.
fn find_in(bytes: &[u8], range: Range<usize>, id: &LogId) -> Option<(usize, Item)> {
    let line = &bytes[range.clone()];
    if let Some(item) = read_line(line, range.start, id) {
        return Some((range.start, item));
    }
    stored_crc(line)?;
    let mut starts: Vec<usize> = memmem::find_iter(line, b"{\"seq\":")
        .chain(memmem::find_iter(line, b"{\"tinyagent_"))
        .filter(|&start| start > 0 && line.len() - start <= LINE_BYTES_MAX)
        .collect();
    starts.sort_unstable();
    starts.into_iter().find_map(|start| {
        let item = read_line(&line[start..], range.start + start, id)?;
        Some((range.start + start, item))
    })
}

pub(crate) fn read_line(line: &[u8], offset: usize, id: &LogId) -> Option<Item> {
    let offset = offset as u64;
    if let Some((seq, d, rest)) = front(line) {
        let crc = sound_crc(line, id)?;
        let lost = LOST.find(&rest[..rest.len().min(256)]);
        // Few lines have a dollar, and for one byte alone it is looked three times as fast.
        let has_dollar = memchr::memchr(b'$', rest).is_some();
        let has_wrapper = has_dollar && WRAPPER.find(rest).is_some();
        let lost_first = lost.and_then(|_| lost_from(line));
        return Some(Item::Record(Place {
            seq,
            d,
            from: lost_first.unwrap_or(seq),
            is_lost: lost_first.is_some(),
            offset,
            len: u32::try_from(line.len()).ok()?,
            crc,
            has_wrapper,
            has_blob: has_wrapper && REFERENCE.find(rest).is_some(),
        }));
    }
    if let Some(header) = Header::parse(line) {
        return (header.log == *id).then(|| Item::Header(Box::new(header), offset));
    }
    Seal::parse(line, id).map(|seal| Item::Seal(Box::new(seal), offset))
}
