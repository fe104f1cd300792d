//! Large values: taken out and put back to the same bytes, whatever the payload. Each byte of the
//! input stands for a piece of JSON, so that payloads are large enough.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tinyagent_log::blobs::{blob_name, digests, put_back, take_out, PAYLOAD_BYTES_MAX, REFERENCE};
use tinyagent_log::vfs::memory::MemoryVfs;

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\"k\":",
    "\"$esc\":",
    "{\"$esc\":",
    "\"$b64\":",
    "{\"$b64\":\"",
    "\"}",
    "null",
    "\\\"",
    "\\u0001",
    "\\/",
    "é",
    "\u{2028}",
    "=",
    "QUJD",
    "\"n\":1,\"t\":\"text\"}",
    "\"n\":1,\"t\":\"json\"}",
];

fn payload_of(bytes: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    for &byte in bytes.iter().take(64) {
        match byte {
            0..=127 => payload.extend_from_slice(PIECES[byte as usize % PIECES.len()].as_bytes()),
            128..=159 => payload.extend_from_slice("QUJD".repeat(1_100).as_bytes()),
            160..=191 => payload.extend_from_slice(format!("\"{}\"", "x".repeat(4_095)).as_bytes()),
            192..=199 => payload.extend_from_slice("1,".repeat(40_000).as_bytes()),
            200..=219 => {
                payload.extend_from_slice(REFERENCE);
                payload.extend_from_slice("a".repeat(64).as_bytes());
                payload.extend_from_slice(b"\",\"n\":1,\"t\":\"text\"}");
            }
            _ => payload.push(byte),
        }
    }
    payload
}

fuzz_target!(|bytes: &[u8]| {
    let payload = payload_of(bytes);
    let (left, blobs) = take_out(&payload).expect("far from the limit");
    assert!(left.len() <= payload.len().max(PAYLOAD_BYTES_MAX));
    let disk = MemoryVfs::new();
    for blob in &blobs {
        disk.put(&blob_name("blobs", &blob.digest), &blob.body);
    }
    // What looks like a reference in a user's own text has no blob, and stays.
    let (back, lost) = put_back(&disk, "blobs", &left);
    assert!(
        lost.iter().all(|digest| *digest == "a".repeat(64)),
        "{lost:?}"
    );
    assert_eq!(back, payload);
    let named = digests(&left);
    assert!(blobs.iter().all(|blob| named.contains(&blob.digest)));
});
