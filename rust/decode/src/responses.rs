//! OpenAI Responses, also as Azure, xAI, OpenRouter, Copilot and the Codex backend serve it.
//!
//! Items are known by `output_index`: Copilot changes the item's id with every event. What
//! `response.output_item.done` says completes what deltas said; the list in `response.completed` is
//! only for items that never had an event (the Codex backend sends an empty one).

use serde_json::{json, Map, Value};

use crate::answer::{Kind, Reason, Usage};
use crate::decoder::Protocol;
use crate::errors;
use crate::json::{count, integer, is_something, text, Node};
use crate::sheet::{End, Sheet};
use crate::usage;

/// An item of the output.
struct Item {
    index: i64,
    call: Option<u32>,
    /// Its last block of text or reasoning.
    block: Option<u32>,
    /// What its deltas said, to see what is missing when the item is done.
    said: String,
    thought: String,
    /// Which of its parts the last delta belonged to.
    part: (&'static str, i64),
    is_done: bool,
}

#[derive(Default)]
pub(crate) struct Responses {
    items: Vec<Item>,
    is_over: bool,
}

impl Responses {
    fn item(&mut self, index: Option<i64>) -> &mut Item {
        let last = self.items.last().map_or(0, |item| item.index);
        let index = index.unwrap_or(last);
        let at = match self.items.iter().position(|item| item.index == index) {
            Some(at) => at,
            None => {
                self.items.push(Item {
                    index,
                    call: None,
                    block: None,
                    said: String::new(),
                    thought: String::new(),
                    part: ("", 0),
                    is_done: false,
                });
                self.items.len() - 1
            }
        };
        &mut self.items[at]
    }

    fn end(&mut self, response: &Node, sheet: &mut Sheet) {
        sheet.take_response(text(response, "id"));
        if let Some(raw) = response.get("usage").filter(|it| is_something(it)) {
            sheet.usage = Some(normalised(raw));
            sheet.usage_raw = Some(Value::from(raw));
        }
        let output = response.get("output").and_then(Node::as_array);
        for (index, item) in (0i64..).zip(output.into_iter().flatten()) {
            self.item(Some(index)).done(item, sheet);
        }
        let status = text(response, "status");
        match text(&response["incomplete_details"], "reason") {
            "" => sheet.end(status),
            why => sheet.end(&format!("{status}:{why}")),
        }
        if let Some(error) = response.get("error").filter(|it| is_something(it)) {
            sheet.fail(errors::told(None, error));
        }
        self.is_over = true;
    }
}

impl Item {
    /// A part of the item goes on, or the next begins: each part is a block.
    fn at(&mut self, kind: &'static str, part: &str, payload: &Node, sheet: &mut Sheet) {
        let part = (kind, integer(payload, part).unwrap_or(0));
        if self.part != part || sheet.open() != self.block {
            sheet.end_block();
        }
        self.part = part;
    }

    fn say(&mut self, delta: &str, sheet: &mut Sheet) {
        sheet.text(delta);
        self.said.push_str(delta);
        self.block = sheet.open();
    }

    fn refuse(&mut self, delta: &str, sheet: &mut Sheet) {
        sheet.refuse(delta);
        self.said.push_str(delta);
        self.block = sheet.open();
    }

    fn think(&mut self, delta: &str, sheet: &mut Sheet) {
        sheet.think(delta, "");
        self.thought.push_str(delta);
        if !delta.is_empty() {
            self.block = sheet.open();
        }
    }

    fn open_call(&mut self, item: &Node, sheet: &mut Sheet) -> u32 {
        let id = match text(item, "call_id") {
            "" => text(item, "id"),
            id => id,
        };
        match self.call {
            Some(block) => {
                sheet.fill_call(block, id, text(item, "name"));
                block
            }
            None => *self.call.insert(sheet.open_call(id, text(item, "name"))),
        }
    }

    /// Gives what of *arguments*, which are complete, was not said yet.
    fn complete_call(&mut self, arguments: &str, sheet: &mut Sheet) {
        let Some(block) = self.call else {
            return;
        };
        let said = sheet.call(block).map_or("", |call| &call.arguments);
        match arguments.strip_prefix(said).map(str::to_owned) {
            Some(rest) if !rest.is_empty() => sheet.args(block, &rest),
            _ => {}
        }
    }

    fn added(&mut self, item: &Node, sheet: &mut Sheet) {
        sheet.end_block();
        if text(item, "type") == "function_call" {
            self.open_call(item, sheet);
        }
    }

