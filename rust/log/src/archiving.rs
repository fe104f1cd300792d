//! Makes archives: joins neighbouring sealed segments, and compresses them.
//!
//! At every moment each segment is in a file of its own or in an archive, whole; while it is in
//! both it counts once. So nothing is lost wherever this is interrupted, and the next time goes on.

use std::sync::Arc;

use crate::archive::{pack, source, unpack, File, ARCHIVE_BYTES_MAX, SUFFIX};
use crate::blobs::write_whole;
use crate::failure::Failure;
use crate::folder::{files_of, read_segments};
use crate::lock::Lock;
use crate::open::owned;
use crate::reader::{Found, Reader};
use crate::vfs::{segment_files, Vfs};

/// Segments are joined up to this many bytes.
const JOINED_BYTES_MAX: usize = 128 << 20;

/// An archive that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// Name of the file.
    pub name: String,
    /// Segments in it.
    pub segments: u64,
    /// Their bytes, and those of the file.
    pub bytes: (u64, u64),
}

/// Archives the sealed segments of the log in the folder. Nobody may be writing it.
///
/// A segment behind one that was never sealed stays: who wrote that one finds out by the name that
/// it is not the owner any more.
///
/// # Errors: `NotFound`, `Owned`, `Version`, `Failed`; `Corrupt`: then nothing was changed.
pub fn archive(vfs: &Arc<dyn Vfs>) -> Result<Vec<Archived>, Failure> {
    let failed = |doing: &'static str| {
        let path = vfs.path("");
        move |error: std::io::Error| Failure::io(doing, &path, &error, 0)
    };
    // Before the lock: to take it would leave its file in a folder of somebody else.
    read_segments(vfs.as_ref(), 0)?;
    if segment_files(vfs.as_ref())
        .map_err(failed("listing"))?
        .is_empty()
    {
        return Err(nothing(vfs.as_ref()));
    }
    let lock = Lock::take(vfs.as_ref()).map_err(failed("locking"))?;
    let _lock = lock.ok_or_else(|| owned(vfs.as_ref()))?;
    match Reader::folder(vfs.clone(), u64::MAX)? {
        Found::Log(_) => {}
        Found::Nothing => return Err(nothing(vfs.as_ref())),
    }
    let files = read_segments(vfs.as_ref(), u64::MAX)?;
    let groups = groups(&files);
    let made: Result<Vec<_>, _> = groups.iter().map(|it| write(vfs.as_ref(), it)).collect();
    let (made, moved) = (made?, groups.concat());
    clean(vfs.as_ref(), &made, &moved, &files).map_err(failed("removing what was archived"))?;
    Ok(made)
}

fn nothing(vfs: &dyn Vfs) -> Failure {
    Failure::NotFound(format!("{}: there is no log here", vfs.path("")))
}

/// Neighbours that are joined: all whole, not too many bytes, and not an archive already.
fn groups(files: &[File]) -> Vec<&[File]> {
    let mut groups = Vec::new();
    let (mut start, mut size, mut is_behind_whole) = (0, 0, true);
    for (at, file) in files.iter().enumerate() {
        let is_whole = file.is_whole() && file.range.len() <= ARCHIVE_BYTES_MAX;
        let fits = is_whole && is_behind_whole;
        if !fits || size + file.range.len() > JOINED_BYTES_MAX {
            groups.push(&files[start..at]);
            (start, size) = (at + usize::from(!fits), 0);
        }
        size += if fits { file.range.len() } else { 0 };
        is_behind_whole = is_whole;
    }
    groups.push(&files[start..]);
    groups.retain(|group| !group.is_empty() && !is_archive(group));
    groups
}

/// Whether *group* is what one archive holds already.
fn is_archive(group: &[File]) -> bool {
    let name = source(&group[0].name);
    let held: usize = group.iter().map(|file| file.range.len()).sum();
    let same = |file: &File| file.is_archived && source(&file.name) == name;
    group.iter().all(same) && held == group[0].whole.len()
}

fn write(vfs: &dyn Vfs, group: &[File]) -> Result<Archived, Failure> {
    let last = group.last().map_or(0, |file| file.ordinal);
    let name = format!("{last:08}{SUFFIX}");
    let path = vfs.path(&name);
    let bytes: Vec<u8> = group.iter().flat_map(File::bytes).copied().collect();
    let packed = pack(&bytes).map_err(|error| Failure::io("compressing", &path, &error, 0))?;
    if unpack(&packed, ARCHIVE_BYTES_MAX) != bytes {
        let what = format!("{path}: what was compressed does not come back; nothing was changed");
        return Err(Failure::Failed(what, 0));
    }
    write_whole(vfs, &name, &packed)
        .and_then(|()| vfs.sync_folder(""))
        .map_err(|error| Failure::io("writing", &path, &error, 0))?;
    Ok(Archived {
        name,
        segments: group.len() as u64,
        bytes: (bytes.len() as u64, packed.len() as u64),
    })
}

/// Removes the files of which every segment is in *made*, or the same in another file that is read.
fn clean(vfs: &dyn Vfs, made: &[Archived], moved: &[File], read: &[File]) -> std::io::Result<()> {
    for (ordinal, name) in segment_files(vfs)? {
        if made.iter().any(|archive| archive.name == name) {
            continue;
        }
        let is_moved = |file: &File| moved.iter().any(|one| one.is_same(file));
        let is_elsewhere = |file: &File| {
            let other = |one: &&File| source(&one.name) != name && one.is_same(file);
            read.iter().any(|one| other(&one))
        };
        let held = files_of(vfs, ordinal, &name)?;
        if held.iter().all(|file| is_moved(file) || is_elsewhere(file)) {
            vfs.remove(&name)?;
        }
    }
    vfs.sync_folder("")
}
