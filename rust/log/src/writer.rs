//! Writes a log: whole lines, syncs, rotations, seals. Single-threaded, no clock, no thread.
//!
//! Who drives it (`queue`, or a test) says when to write and when to sync. After any error the
//! log is poisoned: nothing more is written, the caller reopens and reads what is there.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::blobs::{self, Blob};
use crate::chain::{self, Hash};
use crate::checksum::LogId;
use crate::failure::{is_full, Failure};
use crate::garden::{planted, planted_nth};
use crate::lock::{Hint, Lock};
use crate::marks::{Header, Seal};
use crate::reserve::RESERVE;
use crate::sign::Key;
use crate::vfs::{append_all, ordinals, segment_name, OpenFile, Vfs};

/// Lines on their way to the file.
#[derive(Default)]
pub struct Batch {
    /// Whole lines.
    pub lines: Vec<u8>,
    /// Number of the last one.
    pub last: u64,
    /// Its time, for marks.
    pub at: u64,
    /// Values that the lines refer to.
    pub blobs: Vec<Blob>,
}

/// Chain hashes after the last record that is written, and that is durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    pub written: Hash,
    pub durable: Hash,
}

/// A segment holds copies of records whose fsync failed in the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// Records copied.
    pub copied: u64,
    /// Ordinal of the segment that holds the copies.
    pub segment: u64,
}

/// The open end of a log.
pub struct Writer {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) lock: Lock,
    /// The header of the current segment; the next one differs in a few fields.
    pub(crate) header: Arc<Header>,
    pub(crate) file: OpenFile,
    /// Bytes of the current segment that we wrote.
    pub(crate) size: u64,
    pub(crate) written: u64,
    pub(crate) durable: u64,
    /// The lines after `durable`, kept until they are on disk.
    pub(crate) unsynced: Vec<u8>,
    pub(crate) dirty_folders: BTreeSet<String>,
    pub(crate) at: u64,
    /// At the levels that have a chain.
    pub(crate) heads: Option<Box<Heads>>,
    /// Signs the seals, at level `signed`.
    pub(crate) key: Option<Key>,
    /// What the last segment took over from one whose fsync failed.
    pub takeover: Option<Box<Takeover>>,
}

impl Writer {
    /// The last record that survives the death of this process.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The last record that survives a power cut.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Bytes that a sync would make durable.
    pub fn unsynced_bytes(&self) -> usize {
        self.unsynced.len()
    }

    /// Bytes of the current segment.
    pub fn segment_bytes(&self) -> u64 {
        self.size
    }

    /// Records of the current segment that are its own.
    pub fn segment_records(&self) -> u64 {
        self.written - self.header.tail
    }

    /// Chain hash of the last record written, at the levels that have one.
    pub fn head(&self) -> Option<Hash> {
        self.heads.as_ref().map(|heads| heads.written)
    }

    /// The header of the current segment.
    pub fn header(&self) -> &Header {
        &self.header
    }

    fn id(&self) -> LogId {
        self.header.log
    }

    fn segment_path(&self) -> String {
        self.vfs.path(&segment_name(self.header.seg))
    }

    fn failed(&self, doing: &str, error: &io::Error) -> Failure {
        Failure::io(doing, &self.segment_path(), error, self.durable)
    }

    fn fenced(&self, why: &str) -> Failure {
        // Whoever opened the log has made a newer segment.
        let there = ordinals(self.vfs.as_ref()).unwrap_or_default();
        let next = match there.last() > Some(&self.header.seg) {
            true => "close this log, another process owns it now",
            false => {
                "nobody else opened the log: put its files back as they were, and open it again"
            }
        };
        Failure::Fenced(format!(
            "{}: {why}; records after {} were never acknowledged as durable; {next}",
            self.segment_path(),
            self.durable
        ))
    }

    /// Writes the lines of *batch* and the values they need. On return they survive the death
    /// of this process.
    ///
    /// # Errors: `Fenced`, `Full`, `Failed`. The log is then poisoned.
    pub fn write(&mut self, batch: &Batch) -> Result<(), Failure> {
        for blob in &batch.blobs {
            if let Err(error) = blobs::store(self.vfs.as_ref(), blob, &mut self.dirty_folders) {
                if is_full(&error) {
                    return Err(self.disk_is_full(&[], 0));
                }
                self.check_fence()?;
                return Err(self.failed("writing a blob", &error));
            }
        }
        let size = self.file.size();
        let size = size.map_err(|error| self.failed("reading the length", &error))?;
        if size != self.size {
            let expected = self.size;
            return Err(self.fenced(&format!("it is {size} bytes long, expected {expected}")));
        }
        self.at = batch.at;
        if planted("ack_before_write") {
            self.unsynced.extend_from_slice(&batch.lines);
            self.written = batch.last;
            return Ok(());
        }
        if planted("fence_check_before_write") {
            self.check_fence()?;
        }
        match append_all(&mut *self.file, &batch.lines) {
            Ok(()) => {
                self.wrote(&batch.lines);
                self.written = batch.last;
                Ok(())
            }
            Err((done, error)) if is_full(&error) => Err(self.disk_is_full(&batch.lines, done)),
            Err((_, error)) => Err(self.failed("writing", &error)),
        }
    }

