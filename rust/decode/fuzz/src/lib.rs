//! What must hold of any bytes that a provider sends, and how such bytes are made.
//!
//! # Layout
//!
//! - [`stream`]: the checks of framer and decoders: every cut of the same bytes says the same.
//! - [`mutate`]: a mutator that knows what a stream of events looks like.
//! - [`memory`]: an allocator that counts, to see that memory stays bounded.

pub mod memory;
pub mod mutate;
pub mod stream;

/// A small generator of numbers, the same for the same seed.
pub struct Dice(u64);

impl Dice {
    /// Starts at *seed*.
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Starts at a digest of *bytes*: the same input is always cut at the same places.
    pub fn of(bytes: &[u8]) -> Self {
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Dice::new(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
    }

    /// A number below *sides*.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides.max(1)
    }
}
