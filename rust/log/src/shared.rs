//! What the handle of a log and its thread share: the queue, who waits, and the bounds.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::chain::Hash;
use crate::driver::{self, Driver};
use crate::failure::Failure;
use crate::linger::Lingerer;
use crate::marks::Header;
use crate::pace::{has_cores, Pace, LOOK};
use crate::timing::Timings;
use crate::vfs::Vfs;
use crate::writer::{Batch, Takeover};

/// When records are synced without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A second after the oldest that is not.
    Interval,
    /// Each batch, gathered for at most two milliseconds.
    Group,
    /// Each batch.
    Strict,
}

/// Bounds, with their units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Above this, sources of events wait.
    pub queue_bytes_soft_max: usize,
    /// Above this, appending fails: the disk is stuck.
    pub queue_bytes_hard_max: usize,
    /// So many unsynced bytes are synced at once.
    pub unsynced_bytes_max: usize,
    /// A longer segment is followed by the next.
    pub segment_bytes_max: u64,
    /// No segment gets more records than that.
    pub segment_records_max: u64,
    /// How long a record may wait for its sync in mode `interval`.
    pub interval: Duration,
}

impl Limits {
    /// These, held once for all logs that have the usual ones.
    pub(crate) fn shared(self) -> Arc<Limits> {
        static USUAL: LazyLock<Arc<Limits>> = LazyLock::new(Arc::default);
        match self == **USUAL {
            true => USUAL.clone(),
            false => Arc::new(self),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            queue_bytes_soft_max: 8 << 20,
            queue_bytes_hard_max: 64 << 20,
            unsynced_bytes_max: 8 << 20,
            segment_bytes_max: 64 << 20,
            segment_records_max: u64::MAX,
            interval: Duration::from_secs(1),
        }
    }
}

/// Who waits for a log to get on.
pub trait Waiter: Send {
    /// Called by whoever writes when something that anybody waits for has come.
    fn wake(self: Box<Self>);
}

/// How often this process and those before it were told that they are the child of another.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Tells that this process has just been forked off another.
pub fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// The process that opened a log. A child of it has the memory but not the thread, and perhaps a
/// mutex that is locked for ever.
pub(crate) struct Born {
    pub pid: u32,
    forks: u32,
}

impl Born {
    pub fn here() -> Born {
        Born {
            pid: std::process::id(),
            forks: FORKS.load(Ordering::Relaxed),
        }
    }

    /// Whether this process is a child of it.
    pub fn is_elsewhere(&self) -> bool {
        self.is_told_elsewhere() || std::process::id() != self.pid
    }

    /// The same without a system call, for what each record does.
    pub fn is_told_elsewhere(&self) -> bool {
        FORKS.load(Ordering::Relaxed) != self.forks
    }
}

pub(crate) struct Shared {
    /// Of the first segment of this opening.
    pub header: Arc<Header>,
    pub born: Born,
    pub lingerer: Option<Arc<Lingerer>>,
    /// For messages.
    pub vfs: Arc<dyn Vfs>,
    pub mode: Durability,
    pub limits: Arc<Limits>,
    pub state: Mutex<State>,
    /// Who holds it takes the batch and writes it: so batches are written in their order. Taken
    /// before `state`, never while that is held. `None` when the log has ended.
    pub pen: Mutex<Option<Driver>>,
    /// The thread waits here for work.
    pub work: Condvar,
    /// Whoever blocks waits here for progress.
    pub progress: Condvar,
    pub head: AtomicU64,
    pub written: AtomicU64,
    pub durable: AtomicU64,
    /// Somebody waits until this is durable.
    pub barrier: AtomicU64,
    pub timings: Timings,
}

#[derive(Default)]
pub(crate) struct State {
    pub batch: Batch,
    /// Chain hash of the last record accepted, at the levels that have one.
    pub chained: Option<Box<Hash>>,
    pub in_flight_bytes: usize,
    /// `None` while nobody waits.
    pub waiting: Option<Box<Waiting>>,
    /// The thread has something to do beside writing.
    pub has_chores: bool,
    /// When the oldest record was written that is not synced.
    pub oldest: Option<Instant>,
    /// Whoever does that for all logs will see soon that what is queued is written, and synced in
    /// time.
    pub lingers: bool,
    pub rest: Rest,
    /// `None` until somebody waits for a sync, and again where nothing was learned.
    pub pace: Option<Box<Pace>>,
    /// How many wait for `Shared::progress`.
    pub blocked: usize,
    pub closing: Option<Box<(String, u64)>>,
    pub is_closed: bool,
    pub is_abandoned: bool,
    pub failure: Option<Box<Failure>>,
    pub takeover: Option<Box<Takeover>>,
}

impl State {
    pub fn waiting(&mut self) -> &mut Waiting {
        self.waiting.get_or_insert_default()
    }

