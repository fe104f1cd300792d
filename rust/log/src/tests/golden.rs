//! The sample of the format, to the byte.

use std::sync::Arc;

use super::{id, open_on, read};
use crate::marks::{Header, Seal};
use crate::reader::{Found, Reader};
use crate::record::{is_sound, parse, push_line};
use crate::recover::Verdict;
use crate::scan::{scan, Item};
use crate::vfs::memory::MemoryVfs;

pub(crate) const SAMPLE: &[u8] = include_bytes!("sample.jsonl");

pub(crate) fn sample_lines() -> Vec<&'static [u8]> {
    SAMPLE.split_inclusive(|&b| b == b'\n').collect()
}

#[test]
fn every_line_of_the_sample_is_built_again_to_the_same_bytes() {
    let lines = sample_lines();
    assert_eq!(lines.len(), 20);
    for (index, line) in lines.iter().enumerate() {
        assert!(is_sound(line, &id()));
        let mut built = Vec::new();
        match index {
            0 => Header::parse(line).expect("a header").push_line(&mut built),
            19 => Seal::parse(line, &id())
                .expect("a seal")
                .push_line(&mut built, &id()),
            _ => push_line(&mut built, &id(), &parse(line).expect("a record")),
        }
        assert_eq!(
            String::from_utf8_lossy(&built),
            String::from_utf8_lossy(line)
        );
    }
}

#[test]
fn the_sample_is_clean_and_goes_on_with_the_next_record() {
    let disk = MemoryVfs::new();
    disk.put("00000001.jsonl", SAMPLE);
    let reader = read(&disk).expect("a log");
    assert_eq!(reader.len(), 18);
    assert_eq!(reader.analysis.verdict, Verdict::Clean);
    let (writer, recovered) = open_on(&disk).expect("opened");
    assert_eq!((writer.header().first, writer.header().tail), (19, 18));
    assert_eq!((writer.header().seg, writer.header().epoch), (2, 2));
    assert_eq!((recovered.copied, recovered.torn_bytes), (0, 0));
}

#[test]
fn the_sample_is_a_packed_log_as_it_stands() {
    let disk = MemoryVfs::new();
    disk.put("sample.jsonl", SAMPLE);
    let found = Reader::packed(Arc::new(disk), "sample.jsonl").expect("readable");
    let Found::Log(reader) = found else {
        panic!("a log was expected");
    };
    assert_eq!(reader.analysis.next, 19);
}

#[test]
fn a_line_of_another_log_does_not_count() {
    let mut other = id().to_string().into_bytes();
    other[0] = b'5';
    let other = crate::checksum::LogId::parse(&other).expect("an id");
    assert_eq!(scan(SAMPLE, &other), [Item::Bad(0..SAMPLE.len() as u64)]);
}

#[test]
fn a_damaged_newline_costs_one_line_not_two() {
    let mut bytes = SAMPLE.to_vec();
    let end: usize = sample_lines()[..6].iter().map(|line| line.len()).sum();
    bytes[end - 1] = b' ';
    let items = scan(&bytes, &id());
    let seqs: Vec<u64> = items
        .iter()
        .filter_map(|item| match item {
            Item::Record(place) => Some(place.seq),
            _ => None,
        })
        .collect();
    assert_eq!(seqs, (1..=18).filter(|&seq| seq != 5).collect::<Vec<_>>());
}
