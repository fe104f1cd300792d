//! The line scanner: what it finds covers the bytes, in order, each once, and is sound.

#![no_main]

use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target};
use tinyagent_log::record::is_sound;
use tinyagent_log::scan::{scan, Item};
use tinyagent_log_fuzz::{cross, id_of, mutate};

fuzz_target!(|bytes: &[u8]| {
    let id = id_of(bytes);
    let items = scan(bytes, &id);
    let mut starts: Vec<u64> = items.iter().map(Item::offset).collect();
    starts.push(bytes.len() as u64);
    assert_eq!(starts[0], 0);
    for (item, pair) in items.iter().zip(starts.windows(2)) {
        assert!(pair[0] < pair[1], "{item:?} is empty, or out of order");
        let text = &bytes[pair[0] as usize..pair[1] as usize];
        match item {
            Item::Bad(range) => assert_eq!((range.start, range.end), (pair[0], pair[1])),
            Item::Record(place) => {
                assert_eq!(u64::from(place.len), pair[1] - pair[0]);
                assert!(is_sound(text, &id) && place.from <= place.seq, "{place:?}");
            }
            Item::Header(..) | Item::Seal(..) => assert!(is_sound(text, &id)),
            Item::Vouched(..) => unreachable!("all of it is looked at"),
        }
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});

fuzz_crossover!(|one: &[u8], two: &[u8], out: &mut [u8], seed: u32| { cross(one, two, out, seed) });
