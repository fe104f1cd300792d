//! CRC32C (Castagnoli), started with the log's own id: a line of another log fails.

use std::fmt;

use crate::garden::planted;

/// A log's identity: 128 bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LogId {
    bytes: [u8; 16],
    seed: u32,
}

impl LogId {
    /// Makes an id of its 16 bytes.
    pub fn new(bytes: [u8; 16]) -> Self {
        let seed = crc32c::crc32c(&bytes);
        LogId { bytes, seed }
    }

    /// Its 16 bytes.
    pub fn bytes(&self) -> [u8; 16] {
        self.bytes
    }

    /// Reads 32 lower-case hexadecimal digits; `None` for anything else.
    pub fn parse(hex: &[u8]) -> Option<Self> {
        if hex.len() != 32 {
            return None;
        }
        let mut bytes = [0_u8; 16];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(LogId::new(bytes))
    }

    /// The checksum of *bytes* as part of this log.
    pub fn crc(&self, bytes: &[u8]) -> u32 {
        if planted("crc_without_log_id") {
            return crc32c::crc32c(bytes);
        }
        crc32c::crc32c_append(self.seed, bytes)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes
            .iter()
            .try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "LogId({self})")
    }
}

/// The plain checksum, without a log's id.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Writes *value* as eight lower-case hexadecimal digits.
pub(crate) fn hex8(value: u32) -> [u8; 8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [0_u8; 8];
    for (index, byte) in out.iter_mut().enumerate() {
        *byte = DIGITS[(value >> (28 - 4 * index) & 15) as usize];
    }
    out
}

/// Reads eight lower-case hexadecimal digits.
pub(crate) fn parse_hex8(hex: &[u8]) -> Option<u32> {
    if hex.len() != 8 {
        return None;
    }
    hex.iter()
        .try_fold(0, |value, &byte| Some(value << 4 | u32::from(digit(byte)?)))
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_standard_comes_out() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn the_worked_example_of_the_format_comes_out() {
        let id = LogId::parse(b"4f6c0b6c2d7e4b5f9a0d3c1e8b72a655").expect("an id");
        let line = br#"{"seq":2,"d":0,"ts":1795420800051400,"k":"user.said","v":1,"c":0,"e":{"content":"Remind Ann about INV-7."}"#;
        assert_eq!(line.len(), 106);
        assert_eq!(id.crc(b""), 0xa036_76c3);
        assert_eq!(crc32c(line), 0xebb2_f7eb);
        assert_eq!(id.crc(line), 0xc761_7ef3);
    }

    #[test]
    fn only_lower_case_digits_are_an_id() {
        assert!(LogId::parse(b"4F6C0B6C2D7E4B5F9A0D3C1E8B72A655").is_none());
        assert!(LogId::parse(b"4f6c").is_none());
    }
}
