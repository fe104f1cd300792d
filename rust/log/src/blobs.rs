//! Large values live beside the log, under the SHA-256 of their bytes.
//!
//! In their place in the payload: `{"$blob":"sha256:<64 hex>","n":<bytes>,"t":"text|bytes|json"}`.
//! Taking values out and putting them back is the identity on the payload's bytes.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use memchr::memmem;
use sha2::{Digest, Sha256};

use crate::json::{parse_string, push_string, push_u64, string_end, take_u64};
use crate::vfs::{append_all, ordinals, segment_name, Vfs};

/// What every reference starts with. A string cannot hold it: its quotes would be escaped.
pub const REFERENCE: &[u8] = b"{\"$blob\":\"sha256:";
/// A payload above this loses its large values to blobs.
pub const PAYLOAD_BYTES_MAX: usize = 65_536;
/// A value of at least so many encoded bytes is large.
const LEAF_BYTES_MIN: usize = 4_096;
/// No value may be larger.
pub const BLOB_BYTES_MAX: usize = 256 << 20;

/// A value on its way to its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// SHA-256 of the body, 64 hexadecimal digits.
    pub digest: String,
    /// The value's raw bytes.
    pub body: Vec<u8>,
}

impl Blob {
    fn new(body: Vec<u8>) -> Self {
        let digest = hex(&Sha256::digest(&body));
        Blob { digest, body }
    }
}

/// Moves large values out of *payload*: what is left, and the values.
///
/// # Errors: the size of a value above [`BLOB_BYTES_MAX`].
pub fn take_out(payload: &[u8]) -> Result<(Vec<u8>, Vec<Blob>), usize> {
    let mut out = Vec::with_capacity(LEAF_BYTES_MIN);
    let mut blobs = Vec::new();
    let mut copied = 0;
    for (range, kind) in large_leaves(payload) {
        let Some(body) = leaf_body(&payload[range.clone()], kind) else {
            continue;
        };
        if body.len() > BLOB_BYTES_MAX {
            return Err(body.len());
        }
        out.extend_from_slice(&payload[copied..range.start]);
        copied = range.end;
        push_reference(&mut out, &mut blobs, body, kind);
    }
    out.extend_from_slice(&payload[copied..]);
    if out.len() <= PAYLOAD_BYTES_MAX {
        return Ok((out, blobs));
    }
    if payload.len() > BLOB_BYTES_MAX {
        return Err(payload.len());
    }
    out.clear();
    blobs.clear();
    push_reference(&mut out, &mut blobs, payload.to_vec(), "json");
    Ok((out, blobs))
}

fn push_reference(out: &mut Vec<u8>, blobs: &mut Vec<Blob>, body: Vec<u8>, kind: &str) {
    let blob = Blob::new(body);
    out.extend_from_slice(REFERENCE);
    out.extend_from_slice(blob.digest.as_bytes());
    out.extend_from_slice(b"\",\"n\":");
    push_u64(out, blob.body.len() as u64);
    out.extend_from_slice(format!(",\"t\":\"{kind}\"}}").as_bytes());
    blobs.push(blob);
}

/// The large strings that are values, and the large `{"$b64":"..."}`.
fn large_leaves(payload: &[u8]) -> Vec<(Range<usize>, &'static str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = memchr::memchr(b'"', &payload[at..]) {
        let start = at + next;
        let Some(end) = string_end(payload, start) else {
            break;
        };
        at = end;
        let is_name = payload.get(end) == Some(&b':');
        if is_name || end - start < LEAF_BYTES_MIN {
            continue;
        }
        // A reference right below `$esc` would be taken for a user's own object.
        let before = &payload[..start];
        let wrapped = before.ends_with(b"{\"$b64\":") && payload.get(end) == Some(&b'}');
        if wrapped && !before[..start - 8].ends_with(b"{\"$esc\":") {
            found.push((start - 8..end + 1, "bytes"));
        } else if !before.ends_with(b"{\"$esc\":") {
            found.push((start..end, "text"));
        }
    }
    found
}

/// The raw bytes of a leaf; `None` if it could not be put back as it is.
fn leaf_body(leaf: &[u8], kind: &str) -> Option<Vec<u8>> {
    let body = match kind {
        "bytes" => base64_decode(&leaf[9..leaf.len() - 2])?,
        _ => parse_string(leaf)?.into_bytes(),
    };
    let mut back = Vec::with_capacity(leaf.len());
    push_value(&mut back, body.clone(), kind)?;
    (back == leaf).then_some(body)
}

