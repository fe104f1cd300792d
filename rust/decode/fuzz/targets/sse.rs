//! Bytes to events. The first byte says how long an event may be.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use tinyagent_decode_fuzz::mutate::mutate;
use tinyagent_decode_fuzz::stream::check_framer;

fuzz_target!(|bytes: &[u8]| check_framer(bytes));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});
