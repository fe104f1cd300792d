//! What a harness ran: counted, said, and held against what was agreed.

use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::time::Instant;

use crate::vfs::fault::{Fault, Plan};
use crate::vfs::memory::Dice;

/// The outcome of one case: what is wrong, naming the invariant.
pub(crate) type Outcome = Result<(), String>;

/// Returns what is wrong from the function it stands in, unless *holds*.
macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}
pub(crate) use ensure;

/// Whether the long tier runs: `TORTURE=1`, as `make torture` sets it.
pub(crate) fn is_long() -> bool {
    std::env::var("TORTURE").is_ok_and(|value| value == "1")
}

/// Where random cases start: `TA_SEED`, else anywhere.
pub(crate) fn first_seed() -> u64 {
    let given = std::env::var("TA_SEED").ok();
    let anywhere = || std::hash::RandomState::new().build_hasher().finish() >> 16;
    given
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(anywhere)
}

/// Fails the test with what is wrong, and the line that shows it again.
pub(crate) fn pass(outcome: Outcome, test: &str, seed: Option<u64>) {
    if let Err(why) = outcome {
        let seed = seed.map_or(String::new(), |seed| format!("TA_SEED={seed} "));
        panic!("FAILED {why}\n  reproduce: {seed}cargo test -p tinyagent-log {test}");
    }
}

/// Says something past the test runner, which shows only what fails.
pub(crate) fn say(lines: &str) {
    let _ = std::io::stderr().write_all(lines.as_bytes());
}

/// Counts the cases of one harness.
pub(crate) struct Tally {
    what: &'static str,
    least: u64,
    done: u64,
    began: Instant,
}

impl Tally {
    /// Of *what* there must be *short* in every run of the tests, *long* in the long tier.
    pub fn new(what: &'static str, short: u64, long: u64) -> Self {
        Tally {
            what,
            least: if is_long() { long } else { short },
            done: 0,
            began: Instant::now(),
        }
    }

    pub fn add(&mut self, count: u64) {
        self.done += count;
    }

    pub fn is_full(&self) -> bool {
        self.done >= self.least
    }

    /// Says the count, and fails if it is too low.
    pub fn end(self) {
        let seconds = self.began.elapsed().as_secs_f64();
        let (what, done, least) = (self.what, self.done, self.least);
        say(&format!(
            "torture: {what}: {done} of {least} in {seconds:.1} s\n"
        ));
        assert!(self.is_full(), "{what}: only {done} of {least} were run");
    }
}

/// Runs *interrupted* with each of the first *operations* failing in each of the ways that *faults*
/// names for a seed, seed after seed, until *tally* is full. An I/O error stays.
pub(crate) fn wherever(
    test: &str,
    mut tally: Tally,
    operations: u64,
    faults: impl Fn(u64) -> Vec<Fault>,
    interrupted: impl Fn(&Plan, &mut Dice) -> Outcome,
) {
    let mut seed = first_seed();
    while !tally.is_full() {
        for fail_at in 1..=operations {
            for fault in faults(seed) {
                let plan = Plan {
                    fail_at,
                    is_sticky: fault == Fault::Io,
                    fault,
                    ..Plan::default()
                };
                let outcome = interrupted(&plan, &mut Dice::new(seed));
                let told = outcome.map_err(|why| format!("{why} ({plan:?})"));
                pass(told, test, Some(seed));
                tally.add(1);
            }
        }
        seed += 1;
    }
    tally.end();
}