    fn done(&mut self, item: &Node, sheet: &mut Sheet) {
        if std::mem::replace(&mut self.is_done, true) {
            return;
        }
        match text(item, "type") {
            "function_call" => {
                let block = self.open_call(item, sheet);
                self.complete_call(text(item, "arguments"), sheet);
                // What goes back beside `call_id`: the item's own id, and who made the call.
                let kept: Map<String, Value> = ["id", "caller"]
                    .into_iter()
                    .filter_map(|key| Some((key, item.get(key).filter(|it| is_something(it))?)))
                    .map(|(key, value)| (key.to_owned(), Value::from(value)))
                    .collect();
                if !kept.is_empty() {
                    sheet.keep(Some(block), Value::Object(kept));
                }
            }
            "message" => self.message_done(item, sheet),
            "reasoning" => {
                let thought = parts(item, "summary") + &parts(item, "content");
                if let Some(rest) = thought.strip_prefix(self.thought.as_str()) {
                    self.think(rest, sheet);
                }
                sheet.end_block();
                sheet.keep(self.block, Value::from(item));
            }
            // Items of tools that the provider runs itself: they go back as they are.
            _ => sheet.keep(None, Value::from(item)),
        }
        sheet.end_block();
    }

    fn message_done(&mut self, item: &Node, sheet: &mut Sheet) {
        let listed = item.get("content").and_then(Node::as_array);
        if self.said.is_empty() {
            for part in listed.into_iter().flatten() {
                sheet.end_block();
                self.say(text(part, "text"), sheet);
                self.refuse(text(part, "refusal"), sheet);
            }
        } else {
            let whole = parts(item, "content");
            let rest = whole.strip_prefix(self.said.as_str()).unwrap_or("");
            self.say(rest, sheet);
        }
        // Models that speak before they act want to be told so ("commentary").
        if let (Some(block), Some(phase)) =
            (self.block, item.get("phase").filter(|it| is_something(it)))
        {
            sheet.keep(Some(block), json!({"phase": Value::from(phase)}));
        }
    }
}

/// The texts of the parts under *key*, joined.
fn parts(item: &Node, key: &str) -> String {
    let listed = item.get(key).and_then(Node::as_array);
    listed
        .into_iter()
        .flatten()
        .map(|part| text(part, "text").to_owned() + text(part, "refusal"))
        .collect()
}

fn normalised(raw: &Node) -> Usage {
    let input = count(raw, "input_tokens").unwrap_or(0);
    let output = count(raw, "output_tokens").unwrap_or(0);
    let details = &raw["input_tokens_details"];
    Usage {
        input,
        output,
        cache_read: count(details, "cached_tokens").unwrap_or(0),
        cache_write: count(details, "cache_write_tokens").unwrap_or(0),
        total: count(raw, "total_tokens").unwrap_or(input + output),
        reasoning: count(&raw["output_tokens_details"], "reasoning_tokens"),
        cost: usage::cost(raw),
    }
}

impl Protocol for Responses {
    fn take(&mut self, payload: &Node, sheet: &mut Sheet) {
        let delta = text(payload, "delta");
        let index = integer(payload, "output_index");
        match text(payload, "type") {
            "response.created" | "response.in_progress" => {
                sheet.take_response(text(&payload["response"], "id"));
            }
            "response.output_item.added" => self.item(index).added(&payload["item"], sheet),
            "response.output_item.done" => self.item(index).done(&payload["item"], sheet),
            "response.output_text.delta" => {
                let item = self.item(index);
                item.at("text", "content_index", payload, sheet);
                item.say(delta, sheet);
            }
            "response.refusal.delta" => {
                let item = self.item(index);
                item.at("refusal", "content_index", payload, sheet);
                item.refuse(delta, sheet);
            }
            "response.reasoning_summary_text.delta" => {
                let item = self.item(index);
                item.at("summary", "summary_index", payload, sheet);
                item.think(delta, sheet);
            }
            "response.reasoning_text.delta" => {
                let item = self.item(index);
                item.at("reasoning", "content_index", payload, sheet);
                item.think(delta, sheet);
            }
            "response.function_call_arguments.delta" => {
                let item = self.item(index);
                let block = item.open_call(&Node::Null, sheet);
                sheet.args(block, delta);
            }
            "response.function_call_arguments.done" => {
                self.item(index)
                    .complete_call(text(payload, "arguments"), sheet);
            }
            "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled" => self.end(&payload["response"], sheet),
            "error" => sheet.end("failed"),
            // The server ignored `stream`: all of it at once.
            "" if text(payload, "object") == "response" => self.end(payload, sheet),
            _ => {}
        }
    }

    fn close(&mut self, _sheet: &mut Sheet) {}

    fn judge(&self, raw: &str) -> End {
        match raw {
            "completed" if self.items.iter().any(|item| item.call.is_some()) => {
                End::Known(Reason::Tools)
            }
            "completed" => End::Known(Reason::End),
            "incomplete:content_filter" => End::Known(Reason::Filtered),
            "failed" => End::Failed(Kind::Overloaded),
            "cancelled" => End::Failed(Kind::Interrupted),
            _ if raw.starts_with("incomplete") => End::Known(Reason::Length),
            _ => End::Unknown,
        }
    }

    fn knows(&self, payload: &Node) -> bool {
        text(payload, "type").starts_with("response.") || text(payload, "object") == "response"
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}
