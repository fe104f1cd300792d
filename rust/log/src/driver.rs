//! Drives a writer: takes what is queued, writes, syncs when due, tells who waits.
//!
//! The thread does, or, for a few lines that somebody waits for, whoever waits: to hand them over
//! would take ten times as long. Syncs are the thread's alone.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::linger::LINGER;
use crate::pace::BUSY;
use crate::shared::{Durability, Limits, Rest, Shared, State, Waiting};
use crate::timing::Work;
use crate::writer::{Batch, Writer};

/// How long mode `group` gathers what is to be synced.
const GATHER: Duration = Duration::from_millis(2);
/// How long the thread stays when everything is durable. Where many logs come to rest, each after
/// its sync, so many of their threads are there at once.
const REST: Duration = Duration::from_millis(10);
/// More than that does not linger, and is left to the thread.
pub(crate) const BATCH_BYTES_MAX: usize = 64 << 10;

pub(crate) struct Driver {
    pub writer: Writer,
}

/// What is done next.
struct Task {
    batch: Batch,
    barrier: u64,
    closing: Option<Box<(String, u64)>>,
    is_abandoned: bool,
    is_due: bool,
}

/// The thread: returns when the log rests, is closed, abandoned, or has failed.
pub(crate) fn run(shared: &Arc<Shared>) {
    let (mode, patience) = (shared.mode, patience(shared));
    let mut is_followed = false;
    let failure = loop {
        if !wait(shared, mode, patience, is_followed) {
            return;
        }
        is_followed = shared.is_asked();
        let mut pen = shared.pen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(driver) = pen.as_mut() else { return };
        let task = {
            let mut state = shared.lock();
            if state.failure.is_some() {
                break state.failure.clone();
            }
            state.has_chores = false;
            Task {
                is_due: left(&state, patience).is_some_and(|left| left.is_zero()),
                batch: state.take_batch(),
                barrier: shared.barrier.load(Ordering::Acquire),
                closing: state.closing.clone(),
                is_abandoned: state.is_abandoned,
            }
        };
        match driver.work(&task, shared) {
            Ok(()) if task.is_abandoned || task.closing.is_some() => break None,
            Ok(()) => {}
            Err(failure) => break Some(Box::new(failure)),
        }
    };
    // Frees the lock before anybody hears of the end, so that a reopening finds it free.
    drop(
        shared
            .pen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(),
    );
    let waiting = {
        let mut state = shared.lock();
        state.failure = failure;
        state.is_closed = true;
        state.in_flight_bytes = 0;
        state.waiting.take()
    };
    shared.progress.notify_all();
    Waiting::wake(waiting);
}

/// Stays awake while the next barrier is likely to come at once.
fn stay(shared: &Shared) {
    let Some(until) = shared.lock().brisk_until() else {
        return;
    };
    let mut now = Instant::now();
    while !shared.is_asked() {
        std::thread::yield_now(); // to whoever has more to do
        let before = std::mem::replace(&mut now, Instant::now());
        if now >= until || now.duration_since(before) > BUSY {
            return shared.lock().pace().missed();
        }
    }
}

