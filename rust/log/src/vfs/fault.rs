//! A disk that fails at the k-th operation, writes short, or is full.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::memory::MemoryVfs;
use super::{Vfs, VfsFile};

/// What goes wrong, and when. The default: nothing.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The operation that fails, counted from 1; 0 for none.
    pub fail_at: u64,
    /// Every later one fails too: the process is dead.
    pub is_sticky: bool,
    /// Bytes that still fit on the disk; `None` for no end.
    pub room: Option<usize>,
    /// Each write takes half of what it is given, and every third is interrupted first.
    pub is_short: bool,
}

/// One operation that was asked for.
pub type Asked = (&'static str, String);

#[derive(Default)]
struct State {
    plan: Plan,
    asked: Vec<Asked>,
}

/// A disk with a plan. Clones share it.
#[derive(Clone)]
pub struct FaultVfs {
    disk: MemoryVfs,
    state: Arc<Mutex<State>>,
}

impl FaultVfs {
    /// *disk*, on which *plan* goes wrong.
    pub fn new(disk: &MemoryVfs, plan: Plan) -> Self {
        let state = State {
            plan,
            asked: Vec::new(),
        };
        FaultVfs {
            disk: disk.clone(),
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What was asked for so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// Changes the plan; operations are counted from 1 again.
    pub fn plan(&self, plan: Plan) {
        *self.state() = State {
            plan,
            asked: Vec::new(),
        };
    }

    fn ask(&self, what: &'static str, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.asked.push((what, name.to_owned()));
        let count = state.asked.len() as u64;
        let Plan {
            fail_at, is_sticky, ..
        } = state.plan;
        let fails = fail_at != 0 && (count == fail_at || (is_sticky && count > fail_at));
        if fails {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }

    fn file(&self, name: &str, inner: Box<dyn VfsFile>) -> Box<dyn VfsFile> {
        Box::new(FaultFile {
            vfs: self.clone(),
            name: name.to_owned(),
            inner,
        })
    }
}

impl Vfs for FaultVfs {
    fn path(&self, name: &str) -> String {
        self.disk.path(name)
    }

    fn create_root(&self) -> io::Result<()> {
        self.ask("create root", "")?;
        self.disk.create_root()
    }

    fn create_folder(&self, name: &str) -> io::Result<()> {
        self.ask("create folder", name)?;
        self.disk.create_folder(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.ask("list", "")?;
        self.disk.list()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.ask("read", name)?;
        self.disk.read(name)
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.ask("exists", name)?;
        self.disk.exists(name)
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn VfsFile>> {
        self.ask("create", name)?;
        Ok(self.file(name, self.disk.create_new(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn VfsFile>> {
        self.ask("open", name)?;
        Ok(self.file(name, self.disk.open(name)?))
    }

    fn lock(&self, name: &str) -> io::Result<Option<Box<dyn VfsFile>>> {
        self.ask("lock", name)?;
        let inner = self.disk.lock(name)?;
        Ok(inner.map(|inner| self.file(name, inner)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.ask("rename", to)?;
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.ask("remove", name)?;
        let freed = self.disk.read(name).map_or(0, |bytes| bytes.len());
        self.disk.remove(name)?;
        if let Some(room) = &mut self.state().plan.room {
            *room += freed;
        }
        Ok(())
    }

    fn sync_folder(&self, name: &str) -> io::Result<()> {
        self.ask("sync folder", name)?;
        self.disk.sync_folder(name)
    }
}

struct FaultFile {
    vfs: FaultVfs,
    name: String,
    inner: Box<dyn VfsFile>,
}

impl VfsFile for FaultFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.vfs.ask("append", &self.name)?;
        let mut state = self.vfs.state();
        let mut count = bytes.len();
        if state.plan.is_short {
            if state.asked.len().is_multiple_of(3) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            count = count.div_ceil(2);
        }
        if let Some(room) = &mut state.plan.room {
            if *room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            count = count.min(*room);
            *room -= count;
        }
        drop(state);
        self.inner.append(&bytes[..count])
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.vfs.ask("write at", &self.name)?;
        self.inner.write_at(offset, bytes)
    }

    fn size(&self) -> io::Result<u64> {
        self.vfs.ask("size", &self.name)?;
        self.inner.size()
    }

    fn sync(&mut self) -> io::Result<()> {
        let asked = self.vfs.ask("sync", &self.name);
        if asked.is_err() {
            self.vfs.disk.poison(&self.name);
        }
        asked.and_then(|()| self.inner.sync())
    }

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        self.vfs.ask("truncate", &self.name)?;
        self.inner.truncate(size)
    }
}