    fn wrote(&mut self, lines: &[u8]) {
        self.size += lines.len() as u64;
        self.unsynced.extend_from_slice(lines);
        if let Some(heads) = &mut self.heads {
            let lines = lines.split_inclusive(|&b| b == b'\n');
            let chained = lines.fold(heads.written, |hash, line| {
                chain::next(&hash, line).unwrap_or(hash)
            });
            heads.written = chained;
        }
    }

    /// Gives up the reserve, finishes the line under way, syncs, seals.
    fn disk_is_full(&mut self, lines: &[u8], done: usize) -> Failure {
        let freed = self.vfs.remove(RESERVE);
        let newline = lines[..done].iter().rposition(|&b| b == b'\n');
        let is_between = newline.map_or(0, |at| at + 1) == done;
        let rest = memchr::memchr(b'\n', &lines[done..]).map_or(lines.len(), |at| done + at + 1);
        let end = if is_between { done } else { rest };
        let finished = append_all(&mut *self.file, &lines[done..end]);
        let outcome = match finished {
            Ok(()) => {
                self.wrote(&lines[..end]);
                self.written += memchr::memchr_iter(b'\n', &lines[..end]).count() as u64;
                self.sync().and_then(|()| self.seal("full", self.at))
            }
            Err((_, error)) => Err(self.failed("finishing the last line", &error)),
        };
        let path = self.segment_path();
        let durable = self.durable;
        let detail = match (&outcome, &freed) {
            (Err(Failure::Fenced(_)), _) => "another process has taken the log over",
            (Err(_), Err(_)) => "there was no reserve, and the end of the segment is torn",
            (Err(_), Ok(())) => "even the reserve was not enough to seal the segment",
            (Ok(()), _) => "the segment is sealed",
        };
        Failure::Full(format!(
            "{path}: the disk is full; {detail}; records 1..{durable} are durable; \
             make room and reopen the log"
        ))
    }

    /// Makes everything written durable, if we still own the log.
    ///
    /// # Errors: `Fenced`, `Failed`. The log is then poisoned.
    pub fn sync(&mut self) -> Result<(), Failure> {
        if planted("ack_before_write") {
            let late = append_all(&mut *self.file, &self.unsynced);
            late.map_err(|(_, error)| self.failed("writing", &error))?;
            self.size += self.unsynced.len() as u64;
        }
        if planted("ack_before_fsync") {
            self.durable = self.written;
        }
        if !planted("blob_after_record_sync") {
            self.sync_folders()?;
        }
        let synced = match planted_nth("fsync_skipped_every_9th", 9) {
            true => Ok(()),
            false => self.file.sync(),
        };
        match synced {
            Ok(()) if planted("fence_check_before_write") => {}
            Ok(()) => self.check_fence()?,
            Err(_) if planted("failed_fsync_retried") && self.file.sync().is_ok() => {}
            // Never again on this file: the kernel may have dropped the pages, and say "ok".
            Err(error) => self.take_over(&error)?,
        }
        self.durable = self.written;
        if let Some(heads) = &mut self.heads {
            heads.durable = heads.written;
        }
        self.unsynced = Vec::new(); // not cleared: a log that rests keeps no buffer
        self.hint();
        if planted("blob_after_record_sync") {
            self.sync_folders()?;
        }
        Ok(())
    }

    fn sync_folders(&mut self) -> Result<(), Failure> {
        let folders: Vec<String> = self.dirty_folders.iter().rev().cloned().collect();
        for folder in folders {
            let synced = self.vfs.sync_folder(&folder);
            synced.map_err(|error| self.failed("syncing the folders of blobs", &error))?;
        }
        self.dirty_folders.clear();
        Ok(())
    }

    fn hint(&mut self) {
        let hint = Hint {
            seg: self.header.seg,
            seq: self.durable,
            bytes: self.size,
        };
        // Losing the hint costs evidence, nothing else.
        let _ = self.lock.write_hint(&self.header.log, hint);
    }

