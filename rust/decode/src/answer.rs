//! What a decoder gives: pieces while the answer arrives, and how it ended.

use serde_json::Value;

/// What a piece does to its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Text of the answer.
    Text,
    /// Text of the model's reasoning.
    Think,
    /// Text by which the model declines.
    Refuse,
    /// Opens a tool call, or gives the id or name that its opening lacked.
    Call,
    /// A fragment of a tool call's arguments: JSON text.
    Args,
    /// Where reasoning came from, or what its provider signed it with.
    Sign,
    /// A JSON object that must go back to the same provider as it is. Once per block, complete.
    Keep,
}

impl Op {
    /// The word for it in Python and in the log.
    pub fn word(self) -> &'static str {
        match self {
            Op::Text => "text",
            Op::Think => "think",
            Op::Refuse => "refuse",
            Op::Call => "call",
            Op::Args => "args",
            Op::Sign => "sign",
            Op::Keep => "keep",
        }
    }
}

/// What a piece carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// For every operation but the two below.
    Text(String),
    /// For [`Op::Call`]. Either may be empty: the provider sent none.
    Call {
        /// The provider's id of the call.
        id: String,
        /// The tool's name.
        name: String,
    },
    /// For [`Op::Keep`].
    Json(Value),
}

/// A piece of an answer. Blocks are numbered from 0 in the order in which they open.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Which block.
    pub block: u32,
    /// What happens to it.
    pub op: Op,
    /// With what.
    pub data: Data,
}

/// Why a complete answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The model had nothing more to say.
    End,
    /// It wants its tools run.
    Tools,
    /// A limit of tokens was reached.
    Length,
    /// The provider, or the model, withheld the rest.
    Filtered,
}

impl Reason {
    /// The word for it in Python and in the log.
    pub fn word(self) -> &'static str {
        match self {
            Reason::End => "end",
            Reason::Tools => "tools",
            Reason::Length => "length",
            Reason::Filtered => "filtered",
        }
    }
}

/// What kind of failure it was: what a caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something between us and the provider answered, or broke.
    Network,
    /// The provider cannot now: rate limits, trouble of its own.
    Overloaded,
    /// The provider will not: key, permission, payment.
    Refused,
    /// The request is wrong.
    Invalid,
    /// The provider took too long.
    Timeout,
    /// The answer stopped before it was complete.
    Interrupted,
    /// The context is longer than the model takes.
    Overflow,
    /// A content filter refused.
    Filtered,
}

impl Kind {
    /// The word for it in Python and in the log.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Network => "network",
            Kind::Overloaded => "overloaded",
            Kind::Refused => "refused",
            Kind::Invalid => "invalid",
            Kind::Timeout => "timeout",
            Kind::Interrupted => "interrupted",
            Kind::Overflow => "overflow",
            Kind::Filtered => "filtered",
        }
    }
}

/// An answer that failed: which kind, and what the provider said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What a caller can do about it.
    pub kind: Kind,
    /// Readable, at most 4,096 characters, without secrets.
    pub message: String,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Failure {
            kind,
            message: message.into(),
        }
    }
}

/// Money, in the provider's currency (US dollars, where it is known). Absent is unknown, never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// For the prompt.
    pub input: Option<f64>,
    /// For the answer.
    pub output: Option<f64>,
    /// For both, and whatever else.
    pub total: Option<f64>,
}

/// Tokens, in the same sense for every provider of a protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Of the prompt, as the provider counts it.
    pub input: u64,
    /// Of the answer, reasoning included.
    pub output: u64,
    /// Of the prompt, read from a cache.
    pub cache_read: u64,
    /// Of the prompt, written to a cache.
    pub cache_write: u64,
    /// As the provider says, else input and output.
    pub total: u64,
    /// Of the answer, spent on reasoning, if told.
    pub reasoning: Option<u64>,
    /// What it cost, if told.
    pub cost: Option<Cost>,
}

/// How an answer ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Why, if it is complete and did not fail.
    pub reason: Option<Reason>,
    /// The provider's own word.
    pub raw_reason: Option<String>,
    /// Tokens and cost; the last that were sent.
    pub usage: Option<Usage>,
    /// The provider's id of the answer.
    pub response: Option<String>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Tool calls that must not run: their arguments are not one complete JSON object.
    pub bad_calls: Vec<u32>,
    /// The last event lacked its blank line: it was read, but the stream was cut or trimmed.
    pub unterminated: bool,
}
