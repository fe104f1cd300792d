//! A disk in memory that knows what is durable, and what a power cut may leave of the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Identity, OpenFile, Vfs, VfsFile};
use crate::garden::planted;

pub(crate) const SECTOR_BYTES: usize = 512;

/// A small generator of numbers, the same for the same seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Starts at *seed*.
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below *sides*.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides.max(1)
    }
}

#[derive(Clone, Default)]
struct Node {
    // Shared, so that a copy of the disk and a sync cost nothing.
    cached: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    is_locked: bool,
    /// A sync failed: the pages count as clean, later syncs say "ok" and do nothing.
    lies: bool,
}

impl Node {
    fn of(bytes: Arc<Vec<u8>>) -> Self {
        Node {
            cached: bytes.clone(),
            durable: bytes,
            ..Node::default()
        }
    }
}

#[derive(Clone, Default)]
struct State {
    nodes: Vec<Node>,
    entries: BTreeMap<String, usize>,
    durable_entries: BTreeMap<String, usize>,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryVfs {
    state: Arc<Mutex<State>>,
    /// The lock is given to everybody, as on some network file systems.
    pub lock_lies: bool,
}

impl MemoryVfs {
    /// An empty disk.
    pub fn new() -> Self {
        MemoryVfs::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Puts a file there, durably.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        let node = state.nodes.len();
        state.nodes.push(Node::of(Arc::new(bytes.to_vec())));
        state.entries.insert(name.to_owned(), node);
        state.durable_entries.insert(name.to_owned(), node);
    }

    /// A disk with the same content, which goes its own way.
    pub fn copy(&self) -> MemoryVfs {
        let mut state = self.state().clone();
        for node in &mut state.nodes {
            node.is_locked = false;
        }
        MemoryVfs {
            state: Arc::new(Mutex::new(state)),
            lock_lies: self.lock_lies,
        }
    }

    /// What a later sync of *name* says is not true any more.
    pub(crate) fn poison(&self, name: &str) {
        let mut state = self.state();
        if let Some(&node) = state.entries.get(name) {
            state.nodes[node].lies = true;
        }
    }

    /// The disk after a power cut: of what was not synced, anything may be there.
    pub fn power_cut(&self, dice: &mut Dice) -> MemoryVfs {
        let before = self.state().clone();
        let mut after = State::default();
        let names: BTreeSet<&String> = before
            .entries
            .keys()
            .chain(before.durable_entries.keys())
            .collect();
        for name in names {
            let (new, old) = (before.entries.get(name), before.durable_entries.get(name));
            let survivor = if new == old || dice.roll(2) == 0 {
                old
            } else {
                new
            };
            let parent = name.rsplit_once('/').map(|(parent, _)| parent);
            let has_parent = parent.is_none_or(|parent| after.entries.contains_key(parent));
            if let Some(&node) = survivor.filter(|_| has_parent) {
                let node = &before.nodes[node];
                // A megabyte of zeros, which nobody reads.
                let bytes = match name == crate::reserve::RESERVE {
                    true => node.cached.clone(),
                    false => survivor_of(node, dice),
                };
                after.entries.insert(name.clone(), after.nodes.len());
                after.nodes.push(Node::of(bytes));
            }
        }
        after.durable_entries = after.entries.clone();
        MemoryVfs {
            state: Arc::new(Mutex::new(after)),
            lock_lies: self.lock_lies,
        }
    }
}

/// Each unsynced sector old, new, zero or garbage; the length old, new or between. A sector that
/// holds durable bytes is written as one: old or new. No log that appends could do without that.
fn survivor_of(node: &Node, dice: &mut Dice) -> Arc<Vec<u8>> {
    let (new, old) = (&node.cached, &node.durable);
    if Arc::ptr_eq(new, old) || new == old {
        return old.clone();
    }
    let (short, long) = (new.len().min(old.len()), new.len().max(old.len()));
    let length = match dice.roll(3) {
        0 => new.len(),
        1 => old.len(),
        _ => short + dice.roll(long - short + 1),
    };
    let mut bytes = vec![0; length];
    for start in (0..length).step_by(SECTOR_BYTES) {
        let end = length.min(start + SECTOR_BYTES);
        let at = |image: &[u8]| {
            let mut sector = image.get(start..).unwrap_or_default().to_vec();
            sector.resize(end - start, 0);
            sector
        };
        let has_durable = start < old.len();
        let sector = match (at(new) == at(old), dice.roll(8)) {
            (true, _) | (_, 0..=3) => at(new),
            (_, 4..=5) => at(old),
            _ if has_durable => at(old),
            (_, 6) => vec![0; end - start],
            _ => (start..end).map(|_| dice.roll(256) as u8).collect(),
        };
        bytes[start..end].copy_from_slice(&sector);
    }
    Arc::new(bytes)
}

impl Vfs for MemoryVfs {
    fn path(&self, name: &str) -> String {
        format!("disk/{name}")
    }

