//! The one interface to all protocols: feed bytes, finish.

use crate::answer::{Answer, Failure, Kind, Op, Piece};
use crate::anthropic::Messages;
use crate::errors;
use crate::gemini::Gemini;
use crate::json::{self, Node};
use crate::openai::Chat;
use crate::repeat::Repeat;
use crate::responses::Responses;
use crate::sheet::{End, Sheet};
use crate::sse::{Event, Framer};

/// The largest event, and the largest answer, that are read.
const EVENT_BYTES_MAX: usize = 32 << 20;
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// How much of a body that makes no sense is quoted.
const QUOTED_BYTES_MAX: usize = 400;

/// The protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `openai-completions`: POST /chat/completions, whoever serves it.
    Chat,
    /// `minimax-completions`: the same with reasoning inside the text.
    Minimax,
    /// `anthropic-messages`: POST /v1/messages.
    Messages,
    /// `openai-responses`: POST /v1/responses.
    Responses,
    /// `google-generative-ai`: POST :streamGenerateContent, with or without `alt=sse`.
    Gemini,
}

impl Api {
    /// All protocols and their names.
    pub const ALL: [(&'static str, Api); 5] = [
        ("openai-completions", Api::Chat),
        ("minimax-completions", Api::Minimax),
        ("anthropic-messages", Api::Messages),
        ("openai-responses", Api::Responses),
        ("google-generative-ai", Api::Gemini),
    ];

    /// The protocol of that name.
    pub fn named(name: &str) -> Option<Self> {
        let found = Api::ALL.iter().find(|(known, _)| *known == name)?;
        Some(found.1)
    }
}

/// What a protocol knows: how a payload changes the answer.
pub(crate) trait Protocol: Send + Sync {
    /// Takes a payload that is an object. Errors that any protocol may send are already taken.
    fn take(&mut self, payload: &Node, sheet: &mut Sheet);

    /// The stream is at its end: gives out what was held back.
    fn close(&mut self, sheet: &mut Sheet);

    /// What a reason for the end means.
    fn judge(&self, raw: &str) -> End;

    /// Whether `[DONE]` alone makes an answer complete.
    fn done_is_the_end(&self) -> bool {
        false
    }

    /// Whether *payload* looks like one of this protocol's.
    fn knows(&self, payload: &Node) -> bool;

    /// Whether nothing of the answer can follow what was taken.
    fn is_over(&self) -> bool {
        false
    }
}

/// What kind of body the first byte promises.
#[derive(PartialEq)]
enum Body {
    Unknown,
    Events,
    /// Not a stream: all of it is kept, and read at the end.
    Whole(Vec<u8>),
}

/// Turns one answer's bytes into pieces.
pub struct Decoder {
    body: Body,
    framer: Framer,
    /// Empty between two calls: kept for its room.
    arrived: Vec<Event>,
    protocol: Box<dyn Protocol>,
    sheet: Sheet,
    /// For a protocol whose text and arguments need no state beside the sheet's.
    repeat: Option<Repeat>,
    fed_bytes: usize,
    head: Vec<u8>,
    events: usize,
    damaged: bool,
    unterminated: bool,
    done: bool,
    closed: bool,
}

impl Decoder {
    /// A decoder for one answer.
    pub fn new(api: Api) -> Self {
        Decoder {
            body: Body::Unknown,
            framer: Framer::new(EVENT_BYTES_MAX),
            arrived: Vec::new(),
            protocol: match api {
                Api::Chat => Box::new(Chat::new()),
                Api::Minimax => Box::new(Chat::minimax()),
                Api::Messages => Box::new(Messages::default()),
                Api::Responses => Box::new(Responses::default()),
                Api::Gemini => Box::new(Gemini::default()),
            },
            sheet: Sheet::default(),
            repeat: (api == Api::Chat).then(Repeat::default),
            fed_bytes: 0,
            head: Vec::new(),
            events: 0,
            damaged: false,
            unterminated: false,
            done: false,
            closed: false,
        }
    }

    /// Returns the pieces that *bytes* complete. What follows the end of the answer is ignored.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Piece> {
        if self.done || self.closed {
            return Vec::new();
        }
        self.fed_bytes += bytes.len();
        if self.fed_bytes > ANSWER_BYTES_MAX {
            self.give_up(format!(
                "the answer is larger than {ANSWER_BYTES_MAX} bytes"
            ));
            return self.sheet.take_pieces();
        }
        let quoted = bytes.len().min(QUOTED_BYTES_MAX - self.head.len());
        self.head.extend_from_slice(&bytes[..quoted]);
        if self.body == Body::Unknown {
            self.body = guess(&self.head, quoted < bytes.len());
        }
        if let Body::Whole(all) = &mut self.body {
            // The head holds what came before the guess.
            if all.is_empty() {
                all.extend_from_slice(&self.head[..self.head.len() - quoted]);
            }
            all.extend_from_slice(bytes);
            return Vec::new();
        }
        let mut arrived = std::mem::take(&mut self.arrived);
        let fed = self.framer.feed(bytes, &mut arrived);
        arrived.drain(..).for_each(|event| self.event(&event));
        self.arrived = arrived;
        if let Err(error) = fed {
            let most = error.event_bytes_max;
            self.give_up(format!(
                "an event of the answer is larger than {most} bytes"
            ));
        }
        self.sheet.take_pieces()
    }

