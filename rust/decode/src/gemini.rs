//! Gemini and Vertex: `streamGenerateContent`, a whole response in every event.

use serde_json::{json, Value};

use crate::answer::{Kind, Reason, Usage};
use crate::decoder::Protocol;
use crate::json::{count, integer, is_something, text, Node};
use crate::paths;
use crate::sheet::{End, Sheet};

const SIGNATURE: &str = "thoughtSignature";

/// A call whose arguments come value by value (Vertex, `streamFunctionCallArguments`).
struct Running {
    block: u32,
    arguments: Value,
}

#[derive(Default)]
pub(crate) struct Gemini {
    running: Option<Running>,
    has_calls: bool,
    is_blocked: bool,
}

impl Gemini {
    fn part(&mut self, part: &Node, sheet: &mut Sheet) {
        let signature = part.get(SIGNATURE).filter(|it| is_something(it));
        if let Some(call) = part.get("functionCall").filter(|it| it.is_object()) {
            self.call(call, signature, sheet);
        } else if let Some(words) = part.get("text").and_then(Node::as_str) {
            match part.get("thought") == Some(&Node::Bool(true)) {
                true => sheet.think(words, ""),
                false => sheet.text(words),
            }
            // A signature closes its block: it must come back with this text, and no other.
            match (signature, sheet.open()) {
                (Some(signature), Some(block)) if !words.is_empty() => {
                    sheet.keep(Some(block), json!({SIGNATURE: Value::from(signature)}));
                    sheet.end_block();
                }
                (Some(_), _) => sheet.keep(None, Value::from(part)),
                _ => {}
            }
        } else if is_something(part) {
            // Code that was run, files, and what else there may be.
            sheet.keep(None, Value::from(part));
        }
    }

    fn call(&mut self, call: &Node, signature: Option<&Node>, sheet: &mut Sheet) {
        let name = text(call, "name");
        let goes_on = call.get("willContinue") == Some(&Node::Bool(true));
        let arguments = call.get("args").filter(|it| !it.is_null());
        // Without a name it goes on with the call before it; if there is none, it is one all the same.
        if !name.is_empty() || self.running.is_none() && arguments.is_some_and(is_something) {
            self.end_running(sheet);
            self.has_calls = true;
            let block = sheet.open_call(text(call, "id"), name);
            if let Some(signature) = signature {
                sheet.keep(Some(block), json!({SIGNATURE: Value::from(signature)}));
            }
            self.running = Some(Running {
                block,
                arguments: arguments.map_or_else(|| json!({}), Value::from),
            });
        }
        if let Some(running) = &mut self.running {
            let values = call.get("partialArgs").and_then(Node::as_array);
            for value in values.into_iter().flatten() {
                paths::set(&mut running.arguments, value);
            }
        }
        if !goes_on {
            self.end_running(sheet);
        }
    }

    fn end_running(&mut self, sheet: &mut Sheet) {
        if let Some(running) = self.running.take() {
            match &running.arguments {
                // A gateway's, which has them as OpenAI does.
                Value::String(text) => sheet.args(running.block, text),
                whole => sheet.args(running.block, &whole.to_string()),
            }
        }
    }
}

fn normalised(raw: &Node) -> Usage {
    let of = |key| count(raw, key).unwrap_or(0);
    let input = of("promptTokenCount") + of("toolUsePromptTokenCount");
    let output = of("candidatesTokenCount") + of("thoughtsTokenCount");
    Usage {
        input,
        output,
        cache_read: of("cachedContentTokenCount"),
        cache_write: 0,
        total: count(raw, "totalTokenCount").unwrap_or(input + output),
        reasoning: count(raw, "thoughtsTokenCount"),
        cost: None,
    }
}

impl Protocol for Gemini {
    fn take(&mut self, payload: &Node, sheet: &mut Sheet) {
        sheet.take_response(text(payload, "responseId"));
        let candidates = payload.get("candidates").and_then(Node::as_array);
        for candidate in candidates.into_iter().flatten() {
            if integer(candidate, "index").unwrap_or(0) != 0 {
                continue;
            }
            let parts = candidate["content"].get("parts").and_then(Node::as_array);
            for part in parts.into_iter().flatten() {
                self.part(part, sheet);
            }
            let reason = text(candidate, "finishReason");
            if !reason.is_empty() {
                // The event that ends a running call may be missing.
                self.end_running(sheet);
                sheet.detail = text(candidate, "finishMessage").to_owned();
            }
            sheet.end(reason);
        }
        // The prompt was blocked: there are no candidates.
        let blocked = text(&payload["promptFeedback"], "blockReason");
        self.is_blocked |= !blocked.is_empty();
        sheet.end(blocked);
        if let Some(raw) = payload.get("usageMetadata").filter(|it| is_something(it)) {
            sheet.usage = Some(normalised(raw));
            sheet.usage_raw = Some(Value::from(raw));
        }
    }

    fn close(&mut self, _sheet: &mut Sheet) {}

    fn judge(&self, raw: &str) -> End {
        match raw {
            // Whatever for: `OTHER` is a reason, too, and the same prompt is blocked again.
            _ if self.is_blocked => End::Known(Reason::Filtered),
            "STOP" if self.has_calls => End::Known(Reason::Tools),
            "STOP" => End::Known(Reason::End),
            "MAX_TOKENS" => End::Known(Reason::Length),
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "MODEL_ARMOR"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION" => End::Known(Reason::Filtered),
            // The model wrote nonsense: the same request may go well.
            "MALFORMED_FUNCTION_CALL" | "MALFORMED_RESPONSE" => End::Failed(Kind::Overloaded),
            "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" | "MISSING_THOUGHT_SIGNATURE" => {
                End::Failed(Kind::Invalid)
            }
            _ => End::Unknown,
        }
    }

    fn knows(&self, payload: &Node) -> bool {
        ["candidates", "promptFeedback", "usageMetadata"]
            .iter()
            .any(|key| payload.get(key).is_some())
    }
}
