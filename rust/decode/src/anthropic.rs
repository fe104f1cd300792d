//! Anthropic Messages, also as MiniMax, OpenRouter, Kimi and others serve it.

use serde_json::{Map, Value};

use crate::answer::{Reason, Usage};
use crate::decoder::Protocol;
use crate::json::{self, count, is_something, text, Node};
use crate::sheet::{End, Sheet};
use crate::usage;

/// A block of the answer between its start and its stop.
struct Open {
    index: i64,
    /// As the provider started it; deltas of blocks that are not ours to read are merged into it.
    raw: Map<String, Value>,
    /// The number of our block, once there is one.
    block: Option<u32>,
    /// Fragments of `input`: of a call none, those are pieces.
    input: String,
    signature: String,
    citations: Vec<Value>,
}

#[derive(Default)]
pub(crate) struct Messages {
    open: Vec<Open>,
    usage: Map<String, Value>,
    is_over: bool,
}

impl Messages {
    fn start(&mut self, index: i64, block: &Node, sheet: &mut Sheet) {
        let Some(raw) = block.as_object() else {
            return;
        };
        // A second start with an index that is in use: a gateway spliced two streams.
        self.stop(index, sheet);
        sheet.end_block();
        let mut open = Open {
            index,
            raw: raw
                .iter()
                .map(|(key, value)| (key.to_string(), Value::from(value)))
                .collect(),
            block: None,
            input: String::new(),
            signature: text(block, "signature").to_owned(),
            citations: Vec::new(),
        };
        match text(block, "type") {
            "text" => {
                sheet.text(text(block, "text"));
                open.block = sheet.open();
                let listed = block.get("citations").and_then(Node::as_array);
                open.citations
                    .extend(listed.into_iter().flatten().map(Value::from));
            }
            "thinking" => {
                sheet.think(text(block, "thinking"), "");
                open.block = sheet.open();
            }
            "tool_use" => {
                open.block = Some(sheet.open_call(text(block, "id"), text(block, "name")));
            }
            _ => {}
        }
        self.open.push(open);
    }

    fn delta(&mut self, index: i64, delta: &Node, sheet: &mut Sheet) {
        // Without a start (a gateway dropped it) text is still text.
        let Some(open) = self.open.iter_mut().rfind(|open| open.index == index) else {
            sheet.text(text(delta, "text"));
            sheet.think(text(delta, "thinking"), "");
            return;
        };
        let is_call = open.block.is_some_and(|block| sheet.call(block).is_some());
        match text(delta, "type") {
            "text_delta" => {
                sheet.text(text(delta, "text"));
                open.block = sheet.open();
            }
            "thinking_delta" => {
                sheet.think(text(delta, "thinking"), "");
                open.block = sheet.open();
            }
            "signature_delta" => open.signature = text(delta, "signature").to_owned(),
            "citations_delta" => open
                .citations
                .extend(delta.get("citation").map(Value::from)),
            "input_json_delta" => {
                let fragment = text(delta, "partial_json");
                match open.block {
                    Some(block) if is_call => sheet.args(block, fragment),
                    _ => open.input.push_str(fragment),
                }
            }
            _ => merge(&mut open.raw, delta),
        }
    }

    fn stop(&mut self, index: i64, sheet: &mut Sheet) {
        let Some(at) = self.open.iter().rposition(|open| open.index == index) else {
            return;
        };
        let mut open = self.open.remove(at);
        sheet.end_block();
        match open.raw.get("type").and_then(Value::as_str) {
            Some("tool_use") => stop_call(&open, sheet),
            Some("thinking") => match open.block {
                Some(block) if !open.signature.is_empty() => sheet.sign(block, &open.signature),
                Some(_) => {}
                // Reasoning that is not shown still has to go back.
                None if !open.signature.is_empty() => {
                    open.raw.insert("signature".into(), open.signature.into());
                    sheet.keep(None, Value::Object(open.raw));
                }
                None => {}
            },
            Some("text") => {
                if open.block.is_some() && !open.citations.is_empty() {
                    let citations = Value::Array(open.citations);
                    let kept = [("citations".to_owned(), citations)];
                    sheet.keep(open.block, Value::Object(kept.into_iter().collect()));
                }
            }
            _ => {
                if let Some(input) = json::parse(&open.input) {
                    open.raw.insert("input".to_owned(), Value::from(&input));
                }
                sheet.keep(None, Value::Object(open.raw));
            }
        }
    }

