//! The hash chain: each record's hash covers the one before it, so none can be changed alone.
//!
//! `h_n = SHA256(h_(n-1) || P || SHA256(E))`: P is the line up to `,"e":`, E the payload's bytes,
//! `h_0 = SHA256("tinyagent-chain-1" || log id)`. For a payload that was redacted as a whole the
//! digest left in its place stands for SHA256(E): the chain holds although the text is gone. A
//! fork goes on from its parent's hash at the cut.

use sha2::{Digest, Sha256};

use crate::blobs::hex;
use crate::checksum::LogId;
use crate::json::{fields, parse_string, push_u64};
use crate::marks::{field, number};
use crate::record::parse;

/// A full hash of the chain.
pub type Hash = [u8; 32];

/// What a payload that was redacted as a whole starts with.
const REDACTED: &[u8] = b"{\"$redacted\":\"sha256:";

/// The hash before the first record of a log that is no fork.
pub fn origin(id: &LogId) -> Hash {
    let mut hash = Sha256::new();
    hash.update(b"tinyagent-chain-1");
    hash.update(id.bytes());
    hash.finalize().into()
}

/// The hash after *line*, a sound line, where *before* is the one before it. `None` if its fields
/// are not those of a record.
pub fn next(before: &Hash, line: &[u8]) -> Option<Hash> {
    let payload = parse(line)?.payload;
    let start = payload.as_ptr() as usize - line.as_ptr() as usize;
    let head = &line[..start - b",\"e\":".len()];
    Some(link(before, head, payload))
}

/// The hash after a record whose line up to `,"e":` is *head*.
pub fn link(before: &Hash, head: &[u8], payload: &[u8]) -> Hash {
    let body = redacted(payload).unwrap_or_else(|| Sha256::digest(payload).into());
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(head);
    hash.update(body);
    hash.finalize().into()
}

/// The digest that a payload redacted as a whole leaves.
fn redacted(payload: &[u8]) -> Option<Hash> {
    let rest = payload.strip_prefix(REDACTED)?;
    let digest = parse_hash(rest.get(..64)?)?;
    let count = rest[64..].strip_prefix(b"\",\"n\":")?.strip_suffix(b"}")?;
    number(count).map(|_| digest)
}

/// 64 hexadecimal digits.
pub fn show(hash: &Hash) -> String {
    hex(hash)
}

/// Reads 64 lower-case hexadecimal digits; `None` for anything else.
pub fn parse_hash(digits: &[u8]) -> Option<Hash> {
    let (high, low) = (digits.get(..32)?, digits.get(32..)?);
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(&LogId::parse(high)?.bytes());
    hash[16..].copy_from_slice(&LogId::parse(low)?.bytes());
    Some(hash)
}

/// Where a log left its parent: the field `fork` of its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Id of the parent.
    pub log: LogId,
    /// The last record shared with it.
    pub at: u64,
    /// The parent's hash there, computed whatever its level.
    pub head: Hash,
    /// The log that the chain began in, where that is not the parent: it is a fork itself.
    pub root: Option<LogId>,
}

impl Fork {
    /// Its JSON.
    pub fn json(&self) -> String {
        let mut out = format!("{{\"log\":\"{}\",\"at\":", self.log).into_bytes();
        push_u64(&mut out, self.at);
        let mut out = String::from_utf8(out).unwrap_or_default();
        out.push_str(&format!(",\"head\":\"{}\"", show(&self.head)));
        if let Some(root) = &self.root {
            out.push_str(&format!(",\"root\":\"{root}\""));
        }
        out.push('}');
        out
    }

    /// Reads its JSON; `None` for anything else. Other fields are passed over.
    pub fn parse(json: &str) -> Option<Fork> {
        let found = fields(json.as_bytes())?;
        let text = |name| field(&found, name).and_then(parse_string);
        Some(Fork {
            log: LogId::parse(text("log")?.as_bytes())?,
            at: field(&found, "at").and_then(number)?,
            head: parse_hash(text("head")?.as_bytes())?,
            root: text("root").and_then(|root| LogId::parse(root.as_bytes())),
        })
    }
}
