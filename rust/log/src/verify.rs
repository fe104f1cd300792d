//! Reads every byte of a log: segments, blobs, chain, signatures; and says what is wrong where.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::archive::File;
use crate::blobs;
use crate::chain::parse_hash;
use crate::checksum::LogId;
use crate::failure::Failure;
use crate::folder::read_segments;
use crate::integrity::{self, SIGNED};
use crate::reader::{Found, Reader};
use crate::recover::Verdict;
use crate::salvage::Salvage;
use crate::scan::{scan, Item};
use crate::sign::Key;
use crate::vfs::Vfs;

/// What was found in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Whole records in it, copies included.
    pub records: u64,
    /// `sealed`, `open` (not closed in order), `void`, `torn` or `corrupt`.
    pub verdict: &'static str,
    /// What is wrong, in words.
    pub complaints: Vec<String>,
}

/// What was found in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its id.
    pub log: LogId,
    /// `clean`, `unclean`, `torn` or `corrupt`.
    pub verdict: &'static str,
    /// Records that can be read.
    pub records: u64,
    /// The files.
    pub segments: Vec<Segment>,
    /// Values beside the log that are whole.
    pub blobs: u64,
    /// Record and digest of values that are missing or damaged.
    pub lost_values: Vec<(u64, String)>,
    /// Seals whose signature was checked with a key.
    pub signatures: u64,
}

/// Checks the folder, or the packed file *name* in it; signatures with *key*, if there is one.
///
/// # Errors: `NotFound`, `Version`, `Failed`; `Corrupt` if not even the log's id is known.
pub fn verify(
    vfs: &Arc<dyn Vfs>,
    name: Option<&str>,
    key: Option<&Key>,
) -> Result<Report, Failure> {
    let found = match name {
        Some(name) => Reader::packed(vfs.clone(), name),
        None => Reader::folder(vfs.clone(), u64::MAX),
    };
    match found {
        Ok(Found::Log(reader)) => whole(vfs.as_ref(), *reader, key),
        Ok(Found::Nothing) => {
            let path = vfs.path(name.unwrap_or_default());
            Err(Failure::NotFound(format!("{path}: there is no log here")))
        }
        Err(Failure::Corrupt(..)) => wreck(vfs, name),
        Err(failure) => Err(failure),
    }
}

fn whole(vfs: &dyn Vfs, mut reader: Reader, key: Option<&Key>) -> Result<Report, Failure> {
    let mut report = Report {
        log: reader.header.log,
        verdict: match reader.analysis.verdict {
            Verdict::Clean => "clean",
            Verdict::Unclean => "unclean",
            Verdict::Torn(_) => "torn",
        },
        records: reader.len() as u64,
        segments: Vec::new(),
        blobs: 0,
        lost_values: Vec::new(),
        signatures: 0,
    };
    for file in &reader.files {
        report
            .segments
            .push(segment(&file.name, file.size, &file.items));
    }
    if let Verdict::Torn(torn) = &reader.analysis.verdict {
        let at = &mut report.segments[torn.file as usize];
        at.verdict = "torn";
        let (bytes, offset) = (torn.bytes, torn.offset);
        at.complaints.push(format!(
            "{bytes} bytes from byte {offset} on were never acknowledged and cannot be read"
        ));
    }
    match integrity::check(&mut reader) {
        Err(Failure::Corrupt(what, path, ..)) => {
            report.verdict = "corrupt";
            let is_there = |segment: &&mut Segment| vfs.path(&segment.name) == path;
            if let Some(at) = report.segments.iter_mut().find(is_there) {
                at.verdict = "corrupt";
                at.complaints.push(what);
            }
        }
        checked => {
            checked?;
            signatures(&reader, key, &mut report);
        }
    }
    values(&mut reader, &mut report)?;
    Ok(report)
}

