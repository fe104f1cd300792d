//! Damage at random, and what a reader may say of it: never that it is clean, and never a wrong
//! byte; that it is torn only where nothing is left that knows better.

use super::tally::{ensure, Outcome};
use super::{id, read};
use crate::failure::Failure;
use crate::lock::{read_hint, read_holder, LOCK};
use crate::record::parse;
use crate::recover::Verdict;
use crate::vfs::memory::{Dice, MemoryVfs, SECTOR_BYTES};
use crate::vfs::{ordinals, segment_name, Vfs};

/// Damages one segment of *disk*; returns how.
pub(crate) fn hurt(disk: &MemoryVfs, dice: &mut Dice) -> String {
    let found = ordinals(disk).expect("a folder");
    let name = segment_name(found[dice.roll(found.len())]);
    let bytes = disk.read(&name).expect("bytes");
    let (how, broken) = hurt_bytes(&bytes, dice);
    disk.put(&name, &broken);
    format!("{name}: {how}")
}

/// Damages *bytes* in one way.
pub(crate) fn hurt_bytes(bytes: &[u8], dice: &mut Dice) -> (String, Vec<u8>) {
    if bytes.is_empty() {
        return ("nothing".to_owned(), Vec::new());
    }
    let at = dice.roll(bytes.len());
    let mut broken = bytes.to_vec();
    let how = match dice.roll(8) {
        0 => {
            broken[at] ^= 1 << dice.roll(8);
            "a bit"
        }
        1 => {
            broken.truncate(at);
            "a cut"
        }
        2 => {
            let start = at / SECTOR_BYTES * SECTOR_BYTES;
            let end = bytes.len().min(start + SECTOR_BYTES);
            // No letter of a payload: that could heal what a power cut has torn.
            broken[start..end].fill([0, b'#', b'\n'][dice.roll(3)]);
            "a sector"
        }
        kind => {
            broken = hurt_lines(bytes, kind, dice);
            "lines"
        }
    };
    (format!("{how} at {at}"), broken)
}

/// Lines dropped, doubled, swapped, or of another log.
fn hurt_lines(bytes: &[u8], kind: usize, dice: &mut Dice) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
    let (at, to) = (dice.roll(lines.len()), dice.roll(lines.len()));
    let seq = parse(lines[at]).map_or(1, |record| record.seq);
    let foreign = foreign_line(seq);
    match kind {
        3 => drop(lines.remove(at)),
        4 => lines.insert(to, lines[at]),
        5 => lines.swap(at, to),
        6 => lines.truncate(at),
        _ => lines[at] = &foreign,
    }
    lines.concat()
}

/// Record *seq* of another log.
pub(crate) fn foreign_line(seq: u64) -> Vec<u8> {
    let other = crate::checksum::LogId::new(*b"another log's id");
    let mut line = Vec::new();
    let record = crate::record::Record {
        seq,
        d: 0,
        ts_us: 1,
        actor: None,
        kind: "user.said",
        v: 1,
        cause: 0,
        payload: b"{\"text\":\"foreign\"}",
    };
    crate::record::push_line(&mut line, &other, &record);
    line
}

/// I8: what a reader may say of *disk*, damaged in one place. *payloads* were there before, the
/// first *durable* of them acknowledged.
pub(crate) fn judge(disk: &MemoryVfs, payloads: &[Vec<u8>], durable: usize) -> Outcome {
    let lock = disk.read(LOCK).unwrap_or_default();
    let known = read_hint(&lock, &id()).map_or(0, |hint| hint.seq as usize);
    let mut reader = match read(disk) {
        Ok(reader) => reader,
        Err(Failure::Corrupt(..)) => return Ok(()),
        Err(Failure::NotFound(_)) => {
            let was_opened = read_holder(disk).is_some();
            ensure!(
                !was_opened,
                "I8 {durable} durable records are called nothing"
            );
            return Ok(());
        }
        Err(failure) => return Err(format!("I8 {failure}")),
    };
    let (count, accepted) = (reader.len(), payloads.len());
    ensure!(count <= accepted, "I8 {count} records of {accepted}");
    for (index, expected) in payloads[..count].iter().enumerate() {
        let line = reader
            .line(index)
            .map_err(|failure| format!("I8 {failure}"))?;
        let record = parse(&line).ok_or("I8 a line that is no record")?;
        let (payload, lost) = reader.resolve(record.payload);
        // Blind spot: late lines of a fenced writer that no opening has set aside yet, and the
        // header that voids them damaged with all of its segment: they look valid again.
        let is_blind = reader.analysis.void_segments > 0;
        let same = payload == *expected || !lost.is_empty() || is_blind;
        ensure!(same, "I8 record {} has other bytes", index + 1);
    }
    let verdict = &reader.analysis.verdict;
    let is_whole = count >= durable;
    // Blind spot: without the hint, a last segment that is empty may never have been begun.
    let is_blind = known < durable && reader.analysis.void_segments > 0;
    let is_clean = *verdict == Verdict::Clean && !is_blind;
    ensure!(
        is_whole || !is_clean,
        "I8 {count} of {durable} records, clean"
    );
    let was_known = known.min(durable) > count;
    ensure!(
        !was_known,
        "I8 {count} of {durable} records, {verdict:?}, the hint knows {known}"
    );
    Ok(())
}