fn push_value(out: &mut Vec<u8>, body: Vec<u8>, kind: &str) -> Option<()> {
    match kind {
        "text" => push_string(out, std::str::from_utf8(&body).ok()?),
        "bytes" => {
            out.extend_from_slice(b"{\"$b64\":\"");
            base64_encode(out, &body);
            out.extend_from_slice(b"\"}");
        }
        "json" => out.extend_from_slice(&body),
        _ => return None,
    }
    Some(())
}

/// Puts the values of *payload* back. Those that cannot be read stay references; their digests
/// are returned.
pub fn put_back(vfs: &dyn Vfs, folder: &str, payload: &[u8]) -> (Vec<u8>, Vec<String>) {
    let mut out = Vec::with_capacity(payload.len());
    let mut lost = Vec::new();
    let mut copied = 0;
    for reference in references(payload) {
        out.extend_from_slice(&payload[copied..reference.range.start]);
        copied = reference.range.start;
        let mut value = Vec::new();
        let body = read(vfs, folder, &reference.digest);
        match body.and_then(|body| push_value(&mut value, body, &reference.kind)) {
            Some(()) => {
                out.extend_from_slice(&value);
                copied = reference.range.end;
            }
            None => lost.push(reference.digest),
        }
    }
    out.extend_from_slice(&payload[copied..]);
    (out, lost)
}

/// The digests of the blobs that *line* or *payload* refers to.
pub fn digests(bytes: &[u8]) -> Vec<String> {
    references(bytes).into_iter().map(|r| r.digest).collect()
}

