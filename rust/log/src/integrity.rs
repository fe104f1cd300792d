//! Follows the hash chain through a log, and compares what lines, headers and seals say of it.
//!
//! After a `log.lost` record the true hash is not known any more: the chain starts anew with that
//! record, and what older lines and marks say of theirs is passed over up to the first one that fits
//! again, which is the seal of the repair.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::chain::{self, Fork, Hash};
use crate::failure::Failure;
use crate::marks::Header;
use crate::open::OpenOptions;
use crate::reader::Reader;
use crate::record::{front, lost_from, stored_hash};
use crate::scan::Item;
use crate::sign::Key;

/// The level of a log without a chain.
pub const PLAIN: &str = "crc";
/// Every record carries a hash of all before it.
pub const CHAIN: &str = "chain";
/// And every seal a signature.
pub const SIGNED: &str = "signed";
/// Records of a segment at level `signed`, at most: so often there is a signature.
pub const SIGNED_RECORDS_MAX: u64 = 1_000;

/// The level to write at: that of the log, if there is one.
pub(crate) fn level_to_write(
    path: &str,
    known: Option<&Header>,
    options: &OpenOptions,
) -> Result<Cow<'static, str>, Failure> {
    let invalid = |what: String| Err(Failure::Invalid(format!("{path}: {what}")));
    let found = known.map(|known| known.level.as_ref());
    let wanted = options.level.as_deref();
    let level = found.or(wanted).unwrap_or(PLAIN);
    if wanted.is_some_and(|wanted| wanted != level) {
        return invalid(format!(
            "the log here is of integrity level {level}, which is chosen once, when it is created"
        ));
    }
    let can_sign = options.key.as_ref().is_some_and(Key::can_sign);
    match level {
        PLAIN | CHAIN if options.key.is_some() => invalid(format!(
            "a key was given, but a log of integrity level {level} is not signed; leave it out"
        )),
        SIGNED if !can_sign => {
            invalid("the log is signed; give the key that can sign it".to_owned())
        }
        PLAIN => Ok(PLAIN.into()),
        CHAIN => Ok(CHAIN.into()),
        SIGNED => Ok(SIGNED.into()),
        other if known.is_some() => Err(Failure::Version(format!(
            "{path}: the log is of integrity level {other}, which this version does not know; upgrade \
             tinyagent to go on with it"
        ))),
        other => invalid(format!(
            "integrity level {other} is none of crc, chain, signed"
        )),
    }
}

/// A walk along the chain, record by record.
pub struct Walk {
    /// The hash after the last record.
    pub hash: Hash,
    /// Its number.
    pub seq: u64,
    has_chain: bool,
    fork: Option<Fork>,
    /// Between a `log.lost` and the first hash that fits again.
    is_after_loss: bool,
}

impl Walk {
    /// Stands before the first record of the log whose first header is *header*.
    pub fn start(header: &Header) -> Walk {
        let fork = header.forked();
        let base = header.base();
        let (seq, hash) = match (header.pruned(), &fork) {
            (Some(pruned), _) => pruned,
            (None, Some(fork)) if base > fork.at => (fork.at, fork.head),
            (None, Some(fork)) => (0, chain::origin(&fork.root.unwrap_or(fork.log))),
            (None, None) => (0, chain::origin(&header.log)),
        };
        Walk {
            hash,
            seq,
            has_chain: header.level != PLAIN,
            fork,
            is_after_loss: false,
        }
    }

    /// Takes the next *line*, which is sound.
    ///
    /// # Errors: it carries another hash than it should, said in words.
    pub fn step(&mut self, line: &[u8]) -> Result<(), String> {
        let (Some((seq, ..)), Some(hash)) = (front(line), chain::next(&self.hash, line)) else {
            return Err("it is not of format 1".to_owned());
        };
        (self.seq, self.hash) = (seq, hash);
        let cut = self.fork.clone().filter(|fork| seq <= fork.at);
        let complaint = match (stored_hash(line), &cut) {
            _ if !self.has_chain => None,
            (Some(stored), _) => self.compare(stored),
            (None, Some(_)) => None,
            (None, None) => Some("it carries no chain hash".to_owned()),
        };
        let at_cut = cut.filter(|fork| fork.at == seq && !self.is_after_loss);
        let complaint = complaint.or_else(|| {
            let head = at_cut.as_ref()?.head;
            let (found, expected) = (chain::show(&self.hash), chain::show(&head));
            (self.hash != head).then(|| format!("chain hash {found} at the cut, not {expected}"))
        });
        self.is_after_loss |= lost_from(line).is_some();
        complaint.map_or(Ok(()), Err)
    }

