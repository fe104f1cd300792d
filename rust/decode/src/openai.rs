//! Chat completions, as OpenAI and some thirty providers with the same path send them.
//!
//! What they do differently is handled by looking at what came, not at who sent it; only MiniMax
//! (`minimax-completions`) is told apart, because `<think>` is plain text everywhere else.

use serde_json::Value;

use crate::answer::{Kind, Reason};
use crate::calls::Calls;
use crate::decoder::Protocol;
use crate::errors;
use crate::json::{self, Node};
use crate::reasoning::{Kept, Snapshots};
use crate::sheet::{End, Sheet};
use crate::tags::Tags;
use crate::usage;

/// The fields that reasoning comes in. The same text may come in two of them: the first counts.
const REASONING: [&str; 3] = ["reasoning_content", "reasoning", "reasoning_text"];

pub(crate) struct Chat {
    calls: Calls,
    kept: Kept,
    minimax: Option<Minimax>,
}

#[derive(Default)]
struct Minimax {
    tags: Tags,
    /// The reasoning so far, to recognise snapshots.
    thought: String,
    snapshots: Snapshots,
}

impl Chat {
    pub fn new() -> Self {
        Chat {
            calls: Calls::default(),
            kept: Kept::new(false),
            minimax: None,
        }
    }

    pub fn minimax() -> Self {
        Chat {
            calls: Calls::default(),
            kept: Kept::new(true),
            minimax: Some(Minimax::default()),
        }
    }

    fn choice(&mut self, choice: &Node, sheet: &mut Sheet) {
        take_usage(choice, sheet);
        if let Some(error) = choice.get("error").filter(|it| json::is_something(it)) {
            sheet.fail(errors::told(None, error));
        }
        // `message` instead of `delta` is a complete answer; beside it, a copy (Perplexity).
        let delta = match (choice.get("delta"), choice.get("message")) {
            (None, Some(message)) if !sheet.has_content() => message,
            (Some(delta), _) => delta,
            _ => &Node::Null,
        };
        if delta.is_object() {
            self.kept.take(delta);
            let calls = calls_of(delta);
            match self.minimax {
                Some(_) => self.minimax_delta(delta, &calls, sheet),
                None => self.delta(delta, &calls, sheet),
            }
        }
        sheet.end(json::text(choice, "finish_reason"));
    }

    fn delta(&mut self, delta: &Node, calls: &[&Node], sheet: &mut Sheet) {
        content(&delta["content"], sheet);
        sheet.refuse(json::text(delta, "refusal"));
        if let Some((field, text)) = reasoning(delta) {
            sheet.think(text, field);
        }
        for call in calls {
            self.calls.take(call, sheet);
        }
    }

    /// MiniMax: reasoning first, then a call that is running, then the text, then new calls.
    fn minimax_delta(&mut self, delta: &Node, calls: &[&Node], sheet: &mut Sheet) {
        let Some(minimax) = &mut self.minimax else {
            return;
        };
        let details = details_text(delta);
        let thought = match details.is_empty() {
            false => Some(("reasoning_details", details.as_str())),
            true => reasoning(delta),
        };
        if let Some((field, text)) = thought {
            let new = minimax.snapshots.suffix(&minimax.thought, text);
            sheet.think(new, field);
            minimax.thought.push_str(new);
        }
        let running = calls
            .iter()
            .take_while(|call| self.calls.continues(call, sheet))
            .count();
        for call in &calls[..running] {
            self.calls.take(call, sheet);
        }
        sheet.refuse(json::text(delta, "refusal"));
        match &delta["content"] {
            Node::String(text) => minimax.tags.feed(text, |part, inside| {
                tagged(sheet, part, inside);
            }),
            other => content(other, sheet),
        }
        for call in &calls[running..] {
            self.calls.take(call, sheet);
        }
    }
}