    /// The next segment says that another writer is there. Where that was pruned, so was this one:
    /// they are removed in their order, so they are looked for in the other.
    fn check_fence(&self) -> Result<(), Failure> {
        let [next, own] = [self.header.seg + 1, self.header.seg].map(segment_name);
        let failed = |error: io::Error| self.failed("looking for a newer segment", &error);
        if self.vfs.exists(&next).map_err(failed)? {
            return Err(self.fenced(&format!("{next} exists")));
        }
        match self.vfs.identity(&own).map_err(failed)? {
            _ if planted("own_segment_not_looked_for") => Ok(()),
            None => Err(self.fenced("it was removed or renamed")),
            it if it != self.file.identity().ok() => Err(self.fenced("it was replaced by another")),
            _ => Ok(()),
        }
    }

    /// After a failed fsync: a new segment with copies of what is not durable.
    fn take_over(&mut self, cause: &io::Error) -> Result<(), Failure> {
        if is_full(cause) {
            let _ = self.vfs.remove(RESERVE);
        }
        let failed = self.failed("fsync", cause);
        let lines = std::mem::take(&mut self.unsynced);
        let (first, tail) = (self.durable + 1, self.written);
        match self.next_segment(first, tail, &lines) {
            Ok(()) => {
                self.takeover = Some(Box::new(Takeover {
                    copied: tail + 1 - first,
                    segment: self.header.seg,
                }));
                Ok(())
            }
            Err(fenced @ Failure::Fenced(_)) => Err(fenced),
            Err(_) => Err(failed),
        }
    }

    /// Creates the next segment, durably, with *lines* as its copies.
    fn next_segment(&mut self, first: u64, tail: u64, lines: &[u8]) -> Result<(), Failure> {
        let mut header = Header::clone(&self.header);
        header.seg += 1;
        (header.first, header.tail, header.at) = (first, tail, self.at);
        // The record before `first`: the last durable one, which is the last written one unless
        // an fsync failed.
        if let Some(heads) = &self.heads {
            header.rare_mut().prev = Some(chain::show(&heads.durable));
        }
        let name = segment_name(header.seg);
        let mut file = match self.vfs.create_new(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(self.fenced(&format!("{name} exists")));
            }
            Err(error) => return Err(self.failed("creating the next segment", &error)),
        };
        // A newer one may lie in an archive, under another name.
        let newest = ordinals(self.vfs.as_ref())
            .map_err(|error| self.failed("looking for a newer segment", &error))?;
        if newest.last().is_some_and(|&newest| newest > header.seg) {
            return Err(self.fenced("there is a newer segment"));
        }
        let mut bytes = Vec::with_capacity(lines.len() + 512);
        header.push_line(&mut bytes);
        bytes.extend_from_slice(lines);
        append_all(&mut *file, &bytes)
            .map_err(|(_, error)| error)
            .and_then(|()| file.sync())
            .and_then(|()| match planted("folder_not_synced") {
                true => Ok(()),
                false => self.vfs.sync_folder(""),
            })
            .map_err(|error| self.failed("starting the next segment", &error))?;
        (self.file, self.header, self.size) = (file, Arc::new(header), bytes.len() as u64);
        self.check_fence()
    }

    /// Ends the current segment and starts the next one.
    ///
    /// # Errors: `Fenced`, `Failed`, `Full`. The log is then poisoned.
    pub fn rotate(&mut self) -> Result<(), Failure> {
        self.sync()?;
        self.seal("rotate", self.at)?;
        self.next_segment(self.written + 1, self.written, b"")
    }

    /// Makes everything durable and ends the log in order.
    ///
    /// # Errors: `Fenced`, `Failed`.
    pub fn close(&mut self, why: &str, at: u64) -> Result<(), Failure> {
        self.sync()?;
        self.seal(why, at)?;
        let _ = self.vfs.remove(RESERVE);
        Ok(())
    }

    fn seal(&mut self, why: &str, at: u64) -> Result<(), Failure> {
        let head = self.heads.as_ref().map(|heads| heads.durable);
        let sign = |key: &Key, head| key.sign(&self.id(), self.durable, &head);
        let seal = Seal {
            seg: self.header.seg,
            last: self.durable,
            d: self.durable,
            why: why.to_owned(),
            head: head.as_ref().map(chain::show),
            sig: self
                .key
                .as_ref()
                .zip(head)
                .and_then(|(key, head)| sign(key, head)),
            at,
            more: Vec::new(),
        };
        let mut line = Vec::new();
        seal.push_line(&mut line, &self.id());
        append_all(&mut *self.file, &line)
            .map_err(|(_, error)| error)
            .and_then(|()| self.file.sync())
            .map_err(|error| self.failed("sealing", &error))?;
        self.size += line.len() as u64;
        Ok(())
    }
}
