//! The checks: no panic, bounded memory, and every cut of the same bytes says the same.

use tinyagent_decode::sse::{Event, Framer};
use tinyagent_decode::{Answer, Api, Decoder, Piece};

use crate::memory::peak_of;
use crate::Dice;

/// Most bytes of memory per byte of input. Parsed JSON is large: an object of one short field
/// takes some hundred bytes of memory for five of text.
const MEMORY_FACTOR_MAX: usize = 256;
/// What is held whatever comes in.
const MEMORY_BYTES: usize = 64 << 10;

/// Inputs up to this many bytes are fed one byte at a time too.
const SINGLE_BYTES_MAX: usize = 2_048;

/// The ways to cut *bytes* that are tried: at nine random places, in two, byte by byte.
fn cuts(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut dice = Dice::of(bytes);
    let mut at = |count: usize| {
        let mut cuts: Vec<usize> = (0..count).map(|_| dice.roll(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let between = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
        between.collect::<Vec<&[u8]>>()
    };
    let mut all = vec![at(9), at(1)];
    if bytes.len() <= SINGLE_BYTES_MAX {
        all.push(bytes.chunks(1).collect());
    }
    all
}

fn decode(api: Api, chunks: &[&[u8]]) -> (Vec<Piece>, Answer) {
    let mut decoder = Decoder::new(api);
    let mut pieces: Vec<Piece> = chunks.iter().flat_map(|it| decoder.feed(it)).collect();
    pieces.extend(decoder.close());
    (pieces, decoder.finish())
}

/// Decodes *bytes* whole and cut, with the line ends of other systems, and after a BOM.
pub fn check_decoder(api: Api, bytes: &[u8]) {
    let (whole, peak) = peak_of(|| decode(api, &[bytes]));
    let most = MEMORY_BYTES + MEMORY_FACTOR_MAX * bytes.len();
    assert!(peak <= most, "{peak} bytes of memory for {}", bytes.len());
    for chunks in cuts(bytes) {
        assert_eq!(decode(api, &chunks), whole, "cut {chunks:?}");
    }
    let is_stream = bytes.starts_with(b"data:") || bytes.starts_with(b"event:");
    if is_stream && !bytes.contains(&b'\r') {
        for line_end in ["\r", "\r\n"] {
            let text = bytes.split(|&byte| byte == b'\n');
            let other: Vec<u8> = text.collect::<Vec<_>>().join(line_end.as_bytes());
            assert_eq!(decode(api, &[&other]), whole, "with {line_end:?}");
        }
        let marked = [b"\xEF\xBB\xBF", bytes].concat();
        assert_eq!(decode(api, &[&marked]), whole, "after a BOM");
    }
    let (_, answer) = whole;
    assert!(
        answer.reason.is_some() != answer.failure.is_some(),
        "an answer has a reason, or failed: {answer:?}"
    );
}

fn frame(bytes_max: usize, chunks: &[&[u8]]) -> (Vec<Event>, bool) {
    let mut framer = Framer::new(bytes_max);
    let mut events = Vec::new();
    for chunk in chunks {
        if framer.feed(chunk, &mut events).is_err() {
            return (events, true);
        }
    }
    events.extend(framer.finish());
    (events, framer.is_stream())
}

/// Frames *bytes* whole and cut; the first byte says how long an event may be.
pub fn check_framer(bytes: &[u8]) {
    let Some((&limit, bytes)) = bytes.split_first() else {
        return;
    };
    let bytes_max = if limit < 128 {
        usize::from(limit)
    } else {
        1 << 20
    };
    let (whole, peak) = peak_of(|| frame(bytes_max, &[bytes]));
    let most = MEMORY_BYTES + MEMORY_FACTOR_MAX * bytes.len();
    assert!(peak <= most, "{peak} bytes of memory for {}", bytes.len());
    for chunks in cuts(bytes) {
        assert_eq!(frame(bytes_max, &chunks), whole, "cut {chunks:?}");
    }
}
