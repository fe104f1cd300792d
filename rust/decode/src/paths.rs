//! Arguments that arrive value by value: `{"jsonPath": "$.a[0].b", "stringValue": "x"}` (Vertex).

use serde_json::{Map, Value};

use crate::json::{text, Node};

/// Values come in order. An index further beyond the end of its list, or a longer path, is not
/// a tool's arguments but an attack: a few bytes of it would take any amount of memory.
const SKIPPED_MAX: usize = 16;
const STEPS_MAX: usize = 128;

enum Step<'p> {
    Key(&'p str),
    Item(usize),
}

/// Puts *partial*'s value at its path. A string goes on where an earlier one ended.
pub(crate) fn set(root: &mut Value, partial: &Node) {
    let Some(steps) = steps(text(partial, "jsonPath")) else {
        return;
    };
    let mut place = root;
    for step in steps {
        place = match step {
            Step::Key(key) => {
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                let Some(fields) = place.as_object_mut() else {
                    return;
                };
                fields.entry(key).or_insert(Value::Null)
            }
            Step::Item(at) => {
                if !place.is_array() {
                    *place = Value::Array(Vec::new());
                }
                let Some(items) = place.as_array_mut() else {
                    return;
                };
                if at > items.len() + SKIPPED_MAX {
                    return;
                }
                if items.len() <= at {
                    items.resize(at + 1, Value::Null);
                }
                &mut items[at]
            }
        };
    }
    match (place, partial.get("stringValue")) {
        (Value::String(text), Some(Node::String(more))) => text.push_str(more),
        (place, Some(value)) => *place = Value::from(value),
        (place, None) => {
            let value = ["numberValue", "boolValue"]
                .iter()
                .find_map(|key| partial.get(key));
            *place = value.map_or(Value::Null, Value::from);
        }
    }
}

/// The steps of a path: `.key`, `[0]`, `['key']`. None if it is none.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            steps.push(Step::Key(&after[..end]));
            rest = &after[end..];
            continue;
        }
        let after = rest.strip_prefix('[')?;
        let quote = after.chars().next().filter(|it| matches!(it, '\'' | '"'));
        let (inside, past) = match quote {
            Some(quote) => {
                let end = after[1..].find(quote)? + 1;
                (&after[1..end], after[end + 1..].strip_prefix(']')?)
            }
            None => after.split_once(']')?,
        };
        steps.push(match quote {
            Some(_) => Step::Key(inside),
            None => Step::Item(inside.parse().ok()?),
        });
        rest = past;
    }
    (steps.len() <= STEPS_MAX).then_some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_find_their_places() {
        let mut root = json!({});
        for partial in [
            json!({"jsonPath": "$.a[0].b", "stringValue": "x"}),
            json!({"jsonPath": "$.a[0].b", "stringValue": "y", "willContinue": true}),
            json!({"jsonPath": "$.a[1]['c d']", "numberValue": 1.5}),
            json!({"jsonPath": "$[\"e\"]", "boolValue": false}),
            json!({"jsonPath": "$.f", "nullValue": "NULL_VALUE"}),
            json!({"jsonPath": "$.g[999999999]", "numberValue": 1}),
            json!({"jsonPath": "g", "numberValue": 1}),
        ] {
            set(&mut root, &partial.into());
        }
        assert_eq!(
            root,
            json!({"a": [{"b": "xy"}, {"c d": 1.5}], "e": false, "f": null, "g": []})
        );
    }

    #[test]
    fn a_short_path_does_not_take_much_memory() {
        let mut root = json!({});
        for path in ["[99999]".repeat(9), "[0]".repeat(129), ".k".repeat(100_000)] {
            set(
                &mut root,
                &json!({"jsonPath": format!("${path}"), "numberValue": 1}).into(),
            );
        }
        assert_eq!(root, json!([]));
        set(
            &mut root,
            &json!({"jsonPath": "$[16]", "numberValue": 1}).into(),
        );
        assert_eq!(root.as_array().map(Vec::len), Some(17));
    }
}
