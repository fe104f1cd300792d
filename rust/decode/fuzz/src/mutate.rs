//! A mutator that knows events: drop, double, swap, splice, cut, and words that mean something.

use crate::Dice;

/// What protocols say, and what has broken decoders before.
const WORDS: &[&str] = &[
    "\n\n",
    "\r\n",
    "\r",
    "data: ",
    "data:",
    "event: error\n",
    "event: message\n",
    ": ping\n",
    "error: ",
    "[DONE]",
    "\u{feff}",
    "\u{2028}",
    "null",
    "{}",
    "[]",
    "\"\"",
    "0",
    "-1",
    "1e400",
    "18446744073709551616",
    "\\ud83d",
    "\\ude00",
    "\\u0000",
    "<think>",
    "</think>",
    "\"index\":",
    "\"id\":\"a\"",
    "\"choices\":[",
    "\"delta\":",
    "\"finish_reason\":\"stop\"",
    "\"usage\":",
    "\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]",
    "\"content_block_start\"",
    "\"content_block_delta\"",
    "\"content_block_stop\"",
    "\"message_delta\"",
    "\"message_stop\"",
    "\"input_json_delta\"",
    "\"partial_json\":\"{\"",
    "\"thinking_delta\"",
    "\"signature_delta\"",
    "\"response.output_item.added\"",
    "\"response.output_item.done\"",
    "\"response.function_call_arguments.delta\"",
    "\"response.completed\"",
    "\"response.incomplete\"",
    "\"output_index\":0",
    "\"encrypted_content\":",
    "\"functionCall\":{\"name\":\"f\",\"args\":{}}",
    "\"parts\":[",
    "\"partialArgs\":",
    "\"willContinue\":true",
    "\"thoughtSignature\":",
    "\"finishReason\":",
    "\"promptFeedback\":",
    "\"error\":{\"code\":429,\"message\":\"m\"}",
    "\"type\":\"error\"",
];

/// Changes *text* in one way that keeps most of its events whole. *other* is spliced from.
pub fn change(text: &[u8], other: &[u8], seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut events = events_of(text);
    if events.is_empty() {
        return WORDS[dice.roll(WORDS.len())].as_bytes().to_vec();
    }
    let at = dice.roll(events.len());
    let to = dice.roll(events.len());
    match dice.roll(9) {
        0 => drop(events.remove(at)),
        1 => events.insert(to, events[at]),
        2 => events.swap(at, to),
        3 => events.truncate(at + 1),
        4 => drop(events.drain(at.min(to)..at.max(to))),
        5 => {
            let others = events_of(other);
            if !others.is_empty() {
                events.insert(at, others[dice.roll(others.len())]);
            }
        }
        _ => return change_inside(text, &mut dice),
    }
    events.concat()
}

/// Events with the blank line that ends them.
fn events_of(text: &[u8]) -> Vec<&[u8]> {
    let mut events = Vec::new();
    let mut start = 0;
    for at in 1..text.len() {
        if text[at] == b'\n' && (text[at - 1] == b'\n' || text[..at].ends_with(b"\n\r")) {
            events.push(&text[start..=at]);
            start = at + 1;
        }
    }
    if start < text.len() {
        events.push(&text[start..]);
    }
    events
}

/// Flips a bit, puts a word in, puts one in place of a JSON value, or takes a range out.
fn change_inside(text: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut text = text.to_vec();
    let word = WORDS[dice.roll(WORDS.len())].bytes();
    let at = dice.roll(text.len());
    match dice.roll(4) {
        0 => text[at] ^= 1 << dice.roll(8),
        1 => drop(text.splice(at..at, word)),
        2 => {
            let is_edge = |byte: &u8| b",:{}[]\n".contains(byte);
            let start = text[..at]
                .iter()
                .rposition(is_edge)
                .map_or(0, |edge| edge + 1);
            let end = text[at..]
                .iter()
                .position(is_edge)
                .map_or(text.len(), |edge| at + edge);
            drop(text.splice(start.min(end)..end, word));
        }
        _ => {
            let end = (at + 1 + dice.roll(16)).min(text.len());
            drop(text.drain(at..end));
        }
    }
    text
}

/// For `fuzz_mutator!`: half of the changes know the format, the others are the fuzzer's own.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    if seed.is_multiple_of(2) {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let changed = change(&data[..size], b"", u64::from(seed));
    let length = changed.len().min(max_size);
    data[..length].copy_from_slice(&changed[..length]);
    length
}

/// For `fuzz_crossover!`: an event of one in the other.
pub fn cross(one: &[u8], two: &[u8], out: &mut [u8], seed: u32) -> usize {
    let crossed = change(one, two, u64::from(seed));
    let length = crossed.len().min(out.len());
    out[..length].copy_from_slice(&crossed[..length]);
    length
}
