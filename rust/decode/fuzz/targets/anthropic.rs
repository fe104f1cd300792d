//! The decoder of anthropic-messages.

#![no_main]

use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target};
use tinyagent_decode::Api;
use tinyagent_decode_fuzz::mutate::{cross, mutate};
use tinyagent_decode_fuzz::stream::check_decoder;

fuzz_target!(|bytes: &[u8]| {
    check_decoder(Api::Messages, bytes);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});

fuzz_crossover!(|one: &[u8], two: &[u8], out: &mut [u8], seed: u32| { cross(one, two, out, seed) });
