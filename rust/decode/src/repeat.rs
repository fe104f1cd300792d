//! Chunks that differ from the one before in one text only: these need not be parsed.
//!
//! Around each word a provider repeats some 300 bytes. A chunk that was parsed and said nothing
//! but its text, or a fragment of a call's arguments, says nothing else the next time.

use std::borrow::Cow;

use serde_json::Value;

use crate::answer::Op;
use crate::json::{self, is_something, Node};

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
/// The last chunk that was parsed, if it said one thing only.
#[derive(Default)]
pub(crate) struct Repeat(Option<Known>);

struct Known {
    /// The bytes before and behind what it said.
    before: String,
    behind: String,
    op: Op,
}

impl Repeat {
    /// What *chunk* says, if the rest of it is as in the last one: a text, or more of the
    /// arguments of the same call.
    pub fn said<'c>(&self, chunk: &'c str) -> Option<(Op, Cow<'c, str>)> {
        let known = self.0.as_ref()?;
        let text = chunk
            .strip_prefix(known.before.as_str())?
            .strip_suffix(known.behind.as_str())?;
        match json::parse(text)? {
            Node::String(said) => Some((known.op, said)),
            _ => None,
        }
    }

    /// Looks at a *chunk* that had to be parsed, to *payload*.
    pub fn learn(&mut self, chunk: &str, payload: &Node) {
        self.0 = around(chunk, payload);
    }
}

fn around(chunk: &str, payload: &Node) -> Option<Known> {
    let (op, key, text) = only(payload)?;
    let text = Value::from(text).to_string();
    let at = chunk.find(key).filter(|at| chunk.rfind(key) == Some(*at))?;
    let value = chunk[at + key.len()..]
        .trim_start()
        .strip_prefix(':')?
        .trim_start();
    let behind = value.strip_prefix(&text)?.to_owned();
    let before = chunk[..chunk.len() - value.len()].to_owned();
    Some(Known { before, behind, op })
}

/// What *payload* adds to the answer, and under which key, if it does nothing else.
fn only<'v>(payload: &'v Node) -> Option<(Op, &'static str, &'v str)> {
    let [choice] = payload.get("choices")?.as_array()? else {
        return None;
    };
    let delta = choice.get("delta")?;
    let is_plain = says_only(payload, &BESIDE)
        && says_only(choice, &["index", "delta"])
        && json::integer(choice, "index").unwrap_or(0) == 0;
    if !is_plain {
        return None;
    }
    if says_only(delta, &["role", "content"]) {
        return Some((Op::Text, "\"content\"", delta.get("content")?.as_str()?));
    }
    let [call] = delta.get("tool_calls")?.as_array()? else {
        return None;
    };
    let function = call.get("function")?;
    let is_fragment = says_only(delta, &["role", "tool_calls"])
        && says_only(call, &["index", "type", "function"])
        && says_only(function, &["arguments"]);
    let more = function.get("arguments")?.as_str()?;
    is_fragment.then_some((Op::Args, "\"arguments\"", more))
}

/// Whether there is nothing in *object* but under *names*.
fn says_only(object: &Node, names: &[&str]) -> bool {
    object.as_object().is_some_and(|fields| {
        let mut fields = fields.iter();
        fields.all(|(name, value)| !is_something(value) || names.contains(&name.as_ref()))
    })
}