    fn create_root(&self) -> io::Result<()> {
        Ok(())
    }

    fn create_folder(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let ends = name.match_indices('/').map(|(at, _)| at);
        for end in ends.chain([name.len()]) {
            let folder = &name[..end];
            if !state.entries.contains_key(folder) {
                let node = state.nodes.len();
                state.nodes.push(Node::default());
                state.entries.insert(folder.to_owned(), node);
            }
        }
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.state();
        let here = state.entries.keys().filter(|name| !name.contains('/'));
        Ok(here.cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.state();
        let node = *state.entries.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(state.nodes[node].cached.to_vec())
    }

    fn identity(&self, name: &str) -> io::Result<Option<Identity>> {
        Ok(self.state().entries.get(name).map(|&node| (0, node as u64)))
    }

    fn create_new(&self, name: &str) -> io::Result<OpenFile> {
        let mut state = self.state();
        if state.entries.contains_key(name) {
            if planted("create_without_excl") {
                drop(state);
                return self.open(name);
            }
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = state.nodes.len();
        state.nodes.push(Node::default());
        state.entries.insert(name.to_owned(), node);
        drop(state);
        self.open(name)
    }

    fn open(&self, name: &str) -> io::Result<OpenFile> {
        let node = *self
            .state()
            .entries
            .get(name)
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(OpenFile::Other(Box::new(MemoryFile {
            disk: self.clone(),
            node,
            holds_lock: false,
        })))
    }

    fn lock(&self, name: &str) -> io::Result<Option<OpenFile>> {
        if !self.exists(name)? {
            self.create_new(name)?;
        }
        let mut state = self.state();
        let node = state.entries[name];
        if state.nodes[node].is_locked && !self.lock_lies {
            return Ok(None);
        }
        state.nodes[node].is_locked = true;
        drop(state);
        Ok(Some(OpenFile::Other(Box::new(MemoryFile {
            disk: self.clone(),
            node,
            holds_lock: true,
        }))))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let node = state.entries.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.entries.insert(to.to_owned(), node);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.state().entries.remove(name);
        removed.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let is_here = |entry: &str| entry.rsplit_once('/').map_or("", |(parent, _)| parent) == name;
        state.durable_entries.retain(|entry, _| !is_here(entry));
        let here: Vec<(String, usize)> = state
            .entries
            .iter()
            .filter(|(entry, _)| is_here(entry))
            .map(|(entry, &node)| (entry.clone(), node))
            .collect();
        state.durable_entries.extend(here);
        Ok(())
    }
}

struct MemoryFile {
    disk: MemoryVfs,
    node: usize,
    holds_lock: bool,
}

impl VfsFile for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        Arc::make_mut(&mut state.nodes[self.node].cached).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let cached = Arc::make_mut(&mut state.nodes[self.node].cached);
        let end = offset as usize + bytes.len();
        if cached.len() < end {
            cached.resize(end, 0);
        }
        cached[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().nodes[self.node].cached.len() as u64)
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok((0, self.node as u64))
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        let node = &mut state.nodes[self.node];
        if !node.lies {
            node.durable = node.cached.clone();
        }
        Ok(())
    }

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        Arc::make_mut(&mut state.nodes[self.node].cached).resize(size as usize, 0);
        Ok(())
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        if self.holds_lock {
            self.disk.state().nodes[self.node].is_locked = false;
        }
    }
}