    /// Later usage overwrites, but null and absent leave what is known.
    fn take_usage(&mut self, holder: &Node, sheet: &mut Sheet) {
        let Some(raw) = holder.get("usage").and_then(Node::as_object) else {
            return;
        };
        for (key, value) in raw {
            if !value.is_null() || !self.usage.contains_key(key.as_ref()) {
                self.usage.insert(key.to_string(), Value::from(value));
            }
        }
        let raw = Value::Object(self.usage.clone());
        sheet.usage_raw = Some(raw.clone());
        sheet.usage = Some(normalised(&raw.into()));
    }

    fn message(&mut self, message: &Node, sheet: &mut Sheet) {
        sheet.take_response(text(message, "id"));
        self.take_usage(message, sheet);
        let blocks = message.get("content").and_then(Node::as_array);
        for (index, block) in (0i64..).zip(blocks.into_iter().flatten()) {
            self.start(index, block, sheet);
            self.stop(index, sheet);
        }
    }
}

/// A call without fragments has its arguments in its start, if it has any.
fn stop_call(open: &Open, sheet: &mut Sheet) {
    let Some(block) = open.block else {
        return;
    };
    let is_empty = sheet
        .call(block)
        .is_some_and(|call| call.arguments.is_empty());
    let raw = |key| open.raw.get(key).cloned().map(Node::from);
    if let Some(input) = raw("input").filter(|it| is_empty && is_something(it)) {
        sheet.args(block, &input.to_string());
    }
    // Who else than the model itself made the call.
    let caller = raw("caller").filter(is_something);
    if let Some(caller) = caller.filter(|it| text(it, "type") != "direct") {
        let kept = [("caller".to_owned(), Value::from(&caller))];
        sheet.keep(Some(block), Value::Object(kept.into_iter().collect()));
    }
}

/// Adds a delta of a kind that is not known (`compaction_delta`): strings grow, the rest replaces.
fn merge(raw: &mut Map<String, Value>, delta: &Node) {
    for (key, value) in delta.as_object().into_iter().flatten() {
        match (raw.get_mut(key.as_ref()), value) {
            _ if key == "type" => {}
            (Some(Value::String(text)), Node::String(more)) => text.push_str(more),
            _ => {
                raw.insert(key.to_string(), Value::from(value));
            }
        }
    }
}

fn normalised(raw: &Node) -> Usage {
    let input = count(raw, "input_tokens").unwrap_or(0);
    let output = count(raw, "output_tokens").unwrap_or(0);
    Usage {
        input,
        output,
        cache_read: count(raw, "cache_read_input_tokens").unwrap_or(0),
        cache_write: count(raw, "cache_creation_input_tokens").unwrap_or(0),
        total: input + output,
        reasoning: count(&raw["output_tokens_details"], "thinking_tokens"),
        cost: usage::cost(raw),
    }
}

impl Protocol for Messages {
    fn take(&mut self, payload: &Node, sheet: &mut Sheet) {
        let index = json::integer(payload, "index").unwrap_or(0);
        match text(payload, "type") {
            "message_start" => self.message(&payload["message"], sheet),
            "content_block_start" => self.start(index, &payload["content_block"], sheet),
            "content_block_delta" => self.delta(index, &payload["delta"], sheet),
            "content_block_stop" => self.stop(index, sheet),
            "message_delta" => {
                sheet.end(text(&payload["delta"], "stop_reason"));
                self.take_usage(payload, sheet);
            }
            "message_stop" => {
                sheet.ended = true;
                self.is_over = true;
            }
            // The server ignored `stream`: all of it at once.
            "message" => {
                self.message(payload, sheet);
                sheet.end(text(payload, "stop_reason"));
            }
            _ => {}
        }
    }

    fn close(&mut self, sheet: &mut Sheet) {
        if sheet.ended && sheet.failure.is_none() {
            while let Some(index) = self.open.first().map(|open| open.index) {
                self.stop(index, sheet);
            }
        }
    }

    fn judge(&self, raw: &str) -> End {
        match raw {
            "end_turn" | "stop_sequence" | "pause_turn" => End::Known(Reason::End),
            "tool_use" => End::Known(Reason::Tools),
            "max_tokens" | "model_context_window_exceeded" => End::Known(Reason::Length),
            "refusal" => End::Known(Reason::Filtered),
            _ => End::Unknown,
        }
    }

    fn knows(&self, payload: &Node) -> bool {
        let kind = text(payload, "type");
        kind.starts_with("message") || kind.starts_with("content_block") || kind == "ping"
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}
