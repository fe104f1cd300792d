//! Recovery: a folder of segments, one from each header on. Whatever is in them, reading ends
//! without a panic; what is read are sound lines, numbered without gaps; what is opened goes on
//! from there and loses none of it, also when power is cut.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target};
use tinyagent_log::checksum::LogId;
use tinyagent_log::failure::Failure;
use tinyagent_log::lock::Holder;
use tinyagent_log::open::{open, OpenOptions};
use tinyagent_log::reader::{Found, Reader};
use tinyagent_log::record::{parse, push_line, Record};
use tinyagent_log::reserve::RESERVE;
use tinyagent_log::vfs::memory::{Dice, MemoryVfs};
use tinyagent_log::vfs::segment_name;
use tinyagent_log::writer::{Batch, Writer};
use tinyagent_log_fuzz::{cross, mutate};

const HEADER: &[u8] = b"{\"tinyagent_log\":";

fn disk_of(bytes: &[u8]) -> MemoryVfs {
    let disk = MemoryVfs::new();
    disk.put(RESERVE, b"");
    let starts =
        |at: &usize| *at == 0 || (bytes[at - 1] == b'\n' && bytes[*at..].starts_with(HEADER));
    let mut cuts: Vec<usize> = (0..bytes.len()).filter(starts).collect();
    cuts.push(bytes.len());
    for (index, pair) in cuts.windows(2).enumerate() {
        disk.put(&segment_name(index as u64 + 1), &bytes[pair[0]..pair[1]]);
    }
    disk
}

/// The lines that are read; `None` if there is no log, or it is refused.
fn read(disk: &MemoryVfs) -> Option<(Vec<Vec<u8>>, u64, LogId)> {
    let found = Reader::folder(Arc::new(disk.clone()), u64::MAX);
    let mut reader = match found {
        Ok(Found::Log(reader)) => reader,
        Ok(Found::Nothing) => return None,
        Err(Failure::Corrupt(..) | Failure::Version(_) | Failure::NotFound(_)) => return None,
        Err(failure) => panic!("{failure}"),
    };
    let mut lines = Vec::new();
    let mut next = None;
    for index in 0..reader.len() {
        let place = reader.analysis.records[index].place;
        assert!(
            next.is_none_or(|next| place.from == next),
            "a gap before {place:?}"
        );
        next = Some(place.seq + 1);
        lines.push(
            reader
                .line(index)
                .expect("it was there when it was scanned"),
        );
    }
    Some((lines, reader.analysis.next, reader.header.log))
}

fn options() -> OpenOptions {
    OpenOptions {
        fork: None,
        level: None,
        key: None,
        accepts_loss: false,
        log: None,
        fresh: LogId::new(*b"0123456789abcdef"),
        name: None,
        origin: None,
        more: Vec::new(),
        by: "fuzz".into(),
        at: 1,
        holder: Holder::default(),
    }
}

fn append(writer: &mut Writer) -> Result<(), Failure> {
    let seq = writer.written() + 1;
    let record = Record {
        seq,
        d: writer.durable(),
        ts_us: 1,
        actor: None,
        kind: "user.said",
        v: 1,
        cause: 0,
        payload: b"{}",
    };
    let mut batch = Batch {
        last: seq,
        at: 1,
        ..Batch::default()
    };
    push_line(&mut batch.lines, &writer.header().log, &record);
    writer.write(&batch)?;
    writer.sync()
}

fuzz_target!(|bytes: &[u8]| {
    let disk = disk_of(bytes);
    let before = read(&disk);
    let Ok((mut writer, _)) = open(Arc::new(disk.clone()), &options()) else {
        return;
    };
    let Some((lines, next, id)) = before else {
        return;
    };
    assert_eq!((writer.written() + 1, writer.header().log), (next, id));
    append(&mut writer).expect("it was opened");
    let seed = bytes.len() as u64;
    for after in [disk.clone(), disk.power_cut(&mut Dice::new(seed))] {
        let (found, _, _) = read(&after).expect("it was durable");
        assert!(
            found.len() > lines.len(),
            "{} of {}",
            found.len(),
            lines.len()
        );
        assert_eq!(found[..lines.len()], lines);
        assert_eq!(parse(&found[lines.len()]).map(|it| it.seq), Some(next));
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});

fuzz_crossover!(|one: &[u8], two: &[u8], out: &mut [u8], seed: u32| { cross(one, two, out, seed) });
