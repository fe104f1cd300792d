//! The bug garden: planted bugs, one by one, to see that the tests would find them.
//!
//! `TA_BUG=ack_before_fsync cargo test -p tinyagent-log` runs all tests with that bug; the test
//! of the garden plants each in turn and counts the runs until it is found. Outside of tests
//! nothing is ever planted, and the compiler leaves the bugs out.

#[cfg(test)]
use std::cell::Cell;

/// All of them.
#[cfg(test)]
pub(crate) const BUGS: [&str; 16] = [
    "ack_before_write",
    "ack_before_fsync",
    "fsync_skipped_every_9th",
    "watermark_one_ahead",
    "folder_not_synced",
    "short_write_dropped",
    "failed_fsync_retried",
    "create_without_excl",
    "fence_check_before_write",
    "own_segment_not_looked_for",
    "tail_ignored_by_reader",
    "cached_lines_trusted_at_open",
    "corrupt_cut_as_torn",
    "no_resync_after_newline",
    "crc_without_log_id",
    "blob_after_record_sync",
];

#[cfg(test)]
thread_local! {
    static PLANTED: Cell<Option<&'static str>> = Cell::new(named());
    static MET: Cell<u64> = const { Cell::new(0) };
}

#[cfg(test)]
fn named() -> Option<&'static str> {
    let name = std::env::var("TA_BUG").ok()?;
    let known = BUGS.into_iter().find(|bug| *bug == name);
    Some(known.unwrap_or_else(|| panic!("TA_BUG={name} is none of {BUGS:?}")))
}

/// Plants *bug* for this thread.
#[cfg(test)]
pub(crate) fn plant(bug: Option<&'static str>) {
    PLANTED.set(bug);
}

/// Whether *bug* is planted.
#[cfg(test)]
pub(crate) fn planted(bug: &str) -> bool {
    debug_assert!(BUGS.contains(&bug), "{bug} is not in the list");
    PLANTED.get() == Some(bug)
}

/// Whether *bug* is planted and strikes now, every *nth* time.
#[cfg(test)]
pub(crate) fn planted_nth(bug: &str, nth: u64) -> bool {
    planted(bug) && {
        MET.set(MET.get() + 1);
        MET.get().is_multiple_of(nth)
    }
}

#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn planted(_bug: &str) -> bool {
    false
}

#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn planted_nth(_bug: &str, _nth: u64) -> bool {
    false
}
