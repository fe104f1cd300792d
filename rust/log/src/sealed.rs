//! What a seal vouches for is not looked at by who opens a log to go on from a later record.
//!
//! All up to the seal was durable when it was written, so such a segment is judged by its header,
//! its seal and the records at its end. Reading the whole log, and `verify`, look at every line.

use crate::checksum::LogId;
use crate::integrity::PLAIN;
use crate::marks::{Header, Seal};
use crate::scan::{read_line, scan_from, Item, LOST};

/// Lists what is in *bytes* as `scan` does, but where a seal vouches for the records before
/// *since* these are one item.
pub(crate) fn scan_since(bytes: &[u8], id: &LogId, since: u64) -> Vec<Item> {
    match vouched(bytes, id, since) {
        Some((mut items, behind)) => {
            items.extend(scan_from(bytes, behind, id));
            items
        }
        None => scan_from(bytes, 0, id),
    }
}

/// The header, the records that are passed over, and where the others start. `None` if all must be
/// looked at: none are before *since*, nobody vouches for them, each has a hash, or some were lost.
fn vouched(bytes: &[u8], id: &LogId, since: u64) -> Option<(Vec<Item>, usize)> {
    let body = memchr::memchr(b'\n', bytes)? + 1;
    let header = Header::parse(&bytes[..body])
        .filter(|header| header.log == *id && header.level == PLAIN && header.first < since)?;
    let mut behind = start_of_line(bytes, bytes.len());
    Seal::parse(&bytes[behind..], id)?;
    loop {
        let start = start_of_line(bytes, behind).max(body);
        let Item::Record(place) = read_line(bytes.get(start..behind)?, start, id)? else {
            return None;
        };
        if place.seq < since {
            let passed = Item::Vouched(place.seq, body as u64);
            let has_losses = LOST.find(&bytes[..behind]).is_some();
            return (!has_losses)
                .then(|| (vec![Item::Header(Box::new(header), 0), passed], behind));
        }
        behind = start;
    }
}

/// Where the line starts that ends before *end*.
fn start_of_line(bytes: &[u8], end: usize) -> usize {
    let line = &bytes[..end.saturating_sub(1)];
    memchr::memrchr(b'\n', line).map_or(0, |at| at + 1)
}
