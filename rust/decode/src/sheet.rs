//! The answer while it is written: blocks, pieces, and what is known about its end.

use serde_json::{Map, Value};

use crate::answer::{Answer, Data, Failure, Kind, Op, Piece, Reason, Usage};
use crate::json::{self, Node};

/// What a protocol says about a word that ended an answer.
pub(crate) enum End {
    Known(Reason),
    Failed(Kind),
    /// Not in the documentation. The answer counts if there is anything in it.
    Unknown,
}

#[derive(Default)]
pub(crate) struct Call {
    pub id: String,
    pub name: String,
    pub arguments: String,
    /// Fields of the call that must go back with it.
    pub kept: Map<String, Value>,
}

enum Block {
    Text,
    Think,
    Refuse,
    Call(Call),
    Keep,
}

#[derive(Default)]
pub(crate) struct Sheet {
    pieces: Vec<Piece>,
    blocks: Vec<Block>,
    /// The block of text, thinking or refusal that the next delta of its kind continues.
    open: Option<u32>,
    /// The call whose arguments came last.
    argued: u32,
    /// A sign of the protocol that the answer is complete was seen.
    pub ended: bool,
    pub raw_reason: Option<String>,
    pub usage: Option<Usage>,
    /// The same as sent.
    pub usage_raw: Option<Value>,
    pub response: Option<String>,
    pub failure: Option<Failure>,
    /// What the provider says about the reason, if it is a failure.
    pub detail: String,
}

impl Sheet {
    pub fn text(&mut self, text: &str) {
        self.stream(Op::Text, text);
    }

    pub fn refuse(&mut self, text: &str) {
        self.stream(Op::Refuse, text);
    }

    /// Adds reasoning. *sign* is where it came from; said once, when the block opens.
    pub fn think(&mut self, text: &str, sign: &str) {
        let known = self.blocks.len();
        if let Some(block) = self.stream(Op::Think, text) {
            if self.blocks.len() > known && !sign.is_empty() {
                self.piece(block, Op::Sign, Data::Text(sign.to_owned()));
            }
        }
    }

    fn stream(&mut self, op: Op, text: &str) -> Option<u32> {
        if text.is_empty() {
            return None;
        }
        let block = match self.open {
            Some(block) if self.op(block) == op => block,
            _ => {
                let block = self.push(match op {
                    Op::Think => Block::Think,
                    Op::Refuse => Block::Refuse,
                    _ => Block::Text,
                });
                self.open = Some(block);
                block
            }
        };
        self.piece(block, op, Data::Text(text.to_owned()));
        Some(block)
    }

    fn op(&self, block: u32) -> Op {
        match self.blocks[block as usize] {
            Block::Text => Op::Text,
            Block::Think => Op::Think,
            Block::Refuse => Op::Refuse,
            Block::Call(_) => Op::Call,
            Block::Keep => Op::Keep,
        }
    }

    fn push(&mut self, block: Block) -> u32 {
        self.blocks.push(block);
        self.open = None;
        self.blocks.len() as u32 - 1
    }

    fn piece(&mut self, block: u32, op: Op, data: Data) {
        self.pieces.push(Piece { block, op, data });
    }

    /// The next delta of text, thinking or refusal opens a block.
    pub fn end_block(&mut self) {
        self.open = None;
    }

    /// The block that the next delta of its kind would continue.
    pub fn open(&self) -> Option<u32> {
        self.open
    }

    /// Gives the signature of a block of reasoning.
    pub fn sign(&mut self, block: u32, signature: &str) {
        self.piece(block, Op::Sign, Data::Text(signature.to_owned()));
    }

    /// Gives *data* out with *block*, or as a block of its own. Once per block.
    pub fn keep(&mut self, block: Option<u32>, data: Value) {
        let block = block.unwrap_or_else(|| self.push(Block::Keep));
        self.piece(block, Op::Keep, Data::Json(data));
    }

    /// Opens a tool call. Blocks of text that were open are not continued after it.
    pub fn open_call(&mut self, id: &str, name: &str) -> u32 {
        let block = self.push(Block::Call(Call::default()));
        self.piece(
            block,
            Op::Call,
            Data::Call {
                id: id.to_owned(),
                name: name.to_owned(),
            },
        );
        if let Some(call) = self.call_mut(block) {
            call.id = id.to_owned();
            call.name = name.to_owned();
        }
        block
    }

    /// Gives a call the id or name that its opening lacked; never replaces one.
    pub fn fill_call(&mut self, block: u32, id: &str, name: &str) {
        let Some(call) = self.call_mut(block) else {
            return;
        };
        let (late_id, late_name) = (
            call.id.is_empty() && !id.is_empty(),
            call.name.is_empty() && !name.is_empty(),
        );
        if late_id {
            call.id = id.to_owned();
        }
        if late_name {
            call.name = name.to_owned();
        }
        if late_id || late_name {
            let (id, name) = (call.id.clone(), call.name.clone());
            self.piece(block, Op::Call, Data::Call { id, name });
        }
    }