    /// Nothing more needs to be read.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The bytes are at their end: returns the pieces that only the end completes.
    ///
    /// These are the pieces of an event without its blank line, of a body that is not a stream,
    /// and what had to be held back. Afterwards the decoder takes nothing.
    pub fn close(&mut self) -> Vec<Piece> {
        if !std::mem::replace(&mut self.closed, true) {
            self.read_rest();
        }
        self.sheet.take_pieces()
    }

    /// Says how the answer ended. Closes the decoder; what `close` would have returned is lost.
    ///
    /// Without a sign of the protocol that the answer is complete, it failed, however the
    /// connection ended. A second call gives the same answer.
    pub fn finish(&mut self) -> Answer {
        self.close();
        let mut answer = self.sheet.answer(|raw| self.protocol.judge(raw));
        answer.unterminated = self.unterminated;
        answer
    }

    /// The usage that came last, as it was sent: JSON text.
    pub fn usage_raw(&self) -> Option<String> {
        self.sheet.usage_raw.as_ref().map(ToString::to_string)
    }

    fn read_rest(&mut self) {
        if let Body::Whole(all) = std::mem::replace(&mut self.body, Body::Events) {
            self.whole(&String::from_utf8_lossy(&all));
        } else if !self.done {
            if let Some(event) = self.framer.finish() {
                self.unterminated = true;
                self.event(&event);
            }
        }
        if !self.done {
            self.protocol.close(&mut self.sheet);
        }
        if self.damaged {
            self.fail_interrupted("a part of the answer arrived damaged: it is not JSON");
        }
        if self.events == 0 && !self.sheet.ended && self.sheet.failure.is_none() {
            let head = String::from_utf8_lossy(&self.head).into_owned();
            match head.trim() {
                "" => self.fail_interrupted("the answer is empty: the connection was closed"),
                _ if self.framer.is_stream() => {}
                text => {
                    let said = errors::told(None, &Node::String(text.into()));
                    let message = format!("the answer is not a model's: {}", said.message);
                    self.sheet.fail(Failure::new(Kind::Network, message));
                }
            }
        }
    }

    fn event(&mut self, event: &Event) {
        if self.done {
            return;
        }
        let data = event.data.trim();
        let repeat = self.repeat.as_ref().filter(|_| event.name.is_empty());
        if let Some((op, said)) = repeat.and_then(|repeat| repeat.said(data)) {
            self.events += 1;
            match op {
                Op::Args => self.sheet.more_args(&said),
                _ => self.sheet.text(&said),
            }
        } else if data == "[DONE]" {
            self.events += 1;
            self.sheet.ended |= self.protocol.done_is_the_end();
            self.stop();
        } else if let Some(payload) = json::parse(data) {
            if let Some(repeat) = &mut self.repeat {
                repeat.learn(data, &payload);
            }
            self.payload(&event.name, &payload);
        } else if event.name == "error" && !(self.unterminated && data.starts_with('{')) {
            self.sheet
                .fail(errors::told(None, &Node::String(data.into())));
            self.stop();
        } else if data.starts_with(['{', '[']) {
            self.events += 1;
            // Without its blank line it was cut off, and not damaged.
            self.damaged |= !self.unterminated;
        }
        // Anything else is a gateway's way of saying that it lives (`data: ping`).
    }

    fn payload(&mut self, name: &str, payload: &Node) {
        if let Node::Array(items) = payload {
            // Gemini without `alt=sse` sends one array.
            items.iter().for_each(|item| self.payload(name, item));
            return;
        }
        if self.done || !payload.is_object() {
            return;
        }
        self.events += 1;
        // An error may come with usage, or with the last words of the answer: these are taken too.
        let failure = errors::in_band(name, payload, self.protocol.knows(payload));
        self.protocol.take(payload, &mut self.sheet);
        if let Some(failure) = failure {
            self.sheet.fail(failure);
        }
        if self.sheet.failure.is_some() || self.protocol.is_over() {
            self.stop();
        }
    }

    /// A body that is not a stream: a complete answer, an error, or a page of something else.
    fn whole(&mut self, text: &str) {
        let text = text.trim_start_matches('\u{feff}');
        if let Some(body) = json::parse(text) {
            self.payload("", &body);
            return;
        }
        // JSON lines, or a JSON answer that was cut.
        for line in text.lines() {
            if let Some(payload) = json::parse(line) {
                self.payload("", &payload);
            }
        }
        if self.events == 0 && text.trim_start().starts_with(['{', '[']) {
            self.fail_interrupted("the answer arrived damaged or cut off: it is not JSON");
        }
    }

    fn stop(&mut self) {
        self.done = true;
        self.protocol.close(&mut self.sheet);
    }

    fn give_up(&mut self, message: String) {
        self.sheet.fail(Failure::new(Kind::Interrupted, message));
        self.stop();
    }

    fn fail_interrupted(&mut self, message: &str) {
        self.sheet.fail(Failure::new(Kind::Interrupted, message));
    }
}

/// Decides by the first byte that is neither a BOM nor blank (DeepSeek sends empty lines first).
fn guess(head: &[u8], is_cut: bool) -> Body {
    const BOM: &[u8] = b"\xEF\xBB\xBF";
    let text = match head.strip_prefix(BOM) {
        Some(text) => text,
        // The rest of a BOM may be still to come.
        None if BOM.starts_with(head) => &[],
        None => head,
    };
    match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[' | b'<') => Body::Whole(Vec::new()),
        Some(_) => Body::Events,
        None if is_cut => Body::Events,
        None => Body::Unknown,
    }
}
