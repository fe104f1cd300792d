//! Archives: neighbouring sealed segments in one compressed file, read as if they were files.
//!
//! ```text
//! 00000003.jsonl.zst   zstd frames, one after the other; together the bytes of segments 1, 2, 3
//! ```
//!
//! An archive is named by its last segment, and holds whole segments only: what is bad or missing
//! in it was on disk once, and is damage. A damaged frame costs the lines in it: reading goes on
//! with the next frame that decodes. Whatever is in the file, no more than [`ARCHIVE_BYTES_MAX`]
//! come out of it.

use std::ops::Range;
use std::sync::Arc;

use memchr::memmem;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use crate::marks::Header;
use crate::scan::{scan, Item};

/// An archive holds no more than this, unpacked.
pub const ARCHIVE_BYTES_MAX: usize = 256 << 20;
/// A frame of ours holds no more than this, unpacked: so much one damaged byte can cost.
pub const FRAME_BYTES_MAX: usize = 128 << 10;
/// A frame that looks back further than 2^this bytes is not read: so much memory it takes.
const WINDOW_LOG_MAX: u32 = 24;
const FRAME_START: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];
/// Stands for bytes that were lost: no line is like it.
const LOST: &[u8] = b"\0\n";

/// The end of the name of an archive.
pub const SUFFIX: &str = ".jsonl.zst";

/// The bytes of one segment: a file, or a part of an archive.
#[derive(Clone)]
pub(crate) struct File {
    /// Ordinal of the segment.
    pub ordinal: u64,
    /// Its name; in an archive that of both, `00000003.jsonl.zst/00000002.jsonl`.
    pub name: String,
    /// The file that it is in, unpacked.
    pub whole: Arc<Vec<u8>>,
    /// Where in there.
    pub range: Range<usize>,
    /// Whether it is in an archive.
    pub is_archived: bool,
}

impl File {
    /// A file that is not packed.
    pub fn plain(ordinal: u64, name: String, bytes: Vec<u8>) -> File {
        File {
            ordinal,
            name,
            range: 0..bytes.len(),
            whole: Arc::new(bytes),
            is_archived: false,
        }
    }

    /// The bytes of the segment.
    pub fn bytes(&self) -> &[u8] {
        &self.whole[self.range.clone()]
    }

    /// Whether the other one holds the same segment, byte for byte.
    pub fn is_same(&self, other: &File) -> bool {
        self.ordinal == other.ordinal && self.bytes() == other.bytes()
    }

    /// Whether the segment is sealed, and every line of it is as it was written.
    pub fn is_whole(&self) -> bool {
        let bytes = self.bytes();
        let Some(header) = header(bytes) else {
            return false;
        };
        let items = scan(bytes, &header.log);
        header.seg == self.ordinal
            && matches!(items.last(), Some(Item::Seal(..)))
            && !items.iter().any(|item| matches!(item, Item::Bad(_)))
    }
}

/// The header that *bytes* start with.
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    let first = bytes.split_inclusive(|&b| b == b'\n').next();
    first.and_then(Header::parse)
}

/// Leaves out what lies before a header that says that all before it was removed on purpose: it
/// may be there still.
pub(crate) fn unpruned(mut files: Vec<File>) -> Vec<File> {
    let mut first = (0, 0);
    for (at, file) in files.iter().enumerate() {
        let header = header(file.bytes());
        let pruned = header.and_then(|header| Some((header.pruned()?.0, header.first)));
        // Later segments repeat what the first one says.
        if let Some((upto, _)) = pruned.filter(|(upto, next)| *next == upto + 1 && *upto > first.0)
        {
            first = (upto, at);
        }
    }
    files.drain(..first.1);
    files
}

/// The name of the file that the segment *name* is in.
pub(crate) fn source(name: &str) -> &str {
    match name.find(".zst/") {
        Some(at) => &name[..at + 4],
        None => name,
    }
}