    pub fn pace(&mut self) -> &mut Pace {
        self.pace
            .get_or_insert_with(|| Box::new(Pace::new(has_cores())))
    }

    /// As of `Pace`.
    pub fn brisk_until(&self) -> Option<Instant> {
        self.pace.as_ref()?.brisk_until()
    }

    pub fn queued_bytes(&self) -> usize {
        self.batch.lines.len() + self.in_flight_bytes
    }

    /// Takes what is queued; it counts as queued until progress is published.
    pub fn take_batch(&mut self) -> Batch {
        self.in_flight_bytes = self.batch.lines.len();
        std::mem::take(&mut self.batch)
    }
}

/// What the thread is at, and who has to wake it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It looks before it rests: nobody.
    #[default]
    Awake,
    /// It looks within the time that lines may linger: who cannot wait so long.
    Naps,
    /// Whoever has anything for it.
    Sleeps,
    /// There is none: whoever has anything for it starts one. What is written is durable, and
    /// what is queued lingers; or what is written does, until its sync is seen to.
    Gone,
}

/// What somebody waits for, zero and false for nothing; and who does.
#[derive(Default)]
pub(crate) struct Waiting {
    pub written: u64,
    pub durable: u64,
    pub has_room: bool,
    pub who: Vec<Box<dyn Waiter>>,
}

pub(crate) fn lower(want: &mut u64, seq: u64) {
    *want = if *want == 0 { seq } else { seq.min(*want) };
}

impl Waiting {
    /// Who waits for more asks again.
    pub fn wake(waiting: Option<Box<Waiting>>) {
        for who in waiting.into_iter().flat_map(|waiting| waiting.who) {
            who.wake();
        }
    }
}

impl Shared {
    pub fn path(&self) -> String {
        self.vfs.path("")
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if it did, the state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is queued, if nobody else is at it: never waits for a sync.
    pub fn write_here(self: &Arc<Self>) {
        if let Ok(mut pen) = self.pen.try_lock() {
            if let Some(driver) = pen.as_mut() {
                driver.write_queued(self);
            }
        }
    }

    /// Blocks until everything accepted is written, the thread ended, or *timeout* is over.
    pub fn block_written(self: &Arc<Self>, timeout: Duration) -> bool {
        if self.born.is_elsewhere() {
            return false;
        }
        let target = self.head.load(Ordering::Acquire);
        let is_written = || self.written.load(Ordering::Acquire) >= target;
        if !is_written() {
            self.write_here();
        }
        if is_written() {
            return true;
        }
        let waits =
            |state: &mut State| !is_written() && state.failure.is_none() && !state.is_closed;
        let mut state = self.lock();
        lower(&mut state.waiting().written, target);
        state.blocked += 1;
        self.wake(state);
        let waited = self
            .progress
            .wait_timeout_while(self.lock(), timeout, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.blocked -= 1;
        is_written()
    }

    /// Writes what has lingered; what is not for this thread is left to the log's own, and so is
    /// the sync of what somebody else has written meanwhile.
    pub fn write_lingering(self: &Arc<Self>) {
        self.lock().lingers = false;
        self.write_here();
        let state = self.lock();
        let is_unsynced = state.rest == Rest::Gone && state.oldest.is_some();
        if is_unsynced || (!state.lingers && !state.batch.lines.is_empty()) {
            self.wake(state);
        }
    }

    /// Lets the thread look now. To wake nobody would cost a system call too.
    pub fn wake(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        match std::mem::take(&mut state.rest) {
            Rest::Awake => {}
            Rest::Naps | Rest::Sleeps => {
                drop(state);
                self.work.notify_one();
            }
            Rest::Gone => self.start(&mut state),
        }
    }

    fn start(self: &Arc<Self>, state: &mut State) {
        let driven = self.clone();
        let thread = std::thread::Builder::new().name("tinyagent-log".to_owned());
        if let Err(error) = thread.spawn(move || driver::run(&driven)) {
            let durable = self.durable.load(Ordering::Acquire);
            let failed = Failure::io("starting the writer thread", &self.path(), &error, durable);
            state.failure.get_or_insert(Box::new(failed));
            state.is_closed = true;
        }
    }

    /// Whether record *seq* is durable, or becomes so at once where syncs follow each other closely.
    pub fn look(&self, seq: u64) -> bool {
        let Some(until) = self.lock().brisk_until() else {
            return false;
        };
        let until = until.min(Instant::now() + LOOK);
        while self.durable.load(Ordering::Acquire) < seq {
            if Instant::now() >= until {
                return false;
            }
            std::thread::yield_now(); // to whoever has more to do
        }
        true
    }

    /// Whether somebody waits for a sync.
    pub fn is_asked(&self) -> bool {
        self.barrier.load(Ordering::Acquire) > self.durable.load(Ordering::Acquire)
    }
}
