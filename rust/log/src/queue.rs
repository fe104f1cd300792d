//! The handle of a log that is being written; `driver` is the thread behind it.
//!
//! Appending builds the line into a buffer and returns. The thread takes the whole buffer, writes
//! it with one call, syncs as the mode says, and then tells whoever waits; nobody waiting, nobody
//! is told. Who wants a few lines written while the thread rests writes them itself. A log that
//! rests has no thread: it goes soon after everything is durable, and the next append starts one.
//! Dropping the handle lets the thread write what it has, and go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

use crate::blobs::{self, BLOB_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::driver::{Driver, BATCH_BYTES_MAX};
use crate::failure::Failure;
use crate::linger::Lingerer;
use crate::marks::Header;
use crate::record::{complaint, push_chained, push_line, Record};
use crate::shared::{lower, Born, Rest, Shared, State};
use crate::timing::{Timings, Work};
use crate::writer::{Takeover, Writer};

pub use crate::shared::{forked, Durability, Limits, Waiter};

/// A log that is being written.
pub struct Queue {
    shared: Arc<Shared>,
}

/// A log that is not kept open by this.
pub struct WeakQueue(Weak<Shared>);

impl WeakQueue {
    /// Whether the log may still be open.
    pub fn is_open(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// As of the queue, if it is still open.
    pub fn block_written(&self, timeout: Duration) {
        if let Some(shared) = self.0.upgrade() {
            shared.block_written(timeout);
        }
    }
}

/// Is woken for a question that is answered with no.
type Who = Option<Box<dyn Waiter>>;

impl Queue {
    /// Takes *writer*, which a thread drives from the first append on.
    pub fn start(writer: Writer, mode: Durability, limits: Limits) -> Queue {
        let shared = Arc::new(Shared {
            header: writer.header.clone(),
            born: Born::here(),
            lingerer: (mode == Durability::Interval)
                .then(Lingerer::current)
                .flatten(),
            vfs: writer.vfs.clone(),
            mode,
            limits: limits.shared(),
            state: Mutex::new(State {
                chained: writer.head().map(Box::new),
                rest: Rest::Gone,
                ..State::default()
            }),
            work: Condvar::new(),
            progress: Condvar::new(),
            head: AtomicU64::new(writer.written()),
            written: AtomicU64::new(writer.written()),
            durable: AtomicU64::new(writer.durable()),
            barrier: AtomicU64::new(0),
            timings: Timings::default(),
            pen: Mutex::new(Some(Driver { writer })),
        });
        Queue { shared }
    }

    /// The same log, which may be closed all the same.
    pub fn downgrade(&self) -> WeakQueue {
        WeakQueue(Arc::downgrade(&self.shared))
    }

    /// When records are synced without being asked.
    pub fn mode(&self) -> Durability {
        self.shared.mode
    }

    /// The header of the first segment of this opening.
    pub fn header(&self) -> &Header {
        &self.shared.header
    }

    /// The last record accepted.
    pub fn head(&self) -> u64 {
        self.shared.head.load(Ordering::Acquire)
    }

    /// The last record that survives the death of this process.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Acquire)
    }

    /// The last record that survives a power cut.
    pub fn durable(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Accepts a record; `d` is filled in. Returns `d`. With *keep*, the line is appended there.
    /// A child process has to be told of its own birth by `forked`.
    ///
    /// # Errors: `Forked`, `OutOfOrder`, `Invalid`, `Limit`, `Behind`, `Closed`, or what the
    /// thread failed of.
    pub fn append(&self, record: &Record<'_>, keep: Option<&mut Vec<u8>>) -> Result<u64, Failure> {
        if self.shared.born.is_told_elsewhere() {
            return Err(self.forked());
        }
        let moved;
        let mut record = *record;
        let mut blobs = Vec::new();
        if record.payload.len() > PAYLOAD_BYTES_MAX {
            (moved, blobs) =
                blobs::take_out(record.payload).map_err(|bytes| self.too_large(&record, bytes))?;
            record.payload = &moved;
        }
        record.d = self.durable();
        if let Some(complaint) = complaint(&record) {
            let path = self.shared.path();
            return Err(Failure::Invalid(format!(
                "{path}: record {}: {complaint}",
                record.seq
            )));
        }
        let mut state = self.shared.lock();
        self.check(&state, record.seq)?;
        let start = state.batch.lines.len();
        let id = &self.shared.header.log;
        let State { batch, chained, .. } = &mut *state;
        match chained {
            None => push_line(&mut batch.lines, id, &record),
            Some(head) => **head = push_chained(&mut batch.lines, id, &record, head),
        }
        if let Some(keep) = keep {
            keep.extend_from_slice(&state.batch.lines[start..]);
        }
        state.batch.last = record.seq;
        state.batch.at = record.ts_us;
        state.batch.blobs.append(&mut blobs);
        self.shared.head.store(record.seq, Ordering::Release);
        let is_large = start <= BATCH_BYTES_MAX && state.batch.lines.len() > BATCH_BYTES_MAX;
        match &self.shared.lingerer {
            _ if !is_large && (state.lingers || matches!(state.rest, Rest::Awake | Rest::Naps)) => {
            }
            Some(lingerer) if !is_large => {
                state.lingers = true;
                drop(state);
                lingerer.add(self.shared.clone());
            }
            _ => self.shared.wake(state),
        }
        Ok(record.d)
    }

    fn check(&self, state: &State, seq: u64) -> Result<(), Failure> {
        if let Some(failure) = &state.failure {
            return Err(Failure::clone(failure));
        }
        let path = || self.shared.path();
        if state.is_closed || state.closing.is_some() {
            return Err(Failure::Closed(format!(
                "{}: record {seq} was appended after the log was closed; reopen it",
                path()
            )));
        }
        let next = self.head() + 1;
        if seq != next {
            return Err(Failure::OutOfOrder(path(), seq, next));
        }
        let queued = state.queued_bytes();
        if queued > self.shared.limits.queue_bytes_hard_max {
            return Err(Failure::Behind(format!(
                "{}: {queued} bytes wait for the disk, at most {} may; record {seq} was not \
                 accepted; the disk is stuck, or sources do not wait for room",
                path(),
                self.shared.limits.queue_bytes_hard_max
            )));
        }
        Ok(())
    }

    fn forked(&self) -> Failure {
        Failure::Forked(format!(
            "{}: opened by process {}, this is its child {}; open a log of its own here",
            self.shared.path(),
            self.shared.born.pid,
            std::process::id()
        ))
    }

    fn too_large(&self, record: &Record<'_>, bytes: usize) -> Failure {
        Failure::Limit(format!(
            "{}: record {} ({} of {}) holds a value of {bytes} bytes, at most {BLOB_BYTES_MAX} \
             are possible; the log goes on, store the value elsewhere",
            self.shared.path(),
            record.seq,
            record.kind,
            record.actor.unwrap_or("its usual emitter"),
        ))
    }

    /// Whether record *seq* is written, by this call if need be; if it is left to the thread, *who*
    /// is woken once it is.
    pub fn want_written(&self, seq: u64, who: Who) -> Result<bool, Failure> {
        if self.written() < seq && !self.shared.born.is_told_elsewhere() {
            self.shared.write_here();
        }
        self.want(who, |state, shared| {
            let is_there = shared.written.load(Ordering::Acquire) >= seq;
            if !is_there {
                lower(&mut state.waiting().written, seq);
            }
            is_there
        })
    }

    /// Whether record *seq* is synced, or is at once; if not, soon, and then *who* is woken.
    pub fn want_durable(&self, seq: u64, who: Who) -> Result<bool, Failure> {
        let is_there = self.want(who, |state, shared| {
            let is_there = shared.durable.load(Ordering::Acquire) >= seq;
            if !is_there {
                lower(&mut state.waiting().durable, seq);
                // A barrier for what does not exist yet would never be passed.
                let target = seq.min(shared.head.load(Ordering::Acquire));
                if shared.barrier.fetch_max(target, Ordering::AcqRel) < target {
                    state.pace().asked(Instant::now());
                }
            }
            is_there
        })?;
        Ok(is_there || self.shared.look(seq))
    }

    /// Whether record *seq* will be durable so soon that it is better to look again than to rest.
    pub fn is_nearly_durable(&self, seq: u64) -> bool {
        if self.durable() >= seq || self.shared.born.is_told_elsewhere() {
            return false;
        }
        let mut state = self.shared.lock();
        state.failure.is_none() && !state.is_closed && state.pace().look(Instant::now())
    }

    /// What the thread is at.
    #[cfg(test)]
    pub(crate) fn rest(&self) -> Rest {
        self.shared.lock().rest
    }

    /// Whether the queue is short; if not, *who* is woken once it is.
    pub fn want_room(&self, who: Who) -> Result<bool, Failure> {
        let soft_max = self.shared.limits.queue_bytes_soft_max;
        self.want(who, |state, _| {
            let has_room = state.queued_bytes() <= soft_max;
            if !has_room {
                state.waiting().has_room = true;
            }
            has_room
        })
    }

    fn want(
        &self,
        who: Who,
        ask: impl FnOnce(&mut State, &Shared) -> bool,
    ) -> Result<bool, Failure> {
        if self.shared.born.is_told_elsewhere() {
            return Err(self.forked());
        }
        let mut state = self.shared.lock();
        if ask(&mut state, &self.shared) {
            return Ok(true);
        }
        match &state.failure {
            Some(failure) => Err(Failure::clone(failure)),
            None if state.is_closed => Err(Failure::Closed(format!(
                "{}: the log was closed before that record; reopen it",
                self.shared.path()
            ))),
            None => {
                state.waiting().who.extend(who);
                self.shared.wake(state);
                Ok(false)
            }
        }
    }

    /// Asks the thread to make everything durable, to seal and to end. `true` if it has ended.
    pub fn close(&self, why: &str, at: u64) -> bool {
        if self.shared.born.is_elsewhere() {
            return true;
        }
        let mut state = self.shared.lock();
        if state.closing.is_none() && !state.is_closed {
            state.closing = Some(Box::new((why.to_owned(), at)));
            self.shared.wake(state);
            return false;
        }
        state.is_closed
    }

    /// Whether the thread has ended and the lock is free; if not, *who* is woken once it has.
    pub fn want_closed(&self, who: Who) -> bool {
        if self.shared.born.is_elsewhere() {
            return true;
        }
        let mut state = self.shared.lock();
        if !state.is_closed {
            state.waiting().who.extend(who);
        }
        state.is_closed
    }

    /// What the last failed fsync made necessary; `None` if none has failed.
    pub fn takeover(&self) -> Option<Takeover> {
        if self.shared.born.is_told_elsewhere() {
            return None;
        }
        self.shared.lock().takeover.as_deref().copied()
    }

    /// How long the disk took behind number *since*, as `Timings::since`; nothing in a child.
    pub fn timings(&self, since: Option<u64>) -> (u64, Vec<(Work, Duration)>) {
        if self.shared.born.is_elsewhere() {
            return (0, Vec::new());
        }
        self.shared.timings.since(since)
    }

    /// What the thread failed of.
    pub fn failure(&self) -> Option<Failure> {
        if self.shared.born.is_elsewhere() {
            return Some(self.forked());
        }
        self.shared.lock().failure.as_deref().cloned()
    }

    /// Blocks until everything accepted is written, the thread ended, or *timeout* is over.
    pub fn block_written(&self, timeout: Duration) -> bool {
        self.shared.block_written(timeout)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if self.shared.born.is_elsewhere() {
            // What the parent has open is not ours to end.
            std::mem::forget(self.shared.clone());
            return;
        }
        let mut state = self.shared.lock();
        state.is_abandoned = true;
        if state.rest != Rest::Gone || !state.batch.lines.is_empty() {
            self.shared.wake(state);
            return;
        }
        drop(state);
        if let Ok(mut pen) = self.shared.pen.lock() {
            pen.take();
        }
    }
}
