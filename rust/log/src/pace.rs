//! Whether syncs follow each other so closely that who rests between them loses more than he saves.
//!
//! To wake a thread whose core has gone to sleep takes tens of microseconds, twice for each sync,
//! which itself may take no more than a hundred. So while somebody does nothing but append a
//! little and wait for its sync, both sides look again and again instead of resting: for at most
//! `BRISK`, and only while they find themselves with a core of their own. Each time in vain, that
//! has to go on for longer before they try again.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A sync that comes later after the one before, or takes longer, is worth a rest.
const BRISK: Duration = Duration::from_micros(500);
/// Between two looks somebody else ran.
pub(crate) const BUSY: Duration = Duration::from_micros(100);
/// So long whoever waits looks before the others in its event loop have a turn.
pub(crate) const LOOK: Duration = Duration::from_micros(20);
/// After so many brisk ones in a row the next is likely to be one; after failures, up to so many.
const STREAK: u32 = 2;
const STREAK_MAX: u32 = 256;

/// How the last syncs that somebody waited for followed each other.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Who stays awake leaves a core to others.
    has_cores: bool,
    streak: u32,
    needed: u32,
    looked: Option<Instant>,
    asked: Option<Instant>,
    done: Option<Instant>,
}

impl Pace {
    pub fn new(has_cores: bool) -> Self {
        Pace {
            has_cores,
            needed: STREAK,
            ..Pace::default()
        }
    }

    /// Whether one that is made in its place would do the same, if nobody asks for a while.
    pub fn is_new(&self) -> bool {
        self.needed == STREAK && self.streak < STREAK
    }

    /// Somebody waits for a sync from *now* on.
    pub fn asked(&mut self, now: Instant) {
        let late = |done| now.duration_since(done) >= BRISK;
        if self.done.take().is_none_or(late) {
            self.missed();
        }
        self.asked = Some(now);
        self.looked = None;
    }

    /// Whoever waited for a sync need not any longer.
    pub fn done(&mut self, now: Instant) {
        let Some(asked) = self.asked.take() else {
            return;
        };
        self.done = Some(now);
        if now.duration_since(asked) >= BRISK {
            self.missed();
        } else if self.streak < self.needed {
            self.streak += 1;
        } else {
            self.needed = STREAK.max(self.needed - 1);
        }
    }

    /// Who stayed awake should not have.
    pub fn missed(&mut self) {
        if self.streak >= self.needed {
            self.needed = STREAK_MAX.min(2 * self.needed);
        }
        self.streak = 0;
    }

    /// Until when to stay awake for what comes next, if at all.
    pub fn brisk_until(&self) -> Option<Instant> {
        let since = self.asked.or(self.done)?;
        (self.has_cores && self.streak >= self.needed).then_some(since + BRISK)
    }

    /// Whether whoever waits, and looks *now*, is to stay awake.
    pub fn look(&mut self, now: Instant) -> bool {
        let before = self.looked.replace(now);
        if before.is_some_and(|before| now.duration_since(before) > BUSY) {
            self.missed();
        }
        self.brisk_until().is_some_and(|until| now < until)
    }
}

/// Whether more than one thread of this process runs at once.
pub(crate) fn has_cores() -> bool {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from)) > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Duration = Duration::from_micros(500);

    struct Run {
        pace: Pace,
        now: Instant,
    }

    impl Run {
        fn new(has_cores: bool) -> Self {
            let (pace, now) = (Pace::new(has_cores), Instant::now());
            Run { pace, now }
        }

        /// So many syncs, *gap* after each other, each taking *took*. How many of those who waited
        /// for one were kept awake when they began to.
        fn sync(&mut self, count: u32, gap: u64, took: u64) -> u32 {
            let mut kept = 0;
            for _ in 0..count {
                self.now += Duration::from_micros(gap);
                self.pace.asked(self.now);
                kept += u32::from(self.pace.look(self.now));
                self.now += Duration::from_micros(took);
                self.pace.done(self.now);
            }
            kept
        }

        /// Whether the thread stays awake for the next.
        fn stays(&self) -> bool {
            self.pace.brisk_until().is_some()
        }
    }

    #[test]
    fn only_after_a_row_of_quick_syncs_in_quick_succession_is_anybody_kept_awake() {
        let mut run = Run::new(true);
        assert!(!run.stays());
        assert_eq!((run.sync(1, 100, 200), run.stays()), (0, false));
        assert_eq!((run.sync(1, 100, 200), run.stays()), (0, true));
        assert_eq!((run.sync(5, 100, 200), run.stays()), (5, true));
    }

    #[test]
    fn nobody_is_kept_awake_for_longer_than_half_a_millisecond() {
        let mut run = Run::new(true);
        run.sync(9, 100, 200);
        assert_eq!(run.pace.brisk_until(), Some(run.now + HALF));
        run.pace.asked(run.now);
        assert_eq!(run.pace.brisk_until(), Some(run.now + HALF));
        let mut looks = 0;
        while run.pace.look(run.now) {
            looks += 1;
            run.now += Duration::from_micros(50);
        }
        assert_eq!(looks, 10);
    }

    #[test]
    fn who_was_kept_from_looking_has_no_core_to_himself_and_rests() {
        let mut run = Run::new(true);
        run.sync(9, 100, 200);
        run.pace.asked(run.now);
        assert!(run.pace.look(run.now));
        assert!(run.pace.look(run.now + Duration::from_micros(100)));
        assert!(!run.pace.look(run.now + Duration::from_micros(201)));
    }

    #[test]
    fn each_time_in_vain_it_takes_twice_as_long_until_the_next() {
        let mut run = Run::new(true);
        let tries = |run: &mut Run| {
            let mut quick = 0;
            while !run.stays() {
                run.sync(1, 100, 200);
                quick += 1;
            }
            run.sync(1, 100, 500); // a disk that was quick until now
            quick
        };
        let found: Vec<u32> = (0..9).map(|_| tries(&mut run)).collect();
        assert_eq!(found, [2, 4, 8, 16, 32, 64, 128, 256, 256]);
    }

    #[test]
    fn a_slow_disk_and_turns_now_and_then_keep_nobody_awake() {
        let mut run = Run::new(true);
        assert_eq!((run.sync(99, 100, 2_000), run.stays()), (0, false));
        assert_eq!((run.sync(99, 2_000, 100), run.stays()), (0, false));
    }

    #[test]
    fn on_a_single_core_nobody_is_kept_awake() {
        let mut run = Run::new(false);
        assert_eq!((run.sync(99, 100, 200), run.stays()), (0, false));
    }
}
