//! The log: records on disk, one line each. No Python, no clock.
//!
//! ```text
//! 00000001.jsonl   {"tinyagent_log":1,"log":...,"x":"96c1ade0"}     header
//!                  {"seq":1,"d":0,"ts":...,"e":{...},"x":"00ddab5d"} records
//!                  {"tinyagent_seal":1,"seg":1,"last":18,...}        seal, if closed in order
//! 00000002.jsonl   the next opening, or the next part of a long one
//! ```
//!
//! # Layout
//!
//! - `checksum`: the log's id, and CRC32C started with it.
//! - `json`: the little JSON needed here.
//! - `chain`: each record's hash covers the one before; where a fork left its parent.
//! - `sign`: signatures of seals; `integrity`: the chain followed and compared.
//! - `answers`: a model's answer, of many records, read back as its blocks.
//! - `record`, `marks`: a line built, checked and taken apart; header and seal; `rare`: what few
//!   headers say.
//! - `scan`: bytes to lines, good and bad.
//! - `segments`, `recover`: lines to a verdict: what counts, what is torn, what is corrupt.
//! - `folder`, `reader`: a folder or a packed file, read and judged.
//! - `pruning`: the oldest segments removed on purpose.
//! - `salvage`: what can still be read of a corrupt log; `verify`: a verdict on every segment.
//! - `open`, `tidying`: a folder opened for appending: fence, take over, tidy.
//! - `writer`: write, sync, rotate, seal; a failed fsync; a full disk; `reserve`: what is left then.
//! - `queue`, `driver`, `shared`: the handle that feeds a writer, the thread that drives it, and
//!   what they share; `timing`: how long the disk took; `linger`: one thread that writes the few
//!   lines of many logs.
//! - `archive`, `archiving`: sealed segments in one compressed file, read and made.
//! - `blobs`: large values beside the log.
//! - `lock`: who writes, and the hint.
//! - `failure`: what can go wrong.
//! - `garden`: planted bugs, for tests of the tests.
//! - `vfs`: what is asked of a file system; the real one, and those for tests.

pub mod answers;
pub mod archive;
pub mod archiving;
pub mod blobs;
pub mod chain;
pub mod checksum;
mod driver;
pub mod failure;
mod folder;
mod garden;
pub mod integrity;
mod json;
mod linger;
pub mod lock;
pub mod marks;
pub mod open;
mod pace;
pub mod pruning;
pub mod queue;
pub mod rare;
pub mod reader;
pub mod record;
pub mod recover;
pub mod reserve;
pub mod salvage;
pub mod scan;
mod sealed;
mod segments;
mod shared;
pub mod sign;
mod tidying;
pub mod timing;
pub mod verify;
pub mod vfs;
pub mod writer;

#[cfg(test)]
mod tests;