    fn compare(&mut self, stored: &[u8]) -> Option<String> {
        let expected = &chain::show(&self.hash)[..32];
        if stored == expected.as_bytes() {
            self.is_after_loss = false;
            return None;
        }
        let found = String::from_utf8_lossy(stored);
        (!self.is_after_loss).then(|| {
            format!("it carries the chain hash {found}, but what lies before gives {expected}")
        })
    }

    /// What is wrong with *head*, which a mark says is the hash here; `None` if nothing is.
    fn claimed(&mut self, head: Option<&str>) -> Option<String> {
        let expected = chain::show(&self.hash);
        if !self.has_chain {
            return None;
        }
        if head == Some(expected.as_str()) {
            self.is_after_loss = false;
            return None;
        }
        let what = match head {
            Some(head) => format!("chain hash {head} at record {}, not {expected}", self.seq),
            None => format!("no chain hash of record {}", self.seq),
        };
        (!self.is_after_loss).then_some(what)
    }
}

/// A header or seal that names the hash after a record.
struct Claim {
    file: u32,
    offset: u64,
    head: Option<String>,
}

/// Checks the whole chain of *reader*, and returns the hashes after the last durable record and
/// after the last one; `None` at level `crc`.
///
/// # Errors: `Corrupt`, with the first record that does not fit; `Failed`.
pub(crate) fn check(reader: &mut Reader) -> Result<Option<(Hash, Hash)>, Failure> {
    if reader.header.level == PLAIN {
        return Ok(None);
    }
    let claims = claims(reader);
    let mut walk = Walk::start(&reader.header);
    let evidence = reader.analysis.evidence;
    let mut durable = walk.hash;
    judge(reader, &mut walk, &claims)?;
    for index in 0..reader.len() {
        let line = reader.line(index)?;
        let found = reader.analysis.records[index];
        if let Err(complaint) = walk.step(&line) {
            let what = format!("record {}: {complaint}", walk.seq);
            return Err(broken(
                reader,
                found.file,
                walk.seq,
                found.place.offset,
                &what,
            ));
        }
        if walk.seq <= evidence {
            durable = walk.hash;
        }
        judge(reader, &mut walk, &claims)?;
    }
    Ok(Some((durable, walk.hash)))
}

fn judge(
    reader: &Reader,
    walk: &mut Walk,
    claims: &BTreeMap<u64, Vec<Claim>>,
) -> Result<(), Failure> {
    for claim in claims.get(&walk.seq).into_iter().flatten() {
        if let Some(what) = walk.claimed(claim.head.as_deref()) {
            let what = format!("a mark names {what}");
            return Err(broken(reader, claim.file, walk.seq, claim.offset, &what));
        }
    }
    Ok(())
}

fn claims(reader: &Reader) -> BTreeMap<u64, Vec<Claim>> {
    let mut claims: BTreeMap<u64, Vec<Claim>> = BTreeMap::new();
    for (file, scanned) in (0..).zip(&reader.files) {
        for item in &scanned.items {
            let (seq, offset, head) = match item {
                // Before the first record of all nothing need be said.
                Item::Header(header, offset) if header.first > 1 => {
                    (header.first - 1, *offset, header.rare().prev.clone())
                }
                Item::Seal(seal, offset) if seal.last > 0 => {
                    (seal.last, *offset, seal.head.clone())
                }
                _ => continue,
            };
            let claim = Claim { file, offset, head };
            claims.entry(seq).or_default().push(claim);
        }
    }
    claims
}

fn broken(reader: &Reader, file: u32, seq: u64, offset: u64, what: &str) -> Failure {
    let path = reader.path(file);
    Failure::Corrupt(
        format!(
            "{path}: byte {offset}: {what}; nothing was changed; somebody changed the log after it \
             was written: restore a copy, or keep the records before {seq}"
        ),
        path,
        seq,
        offset,
    )
}
