//! The files of a log's folder, read. Judges nothing.

use std::io;

use crate::archive::{self, File, SUFFIX};
use crate::failure::Failure;
use crate::vfs::{segment_files, Vfs};

/// The segments in a folder, in order, but for those from *below* on.
pub(crate) fn read_segments(vfs: &dyn Vfs, below: u64) -> Result<Vec<File>, Failure> {
    // What vanished after it was listed has been archived meanwhile.
    let first = read_segments_once(vfs, below);
    match first {
        Err(Failure::NotFound(_)) => read_segments_once(vfs, below),
        first => first,
    }
}

fn read_segments_once(vfs: &dyn Vfs, below: u64) -> Result<Vec<File>, Failure> {
    let failed = |name: &str, error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => Failure::NotFound(format!(
            "{}: there is no log here; check the path",
            vfs.path(name)
        )),
        _ => Failure::reading(&vfs.path(name), error),
    };
    let found = segment_files(vfs).map_err(|error| failed("", &error))?;
    let mut files = Vec::new();
    // From the newest back: see `folder`.
    for (ordinal, name) in found.into_iter().filter(|(o, _)| *o < below).rev() {
        let found = files_of(vfs, ordinal, &name).map_err(|error| failed(&name, &error))?;
        files.extend(found);
    }
    Ok(archive::unpruned(archive::once(files)))
}

/// The segments in the file *name*: one, but of an archive.
pub(crate) fn files_of(vfs: &dyn Vfs, ordinal: u64, name: &str) -> io::Result<Vec<File>> {
    let bytes = vfs.read(name)?;
    if name.ends_with(SUFFIX) {
        return Ok(archive::parts(name, ordinal, &bytes));
    }
    Ok(vec![File::plain(ordinal, name.to_owned(), bytes)])
}
