//! What the log asks of a file system, and nothing else.
//!
//! A `Vfs` is rooted at one log's folder; names are relative, with `/`. Three implementations:
//! `real`, and for tests `memory` (knows what is durable, can be cut off from power) and `fault`
//! (fails the k-th operation).

use std::io;
use std::ops::{Deref, DerefMut};

use crate::archive::SUFFIX;
use crate::garden::planted;

#[cfg(any(test, feature = "testing"))]
pub mod fault;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
pub mod real;

/// The device and number of a file; of each the same where the system has none.
pub type Identity = (u64, u64);

/// The folder of one log.
pub trait Vfs: Send + Sync {
    /// Path of *name*, for messages; of the folder itself if *name* is empty.
    fn path(&self, name: &str) -> String;
    /// Makes the folder, durably. Fine if it is there.
    fn create_root(&self) -> io::Result<()>;
    /// Makes a folder below. Fine if it is there.
    fn create_folder(&self, name: &str) -> io::Result<()>;
    /// Names of what lies directly in the folder.
    fn list(&self) -> io::Result<Vec<String>>;
    /// All bytes of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// What tells the file of that name from others; `None` if there is none.
    fn identity(&self, name: &str) -> io::Result<Option<Identity>>;
    /// Whether a file is there.
    fn exists(&self, name: &str) -> io::Result<bool> {
        self.identity(name).map(|found| found.is_some())
    }
    /// Creates a file for appending; `AlreadyExists` if there is one.
    fn create_new(&self, name: &str) -> io::Result<OpenFile>;
    /// Opens an existing file, to cut or to sync it.
    fn open(&self, name: &str) -> io::Result<OpenFile>;
    /// Opens or creates a file and locks it until it is dropped; `None` if another holds it.
    fn lock(&self, name: &str) -> io::Result<Option<OpenFile>>;
    /// Renames a file, replacing what is there.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the entries of a folder durable; the log's own folder if *name* is empty.
    fn sync_folder(&self, name: &str) -> io::Result<()>;
}

/// An open file, as who opened it holds it. One of the operating system is here in its place: of
/// the thousands of logs that an application may have open each holds two.
pub enum OpenFile {
    /// Of the operating system.
    Real(real::RealFile),
    /// Of a file system for tests.
    #[cfg(any(test, feature = "testing"))]
    Other(Box<dyn VfsFile>),
}

impl Deref for OpenFile {
    type Target = dyn VfsFile;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Real(file) => file,
            #[cfg(any(test, feature = "testing"))]
            Self::Other(file) => file.as_ref(),
        }
    }
}

impl DerefMut for OpenFile {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Real(file) => file,
            #[cfg(any(test, feature = "testing"))]
            Self::Other(file) => file.as_mut(),
        }
    }
}

/// What an open file can do.
pub trait VfsFile: Send {
    /// Writes at the end; returns how much, which may be less.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Sets room aside for *bytes*, in a file that is empty; false if zeros have to be written.
    fn reserve(&mut self, _bytes: u64) -> io::Result<bool> {
        Ok(false)
    }
    /// Overwrites in place. Not for files that are appended to.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Length in bytes, as the file system sees it.
    fn size(&self) -> io::Result<u64>;
    /// What tells it from others, whatever its name is by now.
    fn identity(&self) -> io::Result<Identity>;
    /// Makes all bytes and the length durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file.
    fn truncate(&mut self, size: u64) -> io::Result<()>;
}

/// Writes all of *bytes* at the end, over as many calls as it takes.
///
/// # Errors: the error, and how many bytes were written before it.
pub(crate) fn append_all(file: &mut dyn VfsFile, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut done = 0;
    while done < bytes.len() {
        match file.append(&bytes[done..]) {
            Ok(0) => return Err((done, io::ErrorKind::WriteZero.into())),
            Ok(_) if planted("short_write_dropped") => return Ok(()),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((done, error)),
        }
    }
    Ok(())
}

/// The name of a segment file.
pub fn segment_name(ordinal: u64) -> String {
    format!("{ordinal:08}.jsonl")
}

/// The files of segments in the folder, in order: ordinal (of an archive, its last one) and name.
pub(crate) fn segment_files(vfs: &dyn Vfs) -> io::Result<Vec<(u64, String)>> {
    let ordinal = |name: &String| -> Option<u64> {
        let digits = name.strip_suffix(SUFFIX).or(name.strip_suffix(".jsonl"))?;
        let decimal = digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_digit());
        decimal.then(|| digits.parse().ok()).flatten()
    };
    let named = vfs.list()?.into_iter();
    let mut found: Vec<_> = named.filter_map(|n| Some((ordinal(&n)?, n))).collect();
    found.sort_unstable();
    Ok(found)
}

/// The ordinals of the segments in the folder, ascending; of an archive its last one.
pub(crate) fn ordinals(vfs: &dyn Vfs) -> io::Result<Vec<u64>> {
    Ok(segment_files(vfs)?.into_iter().map(|(o, _)| o).collect())
}
