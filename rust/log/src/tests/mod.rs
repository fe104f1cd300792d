//! Tests of the parts together: on the sample of the format, on made logs, on broken disks.

mod archives;
mod blobs;
mod crashes;
mod damage;
mod faults;
mod forks;
mod found;
mod future;
mod garden;
mod golden;
mod golden_damage;
mod histories;
mod hurt;
mod integrity;
mod pauses;
mod pruned;
mod rules;
mod salvage;
mod sealed;
mod snapshots;
mod tally;

use std::sync::Arc;

use crate::blobs::take_out;
use crate::checksum::LogId;
use crate::failure::Failure;
use crate::lock::Holder;
use crate::open::{open, OpenOptions, Recovered};
use crate::reader::{Found, Reader};
use crate::record::{push_line, Record};
use crate::vfs::memory::MemoryVfs;
use crate::vfs::Vfs;
use crate::writer::{Batch, Writer};

pub(crate) const AT: u64 = 1_795_420_800_000_000;

pub(crate) fn id() -> LogId {
    LogId::parse(b"4f6c0b6c2d7e4b5f9a0d3c1e8b72a655").expect("an id")
}

pub(crate) fn options() -> OpenOptions {
    OpenOptions {
        log: None,
        fresh: id(),
        name: None,
        origin: None,
        more: Vec::new(),
        fork: None,
        level: None,
        key: None,
        accepts_loss: false,
        by: "tinyagent 1.0.0".into(),
        at: AT,
        holder: Holder {
            pid: 7,
            host: "here".to_owned(),
            ..Holder::default()
        },
    }
}

pub(crate) fn open_on(vfs: &(impl Vfs + Clone + 'static)) -> Result<(Writer, Recovered), Failure> {
    open(Arc::new(vfs.clone()), &options())
}

/// Records *first..=last*, each with the text of *text*.
pub(crate) fn batch(d: u64, first: u64, last: u64, text: &str) -> Batch {
    let mut batch = Batch {
        last,
        at: AT + last,
        ..Batch::default()
    };
    for seq in first..=last {
        let payload = format!("{{\"text\":\"{text} {seq}\"}}");
        let record = Record {
            seq,
            d,
            ts_us: AT + seq,
            actor: None,
            kind: "user.said",
            v: 1,
            cause: seq - 1,
            payload: payload.as_bytes(),
        };
        push_line(&mut batch.lines, &id(), &record);
    }
    batch
}

/// Record *seq*, of somebody who said nothing.
pub(crate) fn record(seq: u64) -> Record<'static> {
    Record {
        seq,
        d: 0,
        ts_us: AT,
        actor: None,
        kind: "user.said",
        v: 1,
        cause: 0,
        payload: b"{}",
    }
}

/// Adds record *seq* to *batch*; its large values lie in blobs.
pub(crate) fn push(batch: &mut Batch, seq: u64, d: u64, payload: &[u8]) {
    let (left, blobs) = take_out(payload).expect("within the limit");
    let record = Record {
        seq,
        d,
        ts_us: 1,
        actor: None,
        kind: "user.said",
        v: 1,
        cause: 0,
        payload: &left,
    };
    push_line(&mut batch.lines, &id(), &record);
    batch.blobs.extend(blobs);
}

pub(crate) fn append(writer: &mut Writer, count: u64, text: &str) -> Result<(), Failure> {
    let first = writer.written() + 1;
    writer.write(&batch(writer.durable(), first, first + count - 1, text))
}

pub(crate) fn read(disk: &MemoryVfs) -> Result<Reader, Failure> {
    match Reader::folder(Arc::new(disk.clone()), u64::MAX)? {
        Found::Log(reader) => Ok(*reader),
        Found::Nothing => Err(Failure::NotFound("nothing".to_owned())),
    }
}

pub(crate) fn lines(reader: &mut Reader) -> Vec<Vec<u8>> {
    let count = reader.len();
    let line = |index| reader.line(index).expect("a line");
    (0..count).map(line).collect()
}

pub(crate) fn shared(vfs: &(impl Vfs + Clone + 'static)) -> Arc<dyn Vfs> {
    Arc::new(vfs.clone())
}

pub(crate) fn all(disk: &MemoryVfs) -> Vec<Vec<u8>> {
    lines(&mut read(disk).expect("a log"))
}
