//! A log in one file is sealed: whatever is cut off its end, that is noticed.

use std::sync::Arc;

use super::golden::{sample_lines, SAMPLE};
use crate::failure::Failure;
use crate::reader::{Found, Reader};
use crate::salvage::{Part, Salvage};
use crate::verify::verify;
use crate::vfs::memory::MemoryVfs;
use crate::vfs::Vfs;

fn disk(name: &str, bytes: &[u8]) -> Arc<dyn Vfs> {
    let disk = MemoryVfs::new();
    disk.put(name, bytes);
    Arc::new(disk)
}

#[test]
fn a_packed_log_cut_anywhere_behind_its_header_is_damaged() {
    let header = sample_lines()[0].len();
    for cut in header..SAMPLE.len() {
        let whole = SAMPLE[..cut].iter().filter(|&&b| b == b'\n').count() as u64;
        let found = Reader::packed(disk("a.jsonl", &SAMPLE[..cut]), "a.jsonl");
        let Err(Failure::Corrupt(what, path, seq, at)) = found.map(drop) else {
            panic!("cut at {cut}: not noticed");
        };
        let line = SAMPLE[..cut].iter().rposition(|&b| b == b'\n');
        assert_eq!(
            (path.as_str(), seq),
            ("disk/a.jsonl", whole),
            "cut at {cut}"
        );
        assert_eq!(at, line.map_or(0, |at| at as u64 + 1), "cut at {cut}");
        assert!(what.contains("cut short behind record"), "{what}");
    }
}

#[test]
fn what_is_left_of_it_is_salvaged_and_what_may_be_lost_is_a_gap() {
    let lines = sample_lines();
    let bytes = lines[..6].concat();
    let disk = disk("a.jsonl", &bytes);
    let salvage = Salvage::of(disk.clone(), Some("a.jsonl")).expect("an id");
    let [Part::Run(run), Part::Gap(gap)] = salvage.parts.as_slice() else {
        panic!("a run and a gap, found {:?}", salvage.parts);
    };
    assert_eq!(run.len(), 5);
    assert_eq!((gap.first, gap.last, gap.bytes), (6, 6, 0));
    assert_eq!(gap.offset, bytes.len() as u64);
    let report = verify(&disk, Some("a.jsonl"), None).expect("judged");
    assert_eq!(report.verdict, "corrupt");
    let [complaint] = report.segments[0].complaints.as_slice() else {
        panic!("one complaint, found {:?}", report.segments);
    };
    assert!(
        complaint.contains("cut short behind record 5"),
        "{complaint}"
    );
}

#[test]
fn a_segment_of_a_folder_may_be_being_written() {
    let bytes = sample_lines()[..6].concat();
    let name = "00000001.jsonl";
    let found = Reader::packed(disk(name, &bytes), name).expect("readable");
    let Found::Log(reader) = found else {
        panic!("a log was expected");
    };
    assert_eq!(reader.analysis.next, 6);
}
