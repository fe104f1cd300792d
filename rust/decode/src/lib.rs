//! Provider bytes in, pieces out. No I/O, no clock, no Python.
//!
//! Where the bytes are cut makes no difference to what comes out. HTTP 200 does not mean success,
//! and the end of the bytes does not mean the end of the answer: both are decided here.
//!
//! # Layout
//!
//! - [`decoder`]: [`Decoder`], the one interface: `feed` bytes, `finish`.
//! - [`answer`]: what comes out: [`Piece`], [`Answer`], [`Failure`].
//! - [`sse`]: bytes to events.
//! - `sheet`: the answer while it is written, the same for every protocol.
//! - `openai`: chat/completions, with `calls` (which fragment belongs to which tool call),
//!   `reasoning` (details to give back) and `tags` (`<think>` in the text); `repeat`: chunks that
//!   differ in their text only.
//! - `anthropic`, `responses`, `gemini`: the other protocols; `paths`: arguments by value.
//! - `usage`: tokens and prices, normalised.
//! - [`errors`]: what an error body means; `overflow`: whether the context was too long;
//!   `wording`: what it says, without secrets; `delay`: when to try again.
//! - [`arguments`]: a call's complete arguments against its tool's schema.
//! - [`partial`]: JSON that is not complete yet.
//! - `json`: lenient reading of loosely typed values.

pub mod answer;
mod anthropic;
pub mod arguments;
mod calls;
pub mod decoder;
mod delay;
pub mod errors;
mod gemini;
mod json;
mod openai;
mod overflow;
pub mod partial;
mod paths;
mod reasoning;
mod repeat;
mod responses;
mod sheet;
pub mod sse;
mod tags;
mod usage;
mod wording;

pub use answer::{Answer, Data, Failure, Kind, Op, Piece, Reason};
pub use decoder::{Api, Decoder};