impl Protocol for Chat {
    fn take(&mut self, payload: &Node, sheet: &mut Sheet) {
        sheet.take_response(json::text(payload, "id"));
        let choices = payload.get("choices").and_then(Node::as_array);
        for choice in choices.into_iter().flatten() {
            if json::integer(choice, "index").unwrap_or(0) == 0 {
                self.choice(choice, sheet);
            }
        }
        take_usage(payload, sheet);
        if let Some(groq) = payload.get("x_groq") {
            take_usage(groq, sheet);
        }
        // Venice says the price beside the usage.
        if let (Some(usage), Some(_)) = (&mut sheet.usage, payload.get("cost")) {
            usage.cost = usage.cost.or_else(|| usage::cost(payload));
        }
    }

    fn close(&mut self, sheet: &mut Sheet) {
        if let Some(minimax) = &mut self.minimax {
            minimax
                .tags
                .finish(|part, inside| tagged(sheet, part, inside));
        }
        if sheet.ended && sheet.failure.is_none() {
            sheet.keep_of_calls();
            if let Some(kept) = self.kept.finish() {
                sheet.keep_of_message(kept);
            }
        }
    }

    fn judge(&self, raw: &str) -> End {
        match raw {
            "stop" | "end" | "end_turn" | "eos" | "stop_sequence" => End::Known(Reason::End),
            "tool_calls" | "function_call" => End::Known(Reason::Tools),
            "length" | "max_tokens" | "model_context_window_exceeded" => End::Known(Reason::Length),
            // `sensitive`: Z.AI.
            "content_filter" | "sensitive" => End::Known(Reason::Filtered),
            // OpenRouter; DeepSeek; Z.AI.
            "error" | "insufficient_system_resource" => End::Failed(Kind::Overloaded),
            "network_error" => End::Failed(Kind::Network),
            _ => End::Unknown,
        }
    }

    /// `[DONE]` alone completes an answer: Snowflake never gives a reason.
    fn done_is_the_end(&self) -> bool {
        true
    }

    fn knows(&self, payload: &Node) -> bool {
        payload.get("choices").is_some()
    }
}

fn take_usage(holder: &Node, sheet: &mut Sheet) {
    if let Some(raw) = holder.get("usage").filter(|it| it.is_object()) {
        if json::is_something(raw) {
            sheet.usage = Some(usage::chat(raw));
            sheet.usage_raw = Some(Value::from(raw));
        }
    }
}

fn tagged(sheet: &mut Sheet, part: &str, inside: bool) {
    match inside {
        true => sheet.think(part, "think_tag"),
        false => sheet.text(part),
    }
}

/// Takes `content`: a string, or a list of parts (Mistral switches within one stream).
fn content(content: &Node, sheet: &mut Sheet) {
    match content {
        Node::String(text) => sheet.text(text),
        Node::Array(parts) => {
            for part in parts {
                match (json::text(part, "type"), part) {
                    (_, Node::String(text)) => sheet.text(text),
                    ("thinking", _) => thinking_part(&part["thinking"], sheet),
                    ("refusal", _) => sheet.refuse(json::text(part, "refusal")),
                    _ => sheet.text(json::text(part, "text")),
                }
            }
        }
        Node::Object(_) => sheet.text(json::text(content, "text")),
        _ => {}
    }
}

fn thinking_part(thinking: &Node, sheet: &mut Sheet) {
    const SIGN: &str = "content[].thinking";
    match thinking {
        Node::String(text) => sheet.think(text, SIGN),
        Node::Array(parts) => {
            for part in parts {
                sheet.think(json::text(part, "text"), SIGN);
            }
        }
        _ => {}
    }
}

fn reasoning<'v>(delta: &'v Node) -> Option<(&'static str, &'v str)> {
    REASONING
        .into_iter()
        .map(|field| (field, json::text(delta, field)))
        .find(|(_, text)| !text.is_empty())
}

fn details_text(delta: &Node) -> String {
    let entries = delta.get("reasoning_details").and_then(Node::as_array);
    let texts = entries.into_iter().flatten();
    texts.map(|entry| json::text(entry, "text")).collect()
}

/// The entries of `tool_calls`, and the single `function_call` of the time before them.
fn calls_of<'v>(delta: &'v Node<'v>) -> Vec<&'v Node<'v>> {
    let many = delta.get("tool_calls").and_then(Node::as_array);
    let one = delta.get("function_call");
    let all = many.into_iter().flatten().chain(one);
    all.filter(|call| call.is_object()).collect()
}
