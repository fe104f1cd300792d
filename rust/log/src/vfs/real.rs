//! The file system of the operating system.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
#[cfg(not(unix))]
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::{Identity, OpenFile, Vfs, VfsFile};

/// A folder on disk. Folders are made 0700, files 0600.
pub struct RealVfs {
    root: Box<Path>,
    /// What one file in it is really called, if that is no text.
    odd: Option<Box<OsString>>,
}

impl RealVfs {
    /// A log's folder, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        RealVfs {
            root: root.into().into_boxed_path(),
            odd: None,
        }
    }

    /// The folder of the file *path*, and the name of that in it.
    pub fn beside(path: &Path) -> (Self, String) {
        let name = path.file_name().unwrap_or_default();
        let vfs = RealVfs {
            root: path.parent().unwrap_or(Path::new("")).into(),
            odd: name.to_str().is_none().then(|| Box::new(name.to_owned())),
        };
        (vfs, name.to_string_lossy().into_owned())
    }

    /// The folder, as it was given.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn at(&self, name: &str) -> PathBuf {
        match &self.odd {
            _ if name.is_empty() => self.root.to_path_buf(),
            Some(odd) if odd.to_string_lossy() == name => self.root.join(odd.as_os_str()),
            _ => self.root.join(name),
        }
    }
}

impl Vfs for RealVfs {
    fn path(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    fn create_root(&self) -> io::Result<()> {
        if self.root.as_os_str().is_empty() || self.root.is_dir() {
            return Ok(());
        }
        private_folder(&self.root)?;
        // A folder is durable when its parent is synced, and so on up to one that was there.
        // That one is not known any more; two levels cover `runs/trip` in an old folder.
        let parents = self.root.ancestors().skip(1).take(2);
        for parent in parents {
            sync_folder(parent)?;
        }
        Ok(())
    }

    fn create_folder(&self, name: &str) -> io::Result<()> {
        // A log that was removed is not begun anew by what is to lie below it.
        if !self.root.as_os_str().is_empty() {
            fs::metadata(&self.root)?;
        }
        private_folder(&self.at(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.at(name))?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn identity(&self, name: &str) -> io::Result<Option<Identity>> {
        match fs::metadata(self.at(name)) {
            Ok(found) => Ok(Some(identity(&found))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create_new(&self, name: &str) -> io::Result<OpenFile> {
        let mut options = OpenOptions::new();
        options.append(true).read(true).create_new(true);
        Ok(OpenFile::Real(RealFile(
            private(&mut options).open(self.at(name))?,
        )))
    }

    fn open(&self, name: &str) -> io::Result<OpenFile> {
        let file = OpenOptions::new()
            .write(true)
            .read(true)
            .open(self.at(name))?;
        Ok(OpenFile::Real(RealFile(file)))
    }

    fn lock(&self, name: &str) -> io::Result<Option<OpenFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = private(&mut options).open(self.at(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(OpenFile::Real(RealFile(file)))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.at(name))
    }

    fn sync_folder(&self, name: &str) -> io::Result<()> {
        sync_folder(&self.at(name))
    }
}

/// A file of the operating system.
pub struct RealFile(File);

impl VfsFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    #[cfg(target_os = "linux")]
    fn reserve(&mut self, bytes: u64) -> io::Result<bool> {
        use rustix::fs::{fallocate, FallocateFlags};
        match fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::NOSPC) => Err(rustix::io::Errno::NOSPC.into()),
            Err(_) => Ok(false), // as file systems say that cannot
        }
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::write_all_at(&self.0, bytes, offset);
        #[cfg(not(unix))]
        {
            self.0.seek(SeekFrom::Start(offset))?;
            self.0.write_all(bytes)
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn identity(&self) -> io::Result<Identity> {
        self.0.metadata().map(|found| identity(&found))
    }

    fn sync(&mut self) -> io::Result<()> {
        // fdatasync; F_FULLFSYNC on macOS, FlushFileBuffers on Windows.
        self.0.sync_data()
    }

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }
}

#[cfg(unix)]
fn identity(found: &fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino())
}

#[cfg(not(unix))]
fn identity(_found: &fs::Metadata) -> Identity {
    (0, 0)
}

fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let here = path.as_os_str().is_empty();
    File::open(if here { Path::new(".") } else { path })?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    // Windows has no such call; NTFS journals its entries.
    Ok(())
}
