//! How long the disk took. Kept once somebody has asked: until then nobody looks at a clock.

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// So many are kept for whoever asks late.
const KEPT_MAX: usize = 4096;

/// What took time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A batch of lines was written.
    Append,
    /// What was written was made durable.
    Fsync,
}

#[derive(Default)]
pub(crate) struct Timings(OnceLock<Box<Mutex<Kept>>>);

#[derive(Default)]
struct Kept {
    /// Number of the next one.
    next: u64,
    last: VecDeque<(Work, Duration)>,
}

impl Timings {
    /// Does *what*, and keeps how long it took.
    pub fn of<T>(&self, work: Work, what: impl FnOnce() -> T) -> T {
        let Some(kept) = self.0.get() else {
            return what();
        };
        let began = Instant::now();
        let done = what();
        let took = began.elapsed();
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.last.len() == KEPT_MAX {
            kept.last.pop_front();
        }
        kept.next += 1;
        kept.last.push_back((work, took));
        done
    }

    /// Those behind number *since*, and the number to ask with next; from now on, without one.
    pub fn since(&self, since: Option<u64>) -> (u64, Vec<(Work, Duration)>) {
        let kept = self.0.get_or_init(Box::default).lock();
        let kept = kept.unwrap_or_else(PoisonError::into_inner);
        let new = kept.next - since.map_or(kept.next, |since| since.min(kept.next));
        let old = kept
            .last
            .len()
            .saturating_sub(usize::try_from(new).unwrap_or(usize::MAX));
        (kept.next, kept.last.range(old..).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn works(found: Vec<(Work, Duration)>) -> Vec<Work> {
        found.into_iter().map(|(work, _)| work).collect()
    }

    #[test]
    fn what_was_done_before_anybody_asked_is_not_kept() {
        let timings = Timings::default();
        assert_eq!(timings.of(Work::Append, || 7), 7);
        assert_eq!(timings.since(None), (0, vec![]));
        assert_eq!(timings.since(Some(0)), (0, vec![]));
    }

    #[test]
    fn two_who_ask_hear_of_everything_each_once() {
        let timings = Timings::default();
        let (mut one, _) = timings.since(None);
        timings.of(Work::Append, || ());
        let (mut other, found) = timings.since(None);
        assert_eq!(found, vec![]);
        timings.of(Work::Fsync, || ());
        let found;
        (one, found) = timings.since(Some(one));
        assert_eq!(works(found), [Work::Append, Work::Fsync]);
        let found;
        (other, found) = timings.since(Some(other));
        assert_eq!(works(found), [Work::Fsync]);
        assert_eq!(timings.since(Some(one)), (2, vec![]));
        assert_eq!(timings.since(Some(other)), (2, vec![]));
    }

    #[test]
    fn whoever_asks_late_hears_of_the_last_ones() {
        let timings = Timings::default();
        let (since, _) = timings.since(None);
        timings.of(Work::Fsync, || ());
        for _ in 0..KEPT_MAX {
            timings.of(Work::Append, || ());
        }
        let (next, found) = timings.since(Some(since));
        assert_eq!((next, found.len()), (KEPT_MAX as u64 + 1, KEPT_MAX));
        assert!(!works(found).contains(&Work::Fsync));
    }
}