    /// Goes on with the arguments that came last.
    pub fn more_args(&mut self, fragment: &str) {
        self.args(self.argued, fragment);
    }

    pub fn args(&mut self, block: u32, fragment: &str) {
        self.argued = block;
        if let Some(call) = self.call_mut(block) {
            call.arguments.push_str(fragment);
        }
        self.piece(block, Op::Args, Data::Text(fragment.to_owned()));
    }

    pub fn call(&self, block: u32) -> Option<&Call> {
        match self.blocks.get(block as usize) {
            Some(Block::Call(call)) => Some(call),
            _ => None,
        }
    }

    pub fn call_mut(&mut self, block: u32) -> Option<&mut Call> {
        match self.blocks.get_mut(block as usize) {
            Some(Block::Call(call)) => Some(call),
            _ => None,
        }
    }

    pub fn calls(&self) -> impl Iterator<Item = (u32, &Call)> {
        (0u32..)
            .zip(&self.blocks)
            .filter_map(|(block, kind)| match kind {
                Block::Call(call) => Some((block, call)),
                _ => None,
            })
    }

    /// Gives the calls' kept fields out: one piece for each call that has some.
    pub fn keep_of_calls(&mut self) {
        let kept: Vec<_> = self
            .calls()
            .filter(|(_, call)| !call.kept.is_empty())
            .map(|(block, call)| (block, Value::Object(call.kept.clone())))
            .collect();
        for (block, data) in kept {
            self.piece(block, Op::Keep, Data::Json(data));
        }
    }

    /// Gives *data* out with the first block of reasoning, else as a block of its own.
    pub fn keep_of_message(&mut self, data: Value) {
        let think = self
            .blocks
            .iter()
            .position(|block| matches!(block, Block::Think));
        self.keep(think.map(|block| block as u32), data);
    }

    pub fn take_response(&mut self, id: &str) {
        if self.response.is_none() && !id.is_empty() {
            self.response = Some(id.to_owned());
        }
    }

    /// The answer is complete, for this reason. The last reason wins; "" is none.
    pub fn end(&mut self, raw: &str) {
        if !raw.is_empty() {
            self.ended = true;
            self.raw_reason = Some(raw.to_owned());
        }
    }

    /// Notes a failure. The first is the cause of those after it.
    pub fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    pub fn take_pieces(&mut self) -> Vec<Piece> {
        std::mem::take(&mut self.pieces)
    }

    pub fn has_content(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// Says how the answer ended. *judge* knows the protocol's words.
    pub fn answer(&mut self, judge: impl Fn(&str) -> End) -> Answer {
        let verdict = match &self.raw_reason {
            Some(raw) => judge(raw),
            None => End::Unknown,
        };
        if !self.ended {
            self.fail(Failure::new(
                Kind::Interrupted,
                "the stream ended before the answer was complete",
            ));
        }
        let reason = match verdict {
            End::Known(reason) => Some(reason),
            End::Unknown if self.has_content() => Some(Reason::End),
            End::Failed(kind) => {
                let raw = self.raw_reason.as_deref().unwrap_or("");
                let mut message = format!("the provider ended the answer with {raw:?}");
                if !self.detail.is_empty() {
                    message = format!("{message}: {}", self.detail);
                }
                self.fail(Failure::new(kind, message));
                None
            }
            End::Unknown => {
                let message = match &self.raw_reason {
                    Some(raw) => format!("the answer is empty and ended with {raw:?}"),
                    None => "the stream ended without an answer and without a reason".to_owned(),
                };
                self.fail(Failure::new(Kind::Interrupted, message));
                None
            }
        };
        let reason = reason.filter(|_| self.failure.is_none());
        Answer {
            reason,
            raw_reason: self.raw_reason.clone(),
            usage: self.usage,
            response: self.response.clone(),
            failure: self.failure.clone(),
            bad_calls: self.bad_calls(reason),
            unterminated: false,
        }
    }

    /// Calls whose arguments are not one complete object. Empty ones mean `{}`, but only in an
    /// answer that nothing cut short: there, the arguments may still have been to come.
    fn bad_calls(&self, reason: Option<Reason>) -> Vec<u32> {
        let whole = matches!(reason, Some(Reason::End | Reason::Tools));
        self.calls()
            .filter(|(_, call)| match call.arguments.trim() {
                "" | "null" => !whole,
                text => !matches!(json::parse(text), Some(Node::Object(_))),
            })
            .map(|(block, _)| block)
            .collect()
    }
}