/// Returns `true` when there is something to do, `false` when there was nothing for a while. After
/// a barrier the next lines are likely to come soon, and one is likely to follow them.
fn wait(shared: &Shared, mode: Durability, patience: Duration, is_followed: bool) -> bool {
    let gathers = mode == Durability::Interval;
    let mut since = (gathers && is_followed).then(Instant::now);
    let mut resting: Option<Instant> = None;
    stay(shared);
    let mut state = shared.lock();
    loop {
        let mut left = left(&state, patience);
        let ends = state.closing.is_some() || state.is_abandoned || state.failure.is_some();
        let is_due = left.is_some_and(|left| left.is_zero());
        if shared.is_asked() || ends || state.has_chores || is_due {
            break;
        }
        let is_empty = state.batch.lines.is_empty();
        if !is_empty {
            let waiting = state.waiting.as_ref();
            let is_wanted = waiting.is_some_and(|it| it.written != 0 || it.has_room);
            let is_large = state.batch.lines.len() > BATCH_BYTES_MAX;
            if !gathers || is_wanted || is_large {
                break;
            }
            since.get_or_insert_with(Instant::now);
        }
        let rest = since.map(|since| LINGER.saturating_sub(since.elapsed()));
        state.rest = match rest {
            Some(rest) if !rest.is_zero() => {
                left = Some(left.map_or(rest, |left| left.min(rest)));
                Rest::Naps
            }
            _ if !is_empty => break,
            _ => {
                since = None;
                Rest::Sleeps
            }
        };
        if state.rest == Rest::Sleeps && left.is_none() {
            let since = resting.get_or_insert_with(Instant::now).elapsed();
            if since >= REST {
                state.rest = Rest::Gone;
                state.pace.take_if(|pace| pace.is_new());
                return false;
            }
            left = Some(REST.saturating_sub(since));
        } else {
            resting = None;
        }
        let woken = match left {
            None => shared.work.wait(state),
            Some(left) => match shared.work.wait_timeout(state, left) {
                Ok((state, _)) => Ok(state),
                Err(poisoned) => Ok(poisoned.into_inner().0),
            },
        };
        state = woken.unwrap_or_else(PoisonError::into_inner);
    }
    state.rest = Rest::Awake;
    true
}

/// How long a record may wait for its sync.
fn patience(shared: &Shared) -> Duration {
    match shared.mode {
        Durability::Interval => shared.limits.interval,
        Durability::Group => GATHER,
        Durability::Strict => Duration::ZERO,
    }
}

/// How long until the oldest unsynced record must be synced.
fn left(state: &State, patience: Duration) -> Option<Duration> {
    let oldest = state.oldest?;
    Some(patience.saturating_sub(oldest.elapsed()))
}

impl Driver {
    /// Writes what is queued, unless that is the thread's: much, values, or a log that failed.
    pub fn write_queued(&mut self, shared: &Arc<Shared>) {
        let batch = {
            let mut state = shared.lock();
            let is_small = state.batch.lines.len() <= BATCH_BYTES_MAX
                && state.batch.blobs.is_empty()
                && shared.limits.segment_records_max == u64::MAX;
            let ends = state.closing.is_some() || state.failure.is_some();
            if !is_small || ends || state.batch.lines.is_empty() {
                return;
            }
            state.take_batch()
        };
        if let Err(failure) = self.write(&batch, shared) {
            let mut state = shared.lock();
            state.failure = Some(Box::new(failure));
            shared.wake(state);
        } else if self.has_chores(&shared.limits) {
            let mut state = shared.lock();
            state.has_chores = true;
            shared.wake(state);
        }
    }

    /// Whether there is more to do than to write.
    fn has_chores(&self, limits: &Limits) -> bool {
        self.writer.unsynced_bytes() > limits.unsynced_bytes_max
            || self.writer.segment_bytes() > limits.segment_bytes_max
    }

    fn work(&mut self, task: &Task, shared: &Arc<Shared>) -> Result<(), Failure> {
        let limits = &shared.limits;
        if limits.segment_records_max < u64::MAX {
            for part in self.parts(&task.batch, limits) {
                self.write(&part, shared)?;
                if self.writer.segment_records() >= limits.segment_records_max {
                    self.rotate(shared)?;
                }
            }
        } else if !task.batch.lines.is_empty() {
            self.write(&task.batch, shared)?;
        }
        let asked = task.barrier > self.writer.durable();
        let full = self.writer.unsynced_bytes() > limits.unsynced_bytes_max;
        if asked || full || task.is_due {
            let outcome = shared.timings.of(Work::Fsync, || self.writer.sync());
            self.publish(shared);
            outcome?;
        }
        if let Some((why, at)) = task.closing.as_deref() {
            let outcome = self.writer.close(why, *at);
            self.publish(shared);
            return outcome;
        }
        if self.writer.segment_bytes() > limits.segment_bytes_max && !task.is_abandoned {
            self.rotate(shared)?;
        }
        Ok(())
    }