/// The segments in the archive *name*, whose last one is *ordinal*; of a damaged one too.
pub(crate) fn parts(name: &str, ordinal: u64, packed: &[u8]) -> Vec<File> {
    let whole = Arc::new(unpack(packed, ARCHIVE_BYTES_MAX));
    let mut cuts = headers(&whole);
    if cuts.first().is_none_or(|(at, _)| *at > 0) {
        let seg = cuts
            .first()
            .map_or(ordinal, |(_, seg)| seg.saturating_sub(1));
        cuts.insert(0, (0, seg));
    }
    if cuts.last().is_some_and(|(_, seg)| *seg != ordinal) {
        // It was cut short: its last segment is not there, though it must be.
        cuts.push((whole.len(), ordinal));
    }
    let ends = cuts.iter().skip(1).map(|(at, _)| *at).chain([whole.len()]);
    cuts.iter()
        .zip(ends)
        .map(|(&(start, seg), end)| File {
            ordinal: seg,
            name: format!("{name}/{seg:08}.jsonl"),
            whole: whole.clone(),
            range: start..end,
            is_archived: true,
        })
        .collect()
}

/// Where segments start, and their ordinals.
fn headers(bytes: &[u8]) -> Vec<(usize, u64)> {
    memmem::find_iter(bytes, b"{\"tinyagent_log\":")
        .filter(|&at| at == 0 || bytes[at - 1] == b'\n')
        .filter_map(|at| {
            let end = memchr::memchr(b'\n', &bytes[at..])? + at + 1;
            Some((at, Header::parse(&bytes[at..end])?.seg))
        })
        .collect()
}

/// Leaves one of several copies of a segment: what an interrupted archiving left twice counts
/// once. Two that are whole and differ both stay, and are found out as of two writers.
pub(crate) fn once(mut files: Vec<File>) -> Vec<File> {
    files.sort_by_key(|file| (file.ordinal, file.is_archived));
    let mut kept: Vec<File> = Vec::new();
    for group in files.chunk_by(|one, other| one.ordinal == other.ordinal) {
        let whole: Vec<&File> = match group {
            [_] => Vec::new(),
            _ => group.iter().filter(|file| file.is_whole()).collect(),
        };
        let Some((first, others)) = whole.split_first() else {
            kept.extend(group.first().cloned());
            continue;
        };
        kept.push((*first).clone());
        let differs = |file: &&&File| !file.is_same(first);
        kept.extend(others.iter().filter(differs).map(|file| (*file).clone()));
    }
    kept
}

/// Compresses *bytes*, in frames that end where lines do.
///
/// # Errors: what the library says.
pub fn pack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    let mut out = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let most = &rest[..rest.len().min(FRAME_BYTES_MAX)];
        let end = match memchr::memrchr(b'\n', most) {
            Some(at) if most.len() < rest.len() => at + 1,
            _ => most.len(),
        };
        out.extend_from_slice(&compressor.compress(&rest[..end])?);
        rest = &rest[end..];
    }
    Ok(out)
}

const LEVEL: i32 = 12;

/// What comes out of *packed*, at most *limit* bytes; where something is lost stands a bad line.
pub fn unpack(packed: &[u8], limit: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let Ok(mut decoder) = Decoder::new() else {
        return LOST.to_vec();
    };
    let mut room = vec![0; 128 << 10];
    let mut at = 0;
    while at < packed.len() {
        let room = room.as_mut_slice();
        if let Some(length) = frame(&mut decoder, &packed[at..], room, &mut out, limit) {
            at += length;
            continue;
        }
        if out.last().is_some_and(|&last| last != b'\n') {
            out.push(b'\n');
        }
        if !out.ends_with(LOST) {
            out.extend_from_slice(LOST);
        }
        let next = memmem::find(&packed[at + 1..], FRAME_START);
        at = next.map_or(packed.len(), |next| at + 1 + next);
    }
    out
}

/// Adds what the frame that *packed* starts with holds, and returns its length; `None` if it is
/// damaged, or holds more than there is room for: what came out of it before is kept.
fn frame(
    decoder: &mut Decoder<'_>,
    packed: &[u8],
    room: &mut [u8],
    out: &mut Vec<u8>,
    limit: usize,
) -> Option<usize> {
    decoder.reinit().ok()?;
    let window = DParameter::WindowLogMax(WINDOW_LOG_MAX);
    decoder.set_parameter(window).ok()?;
    let mut input = InBuffer::around(packed);
    loop {
        let mut output = OutBuffer::around(&mut *room);
        let before = input.pos();
        let left = decoder.run(&mut input, &mut output);
        let come = output.as_slice();
        if out.len() + come.len() > limit {
            return None;
        }
        out.extend_from_slice(come);
        let is_stuck = input.pos() == before && come.is_empty();
        match left {
            Ok(0) => return Some(input.pos()),
            Ok(_) if !is_stuck => {}
            _ => return None,
        }
    }
}
