//! The segments in the files of a log, and what later ones say about earlier ones.

use crate::garden::planted;
use crate::lock::Hint;
use crate::marks::Header;
use crate::recover::{Damage, FileScan};
use crate::scan::Item;
use crate::vfs::segment_name;

/// One segment, with the claims of later headers computed.
pub(crate) struct Segment<'a> {
    /// Index of its file.
    pub file: u32,
    /// Its header; `None` in what an interrupted opening left behind.
    pub header: Option<&'a Header>,
    pub items: &'a [Item],
    /// Its bytes in the file.
    pub start: u64,
    pub end: u64,
    pub is_sealed: bool,
    /// The last record that a later opening kept: what is here beyond it is void.
    pub void_above: u64,
    /// The first record that a later segment holds copies of, or goes on with.
    pub taken_from: u64,
    /// The last record that this segment knows to be durable.
    pub evidence: u64,
}

impl Segment<'_> {
    pub fn damage(&self, seq: u64, offset: u64, what: String) -> Damage {
        Damage {
            file: self.file,
            seq,
            offset,
            what,
        }
    }
}

/// Cuts the files into segments: one each, several in an archive.
///
/// # Errors: a segment without a valid header holds records that others knew to be durable.
pub(crate) fn split(files: &[FileScan]) -> Result<Vec<Segment<'_>>, Damage> {
    let mut segments = Vec::new();
    for (file, scanned) in files.iter().enumerate() {
        let items = &scanned.items;
        let mut cuts: Vec<usize> = (0..items.len())
            .filter(|&index| matches!(items[index], Item::Header(..)))
            .collect();
        if cuts.first() != Some(&0) {
            // What lies before the first header belongs to it if it is only bad bytes: then the
            // header is not the first line, and the file is damaged.
            cuts.insert(0, 0);
        }
        cuts.push(items.len());
        for pair in cuts.windows(2) {
            // The next segment of an archive starts where this one ends.
            let end = items.get(pair[1]).map_or(scanned.size, Item::offset);
            let segment = segment(file as u32, end, &items[pair[0]..pair[1]])?;
            if scanned.is_archived {
                check_whole(&segment)?;
            }
            segments.push(segment);
        }
    }
    let (mut void_above, mut taken_from) = (u64::MAX, u64::MAX);
    for segment in segments.iter_mut().rev() {
        segment.void_above = void_above;
        if planted("tail_ignored_by_reader") {
            segment.void_above = u64::MAX;
        }
        segment.taken_from = taken_from;
        if let Some(header) = segment.header {
            void_above = void_above.min(header.tail);
            taken_from = taken_from.min(header.first);
        }
    }
    Ok(segments)
}

/// An archive holds whole segments only.
fn check_whole(segment: &Segment<'_>) -> Result<(), Damage> {
    let mut seq = segment.header.map_or(0, |header| header.first);
    for item in segment.items {
        match item {
            Item::Record(place) => seq = place.seq + 1,
            Item::Bad(range) => {
                let what = format!("record {seq}, or what follows it, is damaged in an archive");
                return Err(segment.damage(seq, range.start, what));
            }
            _ => {}
        }
    }
    if segment.is_sealed && segment.header.is_some() {
        return Ok(());
    }
    let what = "an archive ends before its last segment does: it was cut short".to_owned();
    Err(segment.damage(seq, segment.end, what))
}

fn segment(file: u32, end: u64, items: &[Item]) -> Result<Segment<'_>, Damage> {
    let mut header = None;
    let (mut lowest, mut watermark, mut evidence) = (u64::MAX, 0, 0);
    let mut is_sealed = false;
    for item in items {
        match item {
            Item::Header(found, _) => {
                header = Some(found.as_ref());
                evidence = found.first - 1;
            }
            Item::Record(place) => {
                lowest = lowest.min(place.from);
                watermark = watermark.max(place.d);
            }
            Item::Seal(seal, _) => {
                is_sealed = true;
                evidence = evidence.max(seal.last);
            }
            Item::Bad(_) | Item::Vouched(..) => {}
        }
    }
    let start = items.first().map_or(0, Item::offset);
    let segment = Segment {
        file,
        header,
        items,
        start,
        end,
        is_sealed,
        void_above: u64::MAX,
        taken_from: u64::MAX,
        evidence: evidence.max(watermark),
    };
    if header.is_none() && (is_sealed || watermark >= lowest) {
        let what = "its header is damaged, although records in it were durable".to_owned();
        let seq = if lowest == u64::MAX { 0 } else { lowest };
        return Err(segment.damage(seq, start, what));
    }
    Ok(segment)
}

/// The hint names a segment only once its header is durable.
pub(crate) fn refuse_lost_header(files: &[FileScan], hint: Hint) -> Result<(), Damage> {
    let name = segment_name(hint.seg);
    let has_header = |file: &FileScan| file.items.iter().any(|it| matches!(it, Item::Header(..)));
    // What it held begins behind the files before it, at the latest.
    let first = |at: usize| {
        let own = files[at].items.iter().find_map(Item::seq);
        let before = files[..at].iter().flat_map(|file| &file.items);
        own.unwrap_or_else(|| before.filter_map(Item::seq).max().unwrap_or(0) + 1)
    };
    match files.iter().position(|file| file.name == name) {
        Some(at) if !has_header(&files[at]) => Err(Damage {
            file: at as u32,
            seq: first(at),
            offset: 0,
            what: "its header is damaged, although the hint in LOCK names it".to_owned(),
        }),
        _ => Ok(()),
    }
}
