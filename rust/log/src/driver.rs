//! The thread that drives a writer: takes what is queued, writes, syncs when due, tells who waits.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::shared::{Durability, Limits, Shared, Wants};
use crate::writer::{Batch, Writer};

/// How long mode `group` gathers.
const GATHER: Duration = Duration::from_millis(2);

pub(crate) struct Driver {
    pub shared: Arc<Shared>,
    pub writer: Writer,
    pub mode: Durability,
    pub limits: Limits,
    /// When the oldest unsynced record was written.
    pub oldest: Option<Instant>,
}

/// What the thread does next.
struct Task {
    batch: Batch,
    barrier: u64,
    closing: Option<(String, u64)>,
    is_abandoned: bool,
}

impl Driver {
    pub fn run(mut self) {
        let failure = loop {
            let task = self.next();
            match self.work(&task) {
                Ok(()) if task.is_abandoned || task.closing.is_some() => break None,
                Ok(()) => {}
                Err(failure) => break Some(failure),
            }
        };
        let shared = self.shared;
        // Frees the lock before anybody hears of the end, so that a reopening finds it free.
        drop(self.writer);
        {
            let mut state = shared.lock();
            state.failure = failure;
            state.is_closed = true;
            state.in_flight_bytes = 0;
        }
        shared.progress.notify_all();
        tell(&shared);
    }

    fn next(&mut self) -> Task {
        let mut state = self.shared.lock();
        loop {
            let now_due = self.due().is_some_and(|due| due.is_zero());
            let asked = state.barrier > self.writer.durable();
            let has_lines = !state.batch.lines.is_empty();
            let ends = state.closing.is_some() || state.is_abandoned;
            if has_lines || asked || ends || now_due {
                state.is_idle = false;
                state.in_flight_bytes = state.batch.lines.len();
                return Task {
                    batch: std::mem::take(&mut state.batch),
                    barrier: state.barrier,
                    closing: state.closing.clone(),
                    is_abandoned: state.is_abandoned,
                };
            }
            state.is_idle = true;
            let woken = match self.due() {
                None => self.shared.work.wait(state),
                Some(due) => match self.shared.work.wait_timeout(state, due) {
                    Ok((state, _)) => Ok(state),
                    Err(poisoned) => Ok(poisoned.into_inner().0),
                },
            };
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How long until the oldest unsynced record must be synced.
    fn due(&self) -> Option<Duration> {
        let patience = match self.mode {
            Durability::Interval => self.limits.interval,
            Durability::Group => GATHER,
            Durability::Strict => Duration::ZERO,
        };
        self.oldest
            .map(|oldest| patience.saturating_sub(oldest.elapsed()))
    }

    fn work(&mut self, task: &Task) -> Result<(), Failure> {
        if self.limits.segment_records_max < u64::MAX {
            for part in self.parts(&task.batch) {
                self.write(&part)?;
                if self.writer.segment_records() >= self.limits.segment_records_max {
                    self.rotate()?;
                }
            }
        } else if !task.batch.lines.is_empty() {
            self.write(&task.batch)?;
        }
        let asked = task.barrier > self.writer.durable();
        let full = self.writer.unsynced_bytes() > self.limits.unsynced_bytes_max;
        if asked || full || self.due().is_some_and(|due| due.is_zero()) {
            let outcome = self.writer.sync();
            self.publish();
            outcome?;
            self.oldest = None;
        }
        if let Some((why, at)) = &task.closing {
            let outcome = self.writer.close(why, *at);
            self.publish();
            return outcome;
        }
        if self.writer.segment_bytes() > self.limits.segment_bytes_max && !task.is_abandoned {
            self.rotate()?;
        }
        Ok(())
    }

    fn write(&mut self, batch: &Batch) -> Result<(), Failure> {
        let outcome = self.writer.write(batch);
        self.publish();
        outcome?;
        self.oldest = self.oldest.or_else(|| Some(Instant::now()));
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), Failure> {
        self.writer.rotate()?;
        self.oldest = None;
        self.publish();
        Ok(())
    }

    /// *batch* cut where a segment is full.
    fn parts(&self, batch: &Batch) -> Vec<Batch> {
        let records_max = self.limits.segment_records_max.max(1);
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

    fn publish(&mut self) {
        let (written, durable) = (self.writer.written(), self.writer.durable());
        self.shared.written.store(written, Ordering::Release);
        self.shared.durable.store(durable, Ordering::Release);
        let is_wanted = {
            let mut state = self.shared.lock();
            state.in_flight_bytes = 0;
            state.takeover = self.writer.takeover;
            let has_room = state.queued_bytes() <= self.limits.queue_bytes_soft_max;
            let wants = &mut state.wants;
            let due = (wants.written != 0 && wants.written <= written)
                || (wants.durable != 0 && wants.durable <= durable)
                || (wants.has_room && has_room);
            if due {
                // Who is told asks again for what is still to come.
                *wants = Wants {
                    is_closed: wants.is_closed,
                    ..Wants::default()
                };
            }
            due
        };
        self.shared.progress.notify_all();
        if is_wanted {
            tell(&self.shared);
        }
    }
}

fn tell(shared: &Shared) {
    if let Ok(notify) = shared.notify.lock() {
        if let Some(notify) = notify.as_ref() {
            notify();
        }
    }
}
