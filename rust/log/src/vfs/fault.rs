//! A disk that fails at the k-th operation, reads what is not there, writes short, or is full.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::memory::{Dice, MemoryVfs, SECTOR_BYTES};
use super::{Identity, OpenFile, Vfs, VfsFile};

/// How an operation fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// `EIO`.
    #[default]
    Io,
    /// `ENOSPC`.
    Full,
    /// `EINTR`.
    Interrupted,
    /// A write takes half of what it is given. No other operation fails.
    Short,
    /// A read gives a flipped bit, too little, zeros, or a sector from elsewhere, as drawn from
    /// this seed. No other operation fails.
    Misread(u64),
}

/// What goes wrong, and when. The default: nothing.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The operation that fails, counted from 1; 0 for none.
    pub fail_at: u64,
    /// Every later one fails too: the process is dead. Of reads, those of the same file.
    pub is_sticky: bool,
    /// How it fails.
    pub fault: Fault,
    /// Bytes that still fit on the disk; `None` for no end.
    pub room: Option<usize>,
    /// Each write takes half of what it is given, and every third is interrupted first.
    pub is_short: bool,
}

/// One operation that was asked for.
pub type Asked = (&'static str, String);

type Pause = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    plan: Plan,
    asked: Vec<Asked>,
    pause: Option<(u64, Pause)>,
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
            ..State::default()
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
            ..State::default()
        };
    }

    /// Before operation *at*, whoever asks for it is paused, and *others* happens.
    pub fn pause_at(&self, at: u64, others: impl FnOnce() + Send + 'static) {
        self.state().pause = Some((at, Box::new(others)));
    }

    fn ask(&self, what: &'static str, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.asked.push((what, name.to_owned()));
        let count = state.asked.len() as u64;
        if let Some((_, others)) = state.pause.take_if(|(at, _)| *at == count) {
            drop(state);
            others();
            state = self.state();
        }
        match state.plan.fault {
            Fault::Short | Fault::Misread(_) => Ok(()),
            _ if !state.strikes() => Ok(()),
            Fault::Io => Err(io::Error::from_raw_os_error(5)),
            Fault::Full => Err(io::ErrorKind::StorageFull.into()),
            Fault::Interrupted => Err(io::ErrorKind::Interrupted.into()),
        }
    }

    fn file(&self, name: &str, inner: OpenFile) -> OpenFile {
        OpenFile::Other(Box::new(FaultFile {
            vfs: self.clone(),
            name: name.to_owned(),
            inner,
        }))
    }
}

impl State {
    /// Whether the plan is for the operation asked for last.
    fn strikes(&self) -> bool {
        let (count, at) = (self.asked.len() as u64, self.plan.fail_at);
        // Who is interrupted tries again, for ever if need be.
        let is_sticky = self.plan.is_sticky && self.plan.fault != Fault::Interrupted;
        at != 0 && (count == at || (is_sticky && count > at))
    }

    /// The seed by which the file read last is misread.
    fn misread(&self) -> Option<u64> {
        let Fault::Misread(seed) = self.plan.fault else {
            return None;
        };
        let of = |index: usize| self.asked.get(index).map(|(_, name)| name);
        let first = of((self.plan.fail_at as usize).checked_sub(1)?);
        let is_same = first == of(self.asked.len() - 1);
        (self.strikes() && is_same).then_some(seed)
    }
}

/// *bytes*, as a disk gives them that is broken; *elsewhere* lies on the same disk.
fn misread(bytes: &mut Vec<u8>, elsewhere: &[u8], dice: &mut Dice) {
    if bytes.is_empty() {
        return;
    }
    let at = dice.roll(bytes.len());
    let start = at / SECTOR_BYTES * SECTOR_BYTES;
    let end = bytes.len().min(start + SECTOR_BYTES);
    match dice.roll(4) {
        0 => bytes[at] ^= 1 << dice.roll(8),
        1 => bytes.truncate(at),
        2 => bytes[start..end].fill(0),
        _ => {
            let from = dice.roll(elsewhere.len().div_ceil(SECTOR_BYTES)) * SECTOR_BYTES;
            let sector = elsewhere.get(from..).unwrap_or_default();
            let length = sector.len().min(end - start);
            bytes[start..start + length].copy_from_slice(&sector[..length]);
        }
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
        let mut bytes = self.disk.read(name)?;
        if let Some(seed) = self.state().misread() {
            let mut dice = Dice::new(seed);
            let names = self.disk.list()?;
            let other = self.disk.read(&names[dice.roll(names.len())])?;
            misread(&mut bytes, &other, &mut dice);
        }
        Ok(bytes)
    }

    fn identity(&self, name: &str) -> io::Result<Option<Identity>> {
        self.ask("exists", name)?;
        self.disk.identity(name)
    }

    fn create_new(&self, name: &str) -> io::Result<OpenFile> {
        self.ask("create", name)?;
        Ok(self.file(name, self.disk.create_new(name)?))
    }

    fn open(&self, name: &str) -> io::Result<OpenFile> {
        self.ask("open", name)?;
        Ok(self.file(name, self.disk.open(name)?))
    }

    fn lock(&self, name: &str) -> io::Result<Option<OpenFile>> {
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
    inner: OpenFile,
}

impl VfsFile for FaultFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.vfs.ask("append", &self.name)?;
        let mut state = self.vfs.state();
        let mut count = bytes.len();
        if state.plan.fault == Fault::Short && state.strikes() {
            count = count.div_ceil(2);
        }
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

    fn identity(&self) -> io::Result<Identity> {
        self.inner.identity()
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
