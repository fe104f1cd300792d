//! Which fragment belongs to which tool call of a chat completion.
//!
//! The `index` decides where there is one, but servers reuse it (Ollama and Cerebras send parallel
//! calls all as 0), leave it out (Mistral, Gemini's OpenAI endpoint), repeat id and name in every
//! fragment (Novita behind OpenRouter), or change the id in mid-call (Kimi). So: another id *with*
//! a name opens a call, nothing else does on an index that is in use. Ids and names are never
//! concatenated.

use serde_json::Value;

use crate::json::{self, Node};
use crate::sheet::Sheet;

/// Fields of a tool call that its provider wants back (Gemini's thought signature).
const KEPT: [&str; 4] = [
    "extra_content",
    "thought_signature",
    "thoughtSignature",
    "provider_specific_fields",
];

struct Slot {
    index: Option<i64>,
    block: u32,
}

/// The calls of one answer, in order of opening.
#[derive(Default)]
pub(crate) struct Calls {
    slots: Vec<Slot>,
}

struct Fragment<'v> {
    index: Option<i64>,
    id: &'v str,
    name: &'v str,
    arguments: Option<&'v Node<'v>>,
}

impl<'v> Fragment<'v> {
    fn of(delta: &'v Node<'v>) -> Self {
        // `{"name","arguments"}` without `function` is the form before tools (`function_call`).
        let function = delta
            .get("function")
            .filter(|it| it.is_object())
            .unwrap_or(delta);
        Fragment {
            index: json::integer(delta, "index"),
            id: json::text(delta, "id"),
            name: json::text(function, "name"),
            arguments: function.get("arguments").filter(|it| !it.is_null()),
        }
    }

    fn has_arguments(&self) -> bool {
        self.arguments.is_some_and(json::is_something)
    }
}

impl Calls {
    /// Takes one entry of `tool_calls`.
    pub fn take(&mut self, delta: &Node, sheet: &mut Sheet) {
        let fragment = Fragment::of(delta);
        let block = match self.find(&fragment, sheet) {
            Some(block) => {
                sheet.fill_call(block, fragment.id, fragment.name);
                block
            }
            None => {
                let block = sheet.open_call(fragment.id, fragment.name);
                self.slots.push(Slot {
                    index: fragment.index,
                    block,
                });
                block
            }
        };
        match fragment.arguments {
            Some(Node::String(text)) => sheet.args(block, text),
            // MiniMax's coding plan sends an object, and may send it again.
            Some(value) if !is_complete(sheet, block) => sheet.args(block, &value.to_string()),
            _ => {}
        }
        if let Some(call) = sheet.call_mut(block) {
            for field in KEPT {
                if let Some(value) = delta.get(field).filter(|it| json::is_something(it)) {
                    call.kept.insert(field.to_owned(), Value::from(value));
                }
            }
        }
    }

    /// Whether *delta* goes on with a call that is open.
    pub fn continues(&self, delta: &Node, sheet: &Sheet) -> bool {
        self.find(&Fragment::of(delta), sheet).is_some()
    }

    /// The call that *fragment* continues; None if it opens one.
    fn find(&self, fragment: &Fragment<'_>, sheet: &Sheet) -> Option<u32> {
        let last = match fragment.index {
            Some(_) => {
                self.slots
                    .iter()
                    .rfind(|slot| slot.index == fragment.index)?
                    .block
            }
            None if fragment.id.is_empty() => self.slots.last()?.block,
            None => {
                let same = |slot: &&Slot| {
                    sheet
                        .call(slot.block)
                        .is_some_and(|call| call.id == fragment.id)
                };
                if let Some(slot) = self.slots.iter().rfind(same) {
                    return Some(slot.block);
                }
                if !fragment.name.is_empty() {
                    return None;
                }
                self.slots.last()?.block
            }
        };
        let call = sheet.call(last)?;
        let another = if fragment.id.is_empty() {
            // No id at all: another name, or a name together with arguments, after complete ones.
            !fragment.name.is_empty()
                && (fragment.has_arguments() || fragment.name != call.name)
                && !call.name.is_empty()
                && is_complete(sheet, last)
        } else {
            !fragment.name.is_empty() && !call.id.is_empty() && call.id != fragment.id
        };
        (!another).then_some(last)
    }
}

fn is_complete(sheet: &Sheet, block: u32) -> bool {
    sheet
        .call(block)
        .is_some_and(|call| json::parse(&call.arguments).is_some_and(|it| it.is_object()))
}
