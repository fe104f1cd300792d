//! Chunks that differ from the one before in their text only: these need not be parsed.
//!
//! Around each word a provider repeats some 300 bytes. A chunk that was parsed and said nothing
//! but its text says nothing else the next time.

use std::borrow::Cow;

use serde_json::Value;

use crate::json::{self, Node};

/// What a chunk of a chat completion may have beside its choice, without a meaning for the answer.
const BESIDE: [&str; 8] = [
    "id",
    "object",
    "created",
    "model",
    "service_tier",
    "system_fingerprint",
    "provider",
    "choices",
];
const KEY: &str = "\"content\"";

/// The bytes before and behind the text of the last chunk, if it said nothing else.
#[derive(Default)]
pub(crate) struct Repeat(Option<(String, String)>);

impl Repeat {
    /// The text of *chunk*, if the rest of it is as in the last one.
    pub fn text<'c>(&self, chunk: &'c str) -> Option<Cow<'c, str>> {
        let (before, behind) = self.0.as_ref()?;
        let text = chunk
            .strip_prefix(before.as_str())?
            .strip_suffix(behind.as_str())?;
        match serde_json::from_str(text) {
            Ok(plain) => Some(Cow::Borrowed(plain)),
            Err(_) => serde_json::from_str(text).ok().map(Cow::Owned),
        }
    }

    /// Looks at a *chunk* that had to be parsed, to *payload*.
    pub fn learn(&mut self, chunk: &str, payload: &Node) {
        self.0 = around(chunk, payload);
    }
}

fn around(chunk: &str, payload: &Node) -> Option<(String, String)> {
    let text = Value::from(only_text(payload)?).to_string();
    let at = chunk.find(KEY).filter(|at| chunk.rfind(KEY) == Some(*at))?;
    let value = chunk[at + KEY.len()..]
        .trim_start()
        .strip_prefix(':')?
        .trim_start();
    let behind = value.strip_prefix(&text)?;
    let before = &chunk[..chunk.len() - value.len()];
    Some((before.to_owned(), behind.to_owned()))
}

/// The text that *payload* adds to the answer, if it does nothing else.
fn only_text<'v>(payload: &'v Node) -> Option<&'v str> {
    let [choice] = payload.get("choices")?.as_array()? else {
        return None;
    };
    let delta = choice.get("delta")?;
    let is_plain = says_only(payload, &BESIDE)
        && says_only(choice, &["index", "delta"])
        && says_only(delta, &["role", "content"])
        && json::integer(choice, "index").unwrap_or(0) == 0;
    delta.get("content")?.as_str().filter(|_| is_plain)
}

/// Whether everything in *object* but *names* is null.
fn says_only(object: &Node, names: &[&str]) -> bool {
    object.as_object().is_some_and(|fields| {
        let mut fields = fields.iter();
        fields.all(|(name, value)| value.is_null() || names.contains(&name.as_ref()))
    })
}
