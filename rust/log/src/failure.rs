//! What can go wrong with a log, and what the caller is told.

use std::fmt;
use std::io;

/// Why a log cannot be opened, read or written. Each kind is one exception in Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no log at that path.
    NotFound(String),
    /// Another process is writing it.
    Owned(String),
    /// Another process has taken it over.
    Fenced(String),
    /// Written by a newer version.
    Version(String),
    /// Acknowledged records are damaged or missing: message, path, seq, byte.
    Corrupt(String, String, u64, u64),
    /// The disk is full.
    Full(String),
    /// An operation failed: message, last durable record.
    Failed(String, u64),
    /// The log was closed.
    Closed(String),
    /// More bytes wait than the queue takes.
    Behind(String),
    /// One value is larger than the log takes.
    Limit(String),
    /// The record is not the next one: path, what was appended, what would be next.
    OutOfOrder(String, u64, u64),
    /// A child of `fork(2)` appends.
    Forked(String),
    /// The caller gave something that cannot be a record or a log.
    Invalid(String),
}

impl Failure {
    /// An operation on a file failed; *durable*: the last record that is known to be, or 0.
    pub fn io(doing: &str, path: &str, error: &io::Error, durable: u64) -> Failure {
        if is_full(error) {
            let next = match durable {
                0 => "make room and try again".to_owned(),
                _ => format!("records 1..{durable} are durable; make room and reopen the log"),
            };
            let what = format!("{path}: {doing} failed: the disk is full; {next}");
            return Failure::Full(what);
        }
        if is_refused(error) {
            let what = format!("{path}: {doing} failed: {error}; {ACCESS}");
            return Failure::Failed(what, durable);
        }
        let next = match durable {
            0 => "look at that path, and try again".to_owned(),
            _ => format!("records 1..{durable} are durable; reopen the log to go on"),
        };
        Failure::Failed(format!("{path}: {doing} failed: {error}; {next}"), durable)
    }

    /// A file cannot be read, which does not say that it is damaged.
    pub fn reading(path: &str, error: &io::Error) -> Failure {
        let next = if is_refused(error) {
            ACCESS
        } else {
            "read it again, or restore a copy"
        };
        let what = format!("{path}: reading failed: {error}; nothing was changed; {next}");
        Failure::Failed(what, 0)
    }
}

const ACCESS: &str = "give this user access to it, or use a copy where there is";

/// Whether *error* says that we may not.
pub(crate) fn is_refused(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
}

/// Whether *error* says that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::OutOfOrder(path, expected, next) => {
                write!(
                    out,
                    "{path}: record {expected} was appended, the next is {next}"
                )
            }
            Failure::NotFound(what)
            | Failure::Owned(what)
            | Failure::Fenced(what)
            | Failure::Version(what)
            | Failure::Corrupt(what, ..)
            | Failure::Full(what)
            | Failure::Failed(what, _)
            | Failure::Closed(what)
            | Failure::Behind(what)
            | Failure::Limit(what)
            | Failure::Forked(what)
            | Failure::Invalid(what) => out.write_str(what),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_is_told_so_and_not_that_opening_again_helps() {
        for kind in [
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::ReadOnlyFilesystem,
        ] {
            for failure in [
                Failure::reading("runs/trip", &kind.into()),
                Failure::io("locking", "runs/trip", &kind.into(), 3),
            ] {
                assert!(failure.to_string().ends_with(ACCESS), "{failure}");
            }
        }
    }
}
