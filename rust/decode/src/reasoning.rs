//! `reasoning_details` and other fields of a message that must go back with it.

use serde_json::{Map, Value};

use crate::json::{self, Node};

/// Deltas that concatenate; every other field of a detail is a whole value and replaces.
const GROWING: [&str; 3] = ["text", "summary", "data"];

/// Opaque whole values of a message, beside the details.
const WHOLE: [&str; 2] = ["reasoning_opaque", "extra_content"];

/// What a message keeps, merged as it arrives.
#[derive(Default)]
pub(crate) struct Kept {
    /// None: this provider only ever sends what is new.
    snapshots: Option<Snapshots>,
    details: Vec<Value>,
    fields: Map<String, Value>,
}

impl Kept {
    /// *snapshots*: whether this provider may send the whole so far instead of what is new.
    pub fn new(snapshots: bool) -> Self {
        Kept {
            snapshots: snapshots.then(Snapshots::default),
            ..Kept::default()
        }
    }

    pub fn take(&mut self, delta: &Node) {
        if let Some(Node::Array(entries)) = delta.get("reasoning_details") {
            for entry in entries.iter().filter(|entry| entry.is_object()) {
                self.merge(entry);
            }
        }
        for field in WHOLE {
            if let Some(value) = delta.get(field).filter(|it| json::is_something(it)) {
                self.fields.insert(field.to_owned(), Value::from(value));
            }
        }
    }

    /// Entries merge by index and type. Those without an index (Gemini behind OpenRouter) are whole.
    fn merge(&mut self, entry: &Node) {
        let of = |key| entry.get(key).map(Value::from);
        let (index, kind) = (of("index").filter(Value::is_number), of("type"));
        let same = |known: &&mut Value| {
            index.is_some()
                && known.get("index") == index.as_ref()
                && known.get("type") == kind.as_ref()
        };
        let Some(known) = self.details.iter_mut().rfind(same) else {
            self.details.push(Value::from(entry));
            return;
        };
        let (Some(known), Some(fields)) = (known.as_object_mut(), entry.as_object()) else {
            return;
        };
        for (field, value) in fields {
            match (known.get_mut(field.as_ref()), value) {
                (Some(_), Node::Null) => {}
                (Some(Value::String(text)), Node::String(more)) if is_growing(field) => {
                    let new = match &mut self.snapshots {
                        Some(snapshots) => snapshots.suffix(text, more),
                        None => more,
                    };
                    text.push_str(new);
                }
                _ => {
                    known.insert(field.to_string(), Value::from(value));
                }
            }
        }
    }

    /// All of it as one object, if there is anything.
    pub fn finish(&mut self) -> Option<Value> {
        let mut fields = std::mem::take(&mut self.fields);
        let details = std::mem::take(&mut self.details);
        if !details.is_empty() {
            fields.insert("reasoning_details".to_owned(), Value::Array(details));
        }
        (!fields.is_empty()).then_some(Value::Object(fields))
    }
}

fn is_growing(field: &str) -> bool {
    GROWING.contains(&field)
}

/// Whether a provider sends what is new, or everything so far.
///
/// MiniMax's global endpoint sends the whole reasoning so far, its Chinese one increments. So a
/// text that begins with everything before it and goes on is a snapshot, and from then on an equal
/// text is one too; unless it only repeats something short ("ha", "haha"), as increments may.
#[derive(Default)]
pub(crate) struct Snapshots {
    seen: bool,
}

impl Snapshots {
    /// What *more* adds to *text*.
    pub fn suffix<'m>(&mut self, text: &str, more: &'m str) -> &'m str {
        match more.strip_prefix(text) {
            Some("") if !self.seen => more,
            Some(rest) if text.len() >= 8 || (!text.is_empty() && !rest.starts_with(text)) => {
                self.seen = true;
                rest
            }
            _ => more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn details_grow_by_index_and_type_and_stay_apart_without_an_index() {
        let mut kept = Kept::default();
        kept.take(&Node::from(json!({"reasoning_details": [
            {"type": "reasoning.text", "index": 0, "text": "a", "signature": null, "format": "f"},
            {"type": "reasoning.text", "text": "alone"},
        ]})));
        kept.take(&Node::from(json!({"reasoning_details": [
            {"type": "reasoning.text", "index": 0, "text": "b"},
            {"type": "reasoning.encrypted", "index": 0, "data": "x"},
            {"type": "reasoning.text", "text": "too"},
            {"type": "reasoning.text", "index": 0, "signature": "s", "format": null},
        ]})));
        let expected = json!({"reasoning_details": [
            {"type": "reasoning.text", "index": 0, "text": "ab", "signature": "s", "format": "f"},
            {"type": "reasoning.text", "text": "alone"},
            {"type": "reasoning.encrypted", "index": 0, "data": "x"},
            {"type": "reasoning.text", "text": "too"},
        ]});
        assert_eq!(kept.finish(), Some(expected));
        assert_eq!(kept.finish(), None);
    }

    #[test]
    fn a_snapshot_adds_only_what_is_new() {
        let mut seen = Snapshots::default();
        for (text, more, new) in [
            ("", "The", "The"),
            ("ha", "haha", "haha"),
            ("The user", "The user", "The user"),
            ("The", "The user", " user"),
            ("The user", "The user", ""),
            ("The user", " said", " said"),
        ] {
            assert_eq!(seen.suffix(text, more), new, "{text:?} {more:?}");
        }
    }
}
