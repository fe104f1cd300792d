//! Whether syncs follow each other so closely that who rests between them loses more than he saves.
//!
//! To wake a thread whose core has gone to sleep takes tens of microseconds, twice for each sync,
//! which itself may take no more than a hundred. So while somebody does nothing but append a
//! little and wait for its sync, both sides look again and again instead of resting: for at most
//! `BRISK`, and after one look in vain not again before that has gone on for a while.

use std::time::{Duration, Instant};

/// A sync that comes later after the one before, or takes longer, is worth a rest.
const BRISK: Duration = Duration::from_micros(500);
/// So many brisk ones in a row are no accident.
const STREAK: u32 = 4;

/// How the last syncs that somebody waited for followed each other.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Who stays awake leaves a core to others.
    has_cores: bool,
    streak: u32,
    asked: Option<Instant>,
    done: Option<Instant>,
}

impl Pace {
    pub fn new(has_cores: bool) -> Self {
        Pace {
            has_cores,
            ..Pace::default()
        }
    }

    /// Somebody waits for a sync from *now* on.
    pub fn asked(&mut self, now: Instant) {
        let late = |done| now.duration_since(done) >= BRISK;
        if self.done.take().is_none_or(late) {
            self.streak = 0;
        }
        self.asked = Some(now);
    }

    /// Whoever waited for a sync need not any longer.
    pub fn done(&mut self, now: Instant) {
        let Some(asked) = self.asked.take() else {
            return;
        };
        self.done = Some(now);
        if now.duration_since(asked) < BRISK {
            self.streak += 1;
        } else {
            self.streak = 0;
        }
    }

    /// Until when to stay awake for what comes next, if at all.
    pub fn brisk_until(&self) -> Option<Instant> {
        let since = self.asked.or(self.done)?;
        (self.has_cores && self.streak >= STREAK).then_some(since + BRISK)
    }

    /// Whether to stay awake *now*.
    pub fn is_brisk(&self, now: Instant) -> bool {
        self.brisk_until().is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Syncs that each take *took*, *gap* after each other; whether the last of them was, and
    /// whoever waits for the next is, worth staying awake.
    fn brisk(pace: &mut Pace, at: &mut Instant, syncs: u32, gap: u64, took: u64) -> (bool, bool) {
        let mut while_waiting = false;
        for _ in 0..syncs {
            *at += Duration::from_micros(gap);
            pace.asked(*at);
            while_waiting = pace.is_brisk(*at);
            *at += Duration::from_micros(took);
            pace.done(*at);
        }
        (while_waiting, pace.is_brisk(*at))
    }

    fn started() -> (Pace, Instant) {
        (Pace::new(true), Instant::now())
    }

    #[test]
    fn only_after_a_row_of_quick_syncs_in_quick_succession_is_anybody_kept_awake() {
        let (mut pace, mut at) = started();
        assert!(!pace.is_brisk(at));
        // The first begins no row: it follows nothing.
        assert_eq!(brisk(&mut pace, &mut at, 3, 100, 200), (false, false));
        assert_eq!(brisk(&mut pace, &mut at, 1, 100, 200), (false, true));
        assert_eq!(brisk(&mut pace, &mut at, 1, 100, 200), (true, true));
    }

    #[test]
    fn nobody_is_kept_awake_longer_than_half_a_millisecond() {
        let (mut pace, mut at) = started();
        brisk(&mut pace, &mut at, 9, 100, 200);
        assert!(pace.is_brisk(at + Duration::from_micros(499)));
        assert!(!pace.is_brisk(at + Duration::from_micros(500)));
        pace.asked(at + Duration::from_micros(100));
        assert!(pace.is_brisk(at + Duration::from_micros(599)));
        assert!(!pace.is_brisk(at + Duration::from_micros(600)));
    }

    #[test]
    fn one_look_in_vain_ends_it() {
        let (mut pace, mut at) = started();
        brisk(&mut pace, &mut at, 9, 100, 200);
        // Too late after the one before.
        assert_eq!(brisk(&mut pace, &mut at, 1, 500, 200), (false, false));
        brisk(&mut pace, &mut at, 9, 100, 200);
        // A disk that was quick until now.
        assert_eq!(brisk(&mut pace, &mut at, 1, 100, 500), (true, false));
        assert_eq!(brisk(&mut pace, &mut at, 3, 100, 200), (false, false));
    }

    #[test]
    fn a_slow_disk_and_turns_now_and_then_keep_nobody_awake() {
        let (mut pace, mut at) = started();
        assert_eq!(brisk(&mut pace, &mut at, 99, 100, 2_000), (false, false));
        assert_eq!(brisk(&mut pace, &mut at, 99, 2_000, 100), (false, false));
    }

    #[test]
    fn on_a_single_core_nobody_is_kept_awake() {
        let (mut pace, mut at) = (Pace::new(false), Instant::now());
        assert_eq!(brisk(&mut pace, &mut at, 99, 100, 200), (false, false));
    }
}
