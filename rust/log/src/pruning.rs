//! Removes the oldest segments of a log on purpose, and says so in the first header that is left;
//! puts what a fork shares with its parent into the fork, so that the parent may be pruned.
//!
//! One rename decides: it puts the header that says `pruned` in place. From then on what lies before
//! it does not count any more, whether it is removed already or not.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::archive::{self, pack, source, unpack, File, ARCHIVE_BYTES_MAX};
use crate::blobs::{blob_name, digests, write_whole};
use crate::chain;
use crate::failure::Failure;
use crate::folder::read_segments;
use crate::integrity::Walk;
use crate::lock::Lock;
use crate::marks::Header;
use crate::open::owned;
use crate::reader::{Found, Reader};
use crate::vfs::{segment_files, Vfs};

/// What was removed, or can be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The last record that is gone; 0 if nothing is.
    pub upto: u64,
    /// Segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Says what of the records before *before* can be removed: whole segments only, never all.
///
/// # Errors: `NotFound`, `Version`, `Corrupt`, `Failed`.
pub fn prunable(vfs: &Arc<dyn Vfs>, before: u64) -> Result<Pruned, Failure> {
    let reader = read(vfs)?;
    let files = read_segments(vfs.as_ref(), u64::MAX)?;
    Ok(
        cut(&reader, &files, before).map_or_else(Pruned::default, |(at, header)| {
            let gone = &files[..at];
            Pruned {
                upto: header.first - 1,
                segments: gone.len() as u64,
                bytes: gone.iter().map(|file| file.range.len() as u64).sum(),
            }
        }),
    )
}

/// Removes it. Nobody may be writing the log; whether anybody needs what is removed is for the
/// caller to know.
///
/// # Errors: as `prunable`; `Owned`. Then nothing was removed.
pub fn prune(vfs: &Arc<dyn Vfs>, before: u64) -> Result<Pruned, Failure> {
    let failed = |doing: &'static str| {
        let path = vfs.path("");
        move |error: io::Error| Failure::io(doing, &path, &error, 0)
    };
    read(vfs)?;
    let lock = Lock::take(vfs.as_ref()).map_err(failed("locking"))?;
    let _lock = lock.ok_or_else(|| owned(vfs.as_ref()))?;
    let found = prunable(vfs, before)?;
    let files = read_segments(vfs.as_ref(), u64::MAX)?;
    let mut reader = read(vfs)?;
    if let Some((at, mut header)) = cut(&reader, &files, before) {
        let upto = header.first - 1;
        let (head, values) = walk(&mut reader, upto)?;
        let pruned = format!("{{\"upto\":{upto},\"head\":\"{}\"}}", chain::show(&head));
        header.rare_mut().pruned = Some(pruned);
        let put = put(vfs.as_ref(), &files, at, &header, b"");
        put.map_err(failed("writing the first header"))?;
        remove_values(vfs.as_ref(), &values);
    }
    clean(vfs.as_ref()).map_err(failed("removing old segments"))?;
    Ok(found)
}

/// Puts *prefix*, the lines that the fork in the folder shares with its parent, ahead of its own,
/// and *blobs*, by digest, beside them. A log that holds its beginning is left as it is.
///
/// # Errors: `NotFound`, `Version`, `Corrupt`, `Failed`, `Owned`. Then nothing was changed.
pub fn detach(
    vfs: &Arc<dyn Vfs>,
    prefix: &[u8],
    blobs: &[(String, Vec<u8>)],
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io("detaching", &vfs.path(""), &error, 0);
    read(vfs)?;
    let lock = Lock::take(vfs.as_ref()).map_err(failed)?;
    let _lock = lock.ok_or_else(|| owned(vfs.as_ref()))?;
    let base = read(vfs)?.analysis.base;
    let files = read_segments(vfs.as_ref(), u64::MAX)?;
    let begins = |file: &File| archive::header(file.bytes()).filter(|it| it.first == base);
    let first = files.iter().enumerate();
    let first = first
        .filter_map(|(at, file)| Some((at, begins(file)?)))
        .next();
    let Some((at, mut header)) = first.filter(|(_, header)| shares(header, base)) else {
        return Ok(());
    };
    // As for pruning: of a writer that may be paused.
    if at + 1 == files.len() && !files[at].is_whole() {
        let why = "it was not closed in order; open it for appending, and close it, first";
        return Err(Failure::Failed(format!("{}: {why}", vfs.path("")), 0));
    }
    for (digest, blob) in blobs {
        let below = format!("blobs/{}", &digest[..2]);
        vfs.create_folder(&below).map_err(failed)?;
        write_whole(vfs.as_ref(), &blob_name("blobs", digest), blob).map_err(failed)?;
        vfs.sync_folder(&below).map_err(failed)?;
    }
    for folder in ["blobs", ""] {
        if !blobs.is_empty() {
            vfs.sync_folder(folder).map_err(failed)?;
        }
    }
    (header.first, header.tail) = (1, 0);
    header.rare_mut().prev = None;
    put(vfs.as_ref(), &files, at, &header, prefix).map_err(failed)
}