    fn write(&mut self, batch: &Batch, shared: &Arc<Shared>) -> Result<(), Failure> {
        let outcome = shared.timings.of(Work::Append, || self.writer.write(batch));
        self.publish(shared);
        outcome
    }

    fn rotate(&mut self, shared: &Arc<Shared>) -> Result<(), Failure> {
        self.writer.rotate()?;
        self.publish(shared);
        Ok(())
    }

    /// *batch* cut where a segment is full.
    fn parts(&self, batch: &Batch, limits: &Limits) -> Vec<Batch> {
        let records_max = limits.segment_records_max.max(1);
        let mut parts: Vec<Batch> = Vec::new();
        let mut room = records_max.saturating_sub(self.writer.segment_records());
        let mut last = self.writer.written();
        for line in batch.lines.split_inclusive(|&b| b == b'\n') {
            if room == 0 || parts.is_empty() {
                room = if parts.is_empty() {
                    room.max(1)
                } else {
                    records_max
                };
                parts.push(Batch {
                    at: batch.at,
                    ..Batch::default()
                });
            }
            if let Some(part) = parts.last_mut() {
                last += 1;
                room -= 1;
                part.lines.extend_from_slice(line);
                part.last = last;
            }
        }
        // Values first: the first part waits for all of them.
        if let Some(first) = parts.first_mut() {
            first.blobs.clone_from(&batch.blobs);
        }
        parts
    }

    fn publish(&mut self, shared: &Arc<Shared>) {
        let (written, durable) = (self.writer.written(), self.writer.durable());
        shared.written.store(written, Ordering::Release);
        shared.durable.store(durable, Ordering::Release);
        let waiting = {
            let mut state = shared.lock();
            if let Some(pace) = state.pace.as_mut().filter(|_| !shared.is_asked()) {
                pace.done(Instant::now());
            }
            state.in_flight_bytes = 0;
            state.takeover.clone_from(&self.writer.takeover);
            let is_first = state.oldest.is_none() && written > durable;
            if written == durable {
                state.oldest = None;
            } else if is_first {
                state.oldest = Some(Instant::now());
            }
            let has_room = state.queued_bytes() <= shared.limits.queue_bytes_soft_max;
            let due = state.waiting.take_if(|it| {
                (it.written != 0 && it.written <= written)
                    || (it.durable != 0 && it.durable <= durable)
                    || (it.has_room && has_room)
            });
            if state.blocked > 0 {
                shared.progress.notify_all();
            }
            // From now on the thread has a sync to make in time. While it is there it looks soon;
            // if there is none, whoever comes for what lingers starts one: to do so takes longer
            // than to write, and whoever writes here has more to do.
            let is_seen_to = state.lingers || state.rest != Rest::Gone;
            if is_first && (!is_seen_to || patience(shared) < REST) {
                shared.wake(state);
            }
            due
        };
        Waiting::wake(waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Queue;
    use crate::tests::{open_on, record};
    use crate::vfs::memory::MemoryVfs;

    fn written_here() -> Queue {
        let (writer, _) = open_on(&MemoryVfs::new()).expect("opened");
        let limits = Limits {
            interval: Duration::from_millis(100),
            ..Limits::default()
        };
        let queue = Queue::start(writer, Durability::Interval, limits);
        queue.append(&record(1), None).expect("accepted");
        while queue.want_written(1, None) != Ok(true) {
            std::thread::yield_now(); // it had lingered long enough
        }
        queue
    }

    #[test]
    fn who_writes_the_first_lines_starts_no_thread_for_their_sync() {
        // The moment may be over in which they linger: then it is there already.
        assert!((0..1000).any(|_| written_here().rest() == Rest::Gone));
    }

    #[test]
    fn they_are_synced_in_their_time_although_nobody_asks_for_it() {
        let mut queues = (0..1000).map(|_| written_here());
        let queue = queues
            .find(|queue| queue.rest() == Rest::Gone)
            .expect("one whose thread is still to be started");
        while queue.durable() < 1 {
            assert_eq!(queue.failure(), None);
            std::thread::yield_now();
        }
    }
}
