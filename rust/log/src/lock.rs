//! `LOCK`: who writes the log, and the hint, what is durable.
//!
//! The lock makes good errors, it is not what keeps writers apart: that is the next file. Two
//! slots of 256 bytes, each one JSON line padded with blanks, checked like a record. The hint is
//! overwritten after every fsync and never synced itself: stale perhaps, never ahead.

use std::io;

use crate::checksum::LogId;
use crate::json::{fields, parse_string, push_string};
use crate::marks::{field, number};
use crate::record::{is_sound, push_tail, TAIL_BYTES};
use crate::vfs::{OpenFile, Vfs};

/// Name of the file.
pub const LOCK: &str = "LOCK";
const SLOT_BYTES: usize = 256;

/// Who writes the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Name of the machine.
    pub host: String,
    /// Which start of that machine.
    pub boot: String,
    /// The opening.
    pub epoch: u64,
    /// Microseconds since 1970 UTC.
    pub since: u64,
}

/// The last record that was durable, and where it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// Ordinal of the segment.
    pub seg: u64,
    /// Number of the record.
    pub seq: u64,
    /// Bytes of the segment up to its end.
    pub bytes: u64,
}

/// The lock, held until dropped.
pub struct Lock {
    file: OpenFile,
}

impl Lock {
    /// Takes the lock; `None` if another has it.
    pub fn take(vfs: &dyn Vfs) -> io::Result<Option<Lock>> {
        Ok(vfs.lock(LOCK)?.map(|file| Lock { file }))
    }

    /// Says who holds it.
    pub fn write_holder(&mut self, id: &LogId, holder: &Holder) -> io::Result<()> {
        let mut line = format!("{{\"pid\":{},\"host\":", holder.pid).into_bytes();
        push_string(&mut line, holder.host.get(..64).unwrap_or(&holder.host));
        line.extend_from_slice(b",\"boot\":");
        push_string(&mut line, holder.boot.get(..64).unwrap_or(&holder.boot));
        line.extend_from_slice(
            format!(",\"epoch\":{},\"since\":{}", holder.epoch, holder.since).as_bytes(),
        );
        self.file.write_at(0, &slot(line, id))
    }

    /// Overwrites the hint.
    pub fn write_hint(&mut self, id: &LogId, hint: Hint) -> io::Result<()> {
        let Hint { seg, seq, bytes } = hint;
        let line = format!("{{\"seg\":{seg},\"seq\":{seq},\"bytes\":{bytes}").into_bytes();
        self.file.write_at(SLOT_BYTES as u64, &slot(line, id))
    }
}

fn slot(mut line: Vec<u8>, id: &LogId) -> Vec<u8> {
    push_tail(&mut line, 0, id);
    line.truncate(SLOT_BYTES);
    line.pop();
    line.resize(SLOT_BYTES - 1, b' ');
    line.push(b'\n');
    line
}

/// What the lock file says about its holder, checked or not: for messages.
pub fn read_holder(vfs: &dyn Vfs) -> Option<Holder> {
    let bytes = vfs.read(LOCK).ok()?;
    let line = bytes.get(..SLOT_BYTES)?.trim_ascii_end();
    let found = fields(line)?;
    let count = |name| field(&found, name).and_then(number);
    let text = |name| field(&found, name).and_then(parse_string);
    Some(Holder {
        pid: u32::try_from(count("pid")?).ok()?,
        host: text("host")?,
        boot: text("boot")?,
        epoch: count("epoch")?,
        since: count("since")?,
    })
}

/// The hint, if it is there and whole.
pub fn read_hint(bytes: &[u8], id: &LogId) -> Option<Hint> {
    let mut line = bytes
        .get(SLOT_BYTES..2 * SLOT_BYTES)?
        .trim_ascii_end()
        .to_vec();
    line.push(b'\n');
    if line.len() < TAIL_BYTES || !is_sound(&line, id) {
        return None;
    }
    line.pop();
    let found = fields(&line)?;
    let count = |name| field(&found, name).and_then(number);
    Some(Hint {
        seg: count("seg")?,
        seq: count("seq")?,
        bytes: count("bytes")?,
    })
}
