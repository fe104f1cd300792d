//! A mutator that knows the lines of a log: dropped, doubled, swapped, spliced, cut, with bits
//! flipped, and with numbers changed under a checksum that is right again.

use tinyagent_log::checksum::LogId;
use tinyagent_log::record::TAIL_BYTES;
use tinyagent_log::scan::find_id;
use tinyagent_log::vfs::memory::Dice;

/// The id of the log that *bytes* seem to be, else one of our own.
pub fn id_of(bytes: &[u8]) -> LogId {
    find_id(bytes).unwrap_or_else(|| LogId::new(*b"0123456789abcdef"))
}

/// Changes *log* in one way. *other* is spliced from.
pub fn change(log: &[u8], other: &[u8], seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let id = id_of(log);
    let own = |line: &[u8]| line.to_vec();
    let mut lines: Vec<Vec<u8>> = log.split_inclusive(|&b| b == b'\n').map(own).collect();
    let others: Vec<&[u8]> = other.split_inclusive(|&b| b == b'\n').collect();
    if lines.is_empty() {
        return other.to_vec();
    }
    let (at, to) = (dice.roll(lines.len()), dice.roll(lines.len()));
    match dice.roll(12) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(to, lines[at].clone()),
        2 => lines.swap(at, to),
        3 => lines.truncate(at + 1),
        4 => drop(lines.drain(at.min(to)..at.max(to))),
        5 if !others.is_empty() => lines.insert(to, others[dice.roll(others.len())].to_vec()),
        6 => flip(&mut lines[at], &mut dice),
        7 => {
            let length = dice.roll(lines[at].len());
            lines[at].truncate(length);
        }
        8 => {
            flip(&mut lines[at], &mut dice);
            mend(&mut lines[at], &id);
        }
        _ => {
            change_number(&mut lines[at], &mut dice);
            mend(&mut lines[at], &id);
        }
    }
    lines.concat()
}

fn flip(line: &mut [u8], dice: &mut Dice) {
    let at = dice.roll(line.len());
    line[at] ^= 1 << dice.roll(8);
}

/// Puts another number in place of one: near it, or at an edge.
fn change_number(line: &mut Vec<u8>, dice: &mut Dice) {
    let is_digit = |at: &usize| line[*at].is_ascii_digit();
    let digits: Vec<usize> = (0..line.len().saturating_sub(TAIL_BYTES))
        .filter(is_digit)
        .collect();
    let Some(&at) = digits.get(dice.roll(digits.len())) else {
        return;
    };
    let is_other = |b: &u8| !b.is_ascii_digit();
    let start = line[..at]
        .iter()
        .rposition(is_other)
        .map_or(0, |edge| edge + 1);
    let end = line[at..]
        .iter()
        .position(is_other)
        .map_or(line.len(), |edge| at + edge);
    let old: u64 = std::str::from_utf8(&line[start..end])
        .ok()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0);
    let new = match dice.roll(8) {
        0 => 0,
        1 => (1 << 53) - 1,
        2 => u64::MAX,
        3 => 1,
        4 => old.saturating_sub(1),
        5 => old.saturating_add(dice.roll(9) as u64),
        _ => old.saturating_add(1),
    };
    drop(line.splice(start..end, new.to_string().into_bytes()));
}

/// Makes the checksum of *line* right.
fn mend(line: &mut Vec<u8>, id: &LogId) {
    if line.len() >= TAIL_BYTES {
        line.truncate(line.len() - TAIL_BYTES);
        let crc = id.crc(line);
        line.extend_from_slice(format!(",\"x\":\"{crc:08x}\"}}\n").as_bytes());
    }
}

/// For `fuzz_mutator!`: three of four changes know the format, the others are the fuzzer's own.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    if seed.is_multiple_of(4) {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let changed = change(&data[..size], b"", u64::from(seed));
    let length = changed.len().min(max_size);
    data[..length].copy_from_slice(&changed[..length]);
    length
}

/// For `fuzz_crossover!`: lines of one in the other.
pub fn cross(one: &[u8], two: &[u8], out: &mut [u8], seed: u32) -> usize {
    let crossed = change(one, two, u64::from(seed));
    let length = crossed.len().min(out.len());
    out[..length].copy_from_slice(&crossed[..length]);
    length
}