fn shares(header: &Header, base: u64) -> bool {
    let cut = header.forked().map(|fork| fork.at);
    header.pruned().is_none() && cut.is_some_and(|at| at > 0 && at + 1 == base)
}

fn read(vfs: &Arc<dyn Vfs>) -> Result<Reader, Failure> {
    match Reader::folder(vfs.clone(), u64::MAX)? {
        Found::Log(reader) => Ok(*reader),
        Found::Nothing => Err(Failure::NotFound(format!(
            "{}: there is no log here",
            vfs.path("")
        ))),
    }
}

/// The first segment that stays, and its header; `None` if all do.
fn cut(reader: &Reader, files: &[File], before: u64) -> Option<(usize, Header)> {
    let last = files.len() - 1;
    let stays = |(at, file): (usize, &File)| {
        let header = archive::header(file.bytes())?;
        let is_later = header.first > reader.analysis.base && header.first <= before;
        // The file of a writer that may be paused is left alone: by it he finds out.
        (is_later && (at < last || file.is_whole())).then_some((at, header))
    };
    files.iter().enumerate().rev().find_map(stays)
}

/// The chain hash after record *upto*, and the large values that nobody needs behind it.
fn walk(reader: &mut Reader, upto: u64) -> Result<(chain::Hash, BTreeSet<String>), Failure> {
    let mut walk = Walk::start(&reader.header);
    let (mut gone, mut needed) = (BTreeSet::new(), BTreeSet::new());
    let mut head = walk.hash;
    for index in 0..reader.len() {
        let line = reader.line(index)?;
        let place = reader.analysis.records[index].place;
        if place.seq <= upto {
            let path = reader.path(reader.analysis.records[index].file);
            walk.step(&line)
                .map_err(|what| Failure::Corrupt(what, path, place.seq, place.offset))?;
            head = walk.hash;
        }
        let values = if place.seq <= upto {
            &mut gone
        } else {
            &mut needed
        };
        if place.has_blob {
            values.extend(digests(&line));
        }
    }
    Ok((head, &gone - &needed))
}

/// Puts *header* in the place of that of the segment *at*, and *lines* behind it: the moment at
/// which all is decided.
fn put(vfs: &dyn Vfs, files: &[File], at: usize, header: &Header, lines: &[u8]) -> io::Result<()> {
    let file = &files[at];
    let mut bytes = Vec::new();
    header.push_line(&mut bytes);
    bytes.extend_from_slice(lines);
    let own = file.bytes();
    let rest = memchr::memchr(b'\n', own).map_or(own.len(), |end| end + 1);
    bytes.extend_from_slice(&own[rest..]);
    let name = source(&file.name);
    if file.is_archived {
        for later in files[at + 1..].iter().filter(|it| source(&it.name) == name) {
            bytes.extend_from_slice(later.bytes());
        }
        let packed = pack(&bytes)?;
        if unpack(&packed, ARCHIVE_BYTES_MAX) != bytes {
            return Err(io::Error::other("what was compressed does not come back"));
        }
        bytes = packed;
    }
    write_whole(vfs, name, &bytes)?;
    vfs.sync_folder("")
}

/// Removes what lies before the first segment that counts.
fn clean(vfs: &dyn Vfs) -> io::Result<()> {
    let files = read_segments(vfs, u64::MAX).map_err(io::Error::other)?;
    let Some(first) = files.first() else {
        return Ok(());
    };
    for (ordinal, name) in segment_files(vfs)? {
        if ordinal < first.ordinal {
            vfs.remove(&name)?;
        }
    }
    for name in vfs.list()? {
        let aside = name
            .split_once(".tail-")
            .map(|(digits, _)| digits.parse::<u64>());
        if matches!(aside, Some(Ok(ordinal)) if ordinal < first.ordinal) {
            vfs.remove(&name)?;
        }
    }
    vfs.sync_folder("")
}

/// What is left of them costs room and nothing else.
fn remove_values(vfs: &dyn Vfs, values: &BTreeSet<String>) {
    for digest in values {
        let _ = vfs.remove(&blob_name("blobs", digest));
    }
}