/// Whether every blob that *line* refers to is there and whole.
///
/// # Errors: one cannot be read, which does not say that it is not there.
pub(crate) fn all_there(vfs: &dyn Vfs, folder: &str, line: &[u8]) -> io::Result<bool> {
    for digest in digests(line) {
        match vfs.read(&blob_name(folder, &digest)) {
            Ok(body) if is_of(&body, &digest) => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

struct Reference {
    range: Range<usize>,
    digest: String,
    kind: String,
}

fn references(payload: &[u8]) -> Vec<Reference> {
    memmem::find_iter(payload, REFERENCE)
        // What a user's own `$blob` looks like.
        .filter(|&start| !payload[..start].ends_with(b"{\"$esc\":"))
        .filter_map(|start| reference(payload, start))
        .collect()
}

fn reference(payload: &[u8], start: usize) -> Option<Reference> {
    let rest = &payload[start + REFERENCE.len()..];
    let digest = std::str::from_utf8(rest.get(..64)?).ok()?;
    let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    digest.bytes().all(hexadecimal).then_some(())?;
    let (_, rest) = take_u64(rest[64..].strip_prefix(b"\",\"n\":")?)?;
    let rest = rest.strip_prefix(b",\"t\":\"")?;
    let end = memchr::memchr(b'"', rest)?;
    let kind = std::str::from_utf8(&rest[..end]).ok()?.to_owned();
    let rest = rest[end + 1..].strip_prefix(b"}")?;
    Some(Reference {
        range: start..payload.len() - rest.len(),
        digest: digest.to_owned(),
        kind,
    })
}

/// The path of a blob, below the folder of blobs.
pub fn blob_name(folder: &str, digest: &str) -> String {
    format!("{folder}/{}/{digest}", &digest[..2])
}

/// The bytes of a blob; `None` if it is missing or of another digest.
pub fn read(vfs: &dyn Vfs, folder: &str, digest: &str) -> Option<Vec<u8>> {
    let body = vfs.read(&blob_name(folder, digest)).ok()?;
    is_of(&body, digest).then_some(body)
}

fn is_of(body: &[u8], digest: &str) -> bool {
    hex(&Sha256::digest(body)) == digest
}

/// Stores a blob unless it is there, and notes the folders to sync before it counts as durable.
pub(crate) fn store(vfs: &dyn Vfs, blob: &Blob, dirty: &mut BTreeSet<String>) -> io::Result<()> {
    let name = blob_name("blobs", &blob.digest);
    let [folder, ..] = folders_of(&blob.digest);
    dirty.extend(folders_of(&blob.digest));
    if read(vfs, "blobs", &blob.digest).is_some() {
        return Ok(());
    }
    vfs.create_folder(&folder)?;
    write_whole(vfs, &name, &blob.body)
}

/// The folders through which a blob is found, from the inside out.
fn folders_of(digest: &str) -> [String; 3] {
    let inner = format!("blobs/{}", &digest[..2]);
    [inner, "blobs".to_owned(), String::new()]
}

/// Makes the names of all blobs that *lines* refer to durable: who wrote them may not have come
/// to it. Their bodies were, before they had names. Those that are missing stay missing.
pub(crate) fn sync_folders_of(vfs: &dyn Vfs, lines: &[u8]) -> io::Result<()> {
    let mut folders = BTreeSet::new();
    for digest in digests(lines) {
        if vfs.exists(&blob_name("blobs", &digest))? {
            folders.extend(folders_of(&digest));
        }
    }
    let mut inside_out = folders.iter().rev();
    inside_out.try_for_each(|folder| vfs.sync_folder(folder))
}

/// Writes a file that is there whole or not at all: temporary name, sync, rename. Its folder is
/// for the caller to sync.
///
/// # Errors: what the file system says.
pub fn write_whole(vfs: &dyn Vfs, name: &str, body: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.tmp");
    if vfs.exists(&temporary)? {
        vfs.remove(&temporary)?;
    }
    let mut file = vfs.create_new(&temporary)?;
    let written = append_all(&mut *file, body)
        .map_err(|(_, error)| error)
        .and_then(|()| file.sync())
        .and_then(|()| vfs.rename(&temporary, name));
    if written.is_err() {
        // Half of it is of no use, and of a full disk it takes the rest.
        let _ = vfs.remove(&temporary);
    }
    written
}

/// Writes a packed log *name* and, first, its blobs, each given by digest and body.
///
/// # Errors: what the file system says.
pub fn write_packed(
    vfs: &dyn Vfs,
    name: &str,
    body: &[u8],
    blobs: &[(String, Vec<u8>)],
) -> io::Result<()> {
    vfs.create_root()?;
    let folder = packed_folder(name);
    for (digest, blob) in blobs {
        let below = format!("{folder}/{}", &digest[..2]);
        vfs.create_folder(&below)?;
        write_whole(vfs, &blob_name(&folder, digest), blob)?;
        vfs.sync_folder(&below)?;
        vfs.sync_folder(&folder)?;
    }
    write_whole(vfs, name, body)?;
    vfs.sync_folder("")
}

/// Writes a log of one segment, which is *body*, into a folder that is not there yet.
///
/// # Errors: what the file system says; `AlreadyExists` if the folder holds a log.
pub fn write_folder(vfs: &dyn Vfs, body: &[u8], blobs: &[(String, Vec<u8>)]) -> io::Result<()> {
    vfs.create_root()?;
    if !ordinals(vfs)?.is_empty() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut dirty = BTreeSet::new();
    for (digest, body) in blobs {
        let blob = Blob {
            digest: digest.clone(),
            body: body.clone(),
        };
        store(vfs, &blob, &mut dirty)?;
    }
    for folder in dirty.iter().rev() {
        vfs.sync_folder(folder)?;
    }
    write_whole(vfs, &segment_name(1), body)?;
    vfs.sync_folder("")
}

/// Where the blobs of the packed log *name* lie.
pub(crate) fn packed_folder(name: &str) -> String {
    format!("{}.blobs", name.strip_suffix(".jsonl").unwrap_or(name))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)] as char);
        out.push(DIGITS[usize::from(byte & 15)] as char);
    }
    out
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64_encode(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.chunks(3) {
        let byte = |index| u32::from(chunk.get(index).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            out.push(if digit > chunk.len() {
                b'='
            } else {
                BASE64[(word >> (18 - 6 * digit) & 63) as usize]
            });
        }
    }
}

fn base64_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut values = [255_u8; 256];
    for (value, &symbol) in BASE64.iter().enumerate() {
        values[symbol as usize] = value as u8;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in text.chunks(4) {
        let used = chunk.iter().take_while(|&&b| b != b'=').count();
        if chunk.len() != 4 || used < 2 {
            return None;
        }
        let word = chunk[..used].iter().try_fold(0_u32, |word, &symbol| {
            let value = values[symbol as usize];
            (value < 64).then_some(word << 6 | u32::from(value))
        })?;
        let word = word << (6 * (4 - used));
        out.extend_from_slice(&word.to_be_bytes()[1..used]);
    }
    Some(out)
}
