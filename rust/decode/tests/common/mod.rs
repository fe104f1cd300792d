//! What the tests of decoders share.
#![allow(dead_code)] // each test file is a crate and uses some of it

use serde_json::{json, Value};
use tinyagent_decode::{Answer, Api, Data, Decoder, Piece};

pub fn decode(api: Api, chunks: &[&[u8]]) -> (Vec<Piece>, Answer) {
    let mut decoder = Decoder::new(api);
    let mut pieces: Vec<Piece> = chunks.iter().flat_map(|it| decoder.feed(it)).collect();
    pieces.extend(decoder.close());
    (pieces, decoder.finish())
}

pub fn stream(payloads: &[Value]) -> String {
    payloads
        .iter()
        .map(|it| format!("data: {it}\n\n"))
        .collect()
}

pub fn of_deltas(deltas: &[Value], reason: &str) -> String {
    let chunks: Vec<Value> = deltas
        .iter()
        .map(|delta| json!({"choices": [{"index": 0, "delta": delta}]}))
        .chain([json!({"choices": [{"delta": {}, "finish_reason": reason}]})])
        .collect();
    stream(&chunks) + "data: [DONE]\n\n"
}

/// Pieces as a transcript, a line each: `0 text hello`.
pub fn told(pieces: &[Piece]) -> Vec<String> {
    let line = |it: &Piece| {
        let data = match &it.data {
            Data::Text(text) => text.clone(),
            Data::Call { id, name } => format!("{id:?} {name:?}"),
            Data::Json(value) => value.to_string(),
        };
        format!("{} {} {data}", it.block, it.op.word())
    };
    pieces.iter().map(line).collect()
}

pub fn chat(deltas: &[Value], reason: &str) -> (Vec<String>, Answer) {
    let (pieces, answer) = decode(Api::Chat, &[of_deltas(deltas, reason).as_bytes()]);
    (told(&pieces), answer)
}