fn segment(name: &str, bytes: u64, items: &[Item]) -> Segment {
    let count = |wanted: fn(&Item) -> bool| items.iter().filter(|item| wanted(item)).count();
    let has_header = count(|item| matches!(item, Item::Header(..))) > 0;
    let is_sealed = count(|item| matches!(item, Item::Seal(..))) > 0;
    let bad = items.iter().filter_map(|item| match item {
        Item::Bad(range) => Some(format!(
            "bytes {}..{} are no whole line",
            range.start, range.end
        )),
        _ => None,
    });
    Segment {
        name: name.to_owned(),
        bytes,
        records: count(|item| matches!(item, Item::Record(_))) as u64,
        verdict: match (has_header, is_sealed) {
            (false, _) => "void",
            (true, true) => "sealed",
            (true, false) => "open",
        },
        complaints: bad.collect(),
    }
}

/// The chain was followed before: what seals name as the hash is true.
fn signatures(reader: &Reader, key: Option<&Key>, report: &mut Report) {
    if reader.header.level != SIGNED {
        return;
    }
    for (file, found) in reader.files.iter().zip(&mut report.segments) {
        for item in &file.items {
            let Item::Seal(seal, _) = item else { continue };
            let head = seal.head.as_deref().and_then(|h| parse_hash(h.as_bytes()));
            let last = seal.last;
            let complaint = match (&seal.sig, key, head) {
                (None, ..) => Some(format!("the seal after record {last} is not signed")),
                (Some(_), None, _) | (Some(_), _, None) => None,
                (Some(sig), Some(key), Some(head)) => {
                    report.signatures += 1;
                    let is_theirs = key.is_by(sig, &reader.header.log, last, &head);
                    (!is_theirs).then(|| {
                        format!("the seal after record {last} was not signed with this key")
                    })
                }
            };
            if complaint.is_some() {
                report.verdict = "corrupt";
                found.verdict = "corrupt";
            }
            found.complaints.extend(complaint);
        }
    }
}

fn values(reader: &mut Reader, report: &mut Report) -> Result<(), Failure> {
    let mut whole = BTreeSet::new();
    for index in 0..reader.len() {
        let place = reader.analysis.records[index].place;
        if !place.has_blob {
            continue;
        }
        for digest in blobs::digests(&reader.line(index)?) {
            if whole.contains(&digest) {
                continue;
            }
            if reader.blob(&digest).is_some() {
                whole.insert(digest);
            } else {
                reader.check_access(std::slice::from_ref(&digest))?;
                report.lost_values.push((place.seq, digest));
            }
        }
    }
    report.blobs = whole.len() as u64;
    if !report.lost_values.is_empty() {
        // What is above the evidence has been cut off as torn.
        report.verdict = "corrupt";
    }
    Ok(())
}

/// A corrupt log: every place where acknowledged records are missing.
fn wreck(vfs: &Arc<dyn Vfs>, name: Option<&str>) -> Result<Report, Failure> {
    let salvage = Salvage::of(vfs.clone(), name)?;
    let files = match name {
        Some(name) => {
            let failed = |e| Failure::reading(&vfs.path(name), &e);
            vec![File::plain(
                1,
                name.to_owned(),
                vfs.read(name).map_err(failed)?,
            )]
        }
        None => read_segments(vfs.as_ref(), u64::MAX)?,
    };
    let mut segments: Vec<Segment> = files
        .iter()
        .map(|file| {
            let items = scan(file.bytes(), &salvage.id);
            segment(&file.name, file.range.len() as u64, &items)
        })
        .collect();
    let mut convict = |is_it: &dyn Fn(&Segment) -> bool, what: String| {
        if let Some(at) = segments.iter_mut().find(|segment| is_it(segment)) {
            at.verdict = "corrupt";
            at.complaints.push(what);
        }
    };
    for gap in salvage.gaps() {
        let what = format!(
            "records {}..{} are lost, from byte {} on",
            gap.first, gap.last, gap.offset
        );
        convict(&|segment| segment.name == gap.segment, what);
    }
    if let Some(Failure::Corrupt(what, path, ..)) = &salvage.damage {
        convict(&|segment| vfs.path(&segment.name) == *path, what.clone());
    }
    Ok(Report {
        log: salvage.id,
        verdict: "corrupt",
        records: salvage.records(),
        segments,
        blobs: 0,
        lost_values: Vec::new(),
        signatures: 0,
    })
}
