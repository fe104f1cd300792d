//! A log in one file: a header, the records that count, a seal. Read and judged.

use std::io;
use std::sync::Arc;

use crate::archive::File;
use crate::blobs;
use crate::failure::Failure;
use crate::reader::{Found, Reader};
use crate::recover::Verdict;
use crate::scan::Item;
use crate::vfs::{ordinal, Vfs};

impl Reader {
    /// Scans one packed file *name*; its blobs lie beside it.
    ///
    /// # Errors: `NotFound`, `Version`, `Corrupt`, `Failed`.
    pub fn packed(vfs: Arc<dyn Vfs>, name: &str) -> Result<Found, Failure> {
        let file = read(vfs.as_ref(), name)?;
        let folder = blobs::packed_folder(name);
        let found = Reader::judge(vfs, &folder, vec![file], b"", 0)?;
        if let Found::Log(reader) = &found {
            if is_cut(name, reader.files[0].items.iter()) {
                return Err(cut(reader));
            }
        }
        Ok(found)
    }
}

/// The file *name*.
pub(crate) fn read(vfs: &dyn Vfs, name: &str) -> Result<File, Failure> {
    let bytes = vfs.read(name).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::NotFound(format!(
            "{}: there is no log here; check the path",
            vfs.path(name)
        )),
        _ => Failure::reading(&vfs.path(name), &error),
    })?;
    Ok(File::plain(1, name.to_owned(), bytes))
}

/// Whether the end of the file *name* is missing: a log is packed at once, and then sealed. Not so
/// a segment of a folder, which somebody may be writing.
pub(crate) fn is_cut<'a>(name: &str, items: impl DoubleEndedIterator<Item = &'a Item>) -> bool {
    let is_sealed = items.rev().find_map(|item| match item {
        Item::Seal(..) => Some(true),
        Item::Header(..) => Some(false),
        _ => None,
    });
    is_sealed == Some(false) && ordinal(name).is_none()
}

fn cut(reader: &Reader) -> Failure {
    let (path, next) = (reader.path(0), reader.analysis.next);
    let at = match &reader.analysis.verdict {
        Verdict::Torn(torn) => torn.offset,
        _ => reader.files[0].size,
    };
    Failure::Corrupt(
        format!(
            "{path}: byte {at}: there is no seal, which is the last line of a packed log: the file \
             was cut short behind record {}; nothing was changed; restore a copy, or keep the \
             records before {next}; a log that is being written is read in its folder",
            next - 1
        ),
        path,
        next,
        at,
    )
}
