//! Marks and records, a line each: what is read, built again, is read as the same.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use tinyagent_log::marks::{Header, Seal};
use tinyagent_log::record::{complaint, is_sound, parse, push_line};
use tinyagent_log_fuzz::{id_of, mutate};

fuzz_target!(|bytes: &[u8]| {
    let id = id_of(bytes);
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        let mut built = Vec::new();
        if let Some(header) = Header::parse(line) {
            header.push_line(&mut built);
            assert_eq!(Header::parse(&built), Some(header));
            built.clear();
        }
        if let Some(seal) = Seal::parse(line, &id) {
            seal.push_line(&mut built, &id);
            assert_eq!(Seal::parse(&built, &id), Some(seal));
            built.clear();
        }
        let record = parse(line).filter(|record| complaint(record).is_none());
        if let Some(record) = record.filter(|_| is_sound(line, &id)) {
            push_line(&mut built, &id, &record);
            assert!(is_sound(&built, &id));
            assert_eq!(parse(&built), Some(record));
        }
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});
