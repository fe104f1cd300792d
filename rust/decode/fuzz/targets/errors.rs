//! An HTTP error: status, headers and body in, a failure without secrets out. The first line is
//! the status, the next ones are headers up to a blank line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tinyagent_decode::errors::classify;
use tinyagent_decode_fuzz::memory::peak_of;

fuzz_target!(|bytes: &[u8]| {
    let end = bytes
        .windows(2)
        .position(|two| two == b"\n\n")
        .unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..end]);
    let body = bytes.get(end + 2..).unwrap_or_default();
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.trim().parse().ok())
        .unwrap_or(500);
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|it| it.split_once(": ").map(own))
        .collect();
    let (error, peak) = peak_of(|| classify(status, &headers, body));
    assert!(
        peak <= (64 << 10) + 256 * bytes.len(),
        "{peak} bytes for {}",
        bytes.len()
    );
    assert!(error
        .retry_after_s
        .is_none_or(|delay_s| delay_s.is_finite() && delay_s >= 0.0));
    assert_eq!(classify(status, &headers, body).failure, error.failure);
});
