//! JSON that is not complete yet. What has been shown never shrinks while the text grows to one
//! complete value, and a complete value is shown as it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tinyagent_decode::partial::parse;
use tinyagent_decode_fuzz::memory::peak_of;

/// Whether *part* can grow into *whole*.
fn grows(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::String(part), Value::String(whole)) => whole.starts_with(part.as_str()),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() <= whole.len() && part.iter().zip(whole).all(|(p, w)| grows(p, w))
        }
        // A key that comes twice replaces what was there.
        (Value::Object(part), Value::Object(whole)) => {
            part.keys().all(|key| whole.contains_key(key))
        }
        _ => part == whole,
    }
}

fuzz_target!(|text: &str| {
    let (shown, peak) = peak_of(|| parse(text));
    assert!(
        peak <= (64 << 10) + 512 * text.len(),
        "{peak} bytes for {}",
        text.len()
    );
    let complete = serde_json::from_str::<Value>(text).ok();
    if complete.is_some() {
        assert_eq!(shown, complete);
    }
    // The beginning of a number is a number too; as an argument it is never the whole text.
    let is_short = |whole: &Value| !whole.is_number() && text.len() <= 512;
    let Some(whole) = complete.filter(is_short) else {
        return;
    };
    for end in (1..text.len()).filter(|end| text.is_char_boundary(*end)) {
        if let Some(part) = parse(&text[..end]) {
            assert!(
                grows(&part, &whole),
                "{:?}: {part} of {whole}",
                &text[..end]
            );
        }
    }
});
