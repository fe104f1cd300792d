//! However a log is damaged: runs and gaps cover it, and no line is made up.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{append, lines, open_on, read};
use crate::failure::Failure;
use crate::record::parse;
use crate::salvage::{Part, Salvage};
use crate::verify::verify;
use crate::vfs::memory::MemoryVfs;
use crate::vfs::Vfs;

const LAST: u64 = 9;

/// Three openings: closed, killed, closed. Copies and a moved-aside end among them.
fn log() -> MemoryVfs {
    let disk = MemoryVfs::new();
    for round in 0..3 {
        let (mut writer, _) = open_on(&disk).expect("opened");
        append(&mut writer, 2, "text").expect("appended");
        writer.sync().expect("synced");
        append(&mut writer, 1, "text").expect("appended");
        if round != 1 {
            writer.close("close", 1).expect("closed");
        }
    }
    disk
}

/// Numbers that *disk* still has, and those of its gaps.
fn looked_at(disk: &MemoryVfs, whole: &BTreeSet<Vec<u8>>) -> (Vec<u64>, Vec<u64>) {
    let salvage = Salvage::of(Arc::new(disk.clone()), None).expect("an id");
    let (mut kept, mut lost) = (Vec::new(), Vec::new());
    for part in &salvage.parts {
        match part {
            Part::Gap(gap) => lost.extend(gap.first..=gap.last),
            Part::Run(run) => {
                assert!(!run.is_empty());
                for line in run {
                    assert!(whole.contains(line), "a line that was never written");
                    kept.push(parse(line).expect("a record").seq);
                }
            }
        }
    }
    // A damaged header costs no record, though the log is not read as it is.
    assert!(lost.is_empty() || salvage.damage.is_some());
    (kept, lost)
}

#[test]
fn one_flipped_bit_costs_at_most_the_line_it_is_in() {
    let disk = log();
    let whole: BTreeSet<Vec<u8>> = lines(&mut read(&disk).expect("a log"))
        .into_iter()
        .collect();
    assert_eq!(looked_at(&disk, &whole), ((1..=LAST).collect(), vec![]));
    let mut corrupt = 0;
    for name in ["00000001.jsonl", "00000002.jsonl", "00000003.jsonl"] {
        let bytes = disk.read(name).expect("bytes");
        for at in (0..bytes.len()).step_by(3) {
            let copy = disk.copy();
            let mut broken = bytes.clone();
            broken[at] ^= 4;
            copy.put(name, &broken);
            let (kept, lost) = looked_at(&copy, &whole);
            let mut all = [kept, lost.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, (1..=LAST).collect::<Vec<_>>(), "{name} byte {at}");
            // A damaged newline glues a line to the next one, and only the next one is found.
            assert!(lost.len() <= 1, "{name} byte {at}: {lost:?}");
            corrupt += lost.len();
        }
    }
    assert!(corrupt > 100, "{corrupt}");
}

#[test]
fn verify_convicts_the_segment_that_is_damaged_and_no_other() {
    let disk = log();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.copy());
    let report = verify(&vfs, None, None).expect("a log");
    let verdicts = |segments: &[crate::verify::Segment]| -> Vec<&'static str> {
        segments.iter().map(|segment| segment.verdict).collect()
    };
    assert_eq!(report.verdict, "clean");
    assert_eq!(verdicts(&report.segments), ["sealed", "open", "sealed"]);
    let bytes = disk.read("00000002.jsonl").expect("bytes");
    let at = memchr::memmem::find(&bytes, b"text 4").expect("there");
    let mut broken = bytes.clone();
    broken[at] = b'T';
    disk.put("00000002.jsonl", &broken);
    let vfs: Arc<dyn Vfs> = Arc::new(disk);
    let report = verify(&vfs, None, None).expect("an id");
    assert_eq!(report.verdict, "corrupt");
    assert_eq!(verdicts(&report.segments), ["sealed", "corrupt", "sealed"]);
}

#[test]
fn a_folder_without_any_id_is_not_guessed_at() {
    let disk = MemoryVfs::new();
    disk.put("00000001.jsonl", b"{\"seq\":1,\"d\":0,\"ts\":1}\n");
    let found = Salvage::of(Arc::new(disk), None).err();
    assert!(matches!(found, Some(Failure::Corrupt(..))));
}
