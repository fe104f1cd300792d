//! Archives: what comes out of any bytes is bounded, and a folder with such an archive is judged
//! without a panic; what was packed comes back, and damage to it never passes for another log.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use tinyagent_log::archive::{pack, unpack};
use tinyagent_log::reader::{Found, Reader};
use tinyagent_log::salvage::Salvage;
use tinyagent_log::verify::verify;
use tinyagent_log::vfs::memory::{Dice, MemoryVfs};
use tinyagent_log::vfs::Vfs;
use tinyagent_log_fuzz::mutate;

const LIMIT: usize = 1 << 20;

/// The lines of a log that is this archive alone; `None` if it is refused.
fn read(packed: &[u8]) -> Option<Vec<Vec<u8>>> {
    let disk = MemoryVfs::new();
    disk.put("00000001.jsonl.zst", packed);
    let disk: Arc<dyn Vfs> = Arc::new(disk);
    let _ = (Salvage::of(disk.clone(), None), verify(&disk, None, None));
    match Reader::folder(disk, u64::MAX) {
        Ok(Found::Log(mut reader)) => {
            let count = reader.len();
            let line = |index| {
                reader
                    .line(index)
                    .expect("it was there when it was scanned")
            };
            Some((0..count).map(line).collect())
        }
        _ => None,
    }
}

fuzz_target!(|bytes: &[u8]| {
    // As an archive.
    assert!(unpack(bytes, LIMIT).len() <= LIMIT + 3);
    read(bytes);
    // As what is in one.
    let mut packed = pack(bytes).expect("packed");
    assert_eq!(unpack(&packed, bytes.len()), bytes);
    let before = read(&packed);
    let mut dice = Dice::new(bytes.len() as u64);
    if !packed.is_empty() {
        let at = dice.roll(packed.len());
        packed[at] ^= 1 << dice.roll(8);
        let after = read(&packed);
        assert!(after.is_none() || after == before);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});
