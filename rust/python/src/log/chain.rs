//! The hash chain, and where a fork left its parent.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tinyagent_log::chain::{self, Fork, Hash};
use tinyagent_log::marks::Kept;
use tinyagent_log::sign::Key;

use super::id;

/// Parent, last shared record, hash there, and the log that the chain began in if another.
pub type ForkFields = (String, u64, String, Option<String>);

/// Reads what Python knows of a fork.
pub fn fork_of(fields: &ForkFields) -> PyResult<Fork> {
    let (log, at, head, root) = fields;
    Ok(Fork {
        log: id(log)?,
        at: *at,
        head: hash_of(head)?,
        root: root.as_deref().map(id).transpose()?,
    })
}

/// The same for Python.
pub fn fork_fields(fork: Fork) -> ForkFields {
    let root = fork.root.map(|root| root.to_string());
    (fork.log.to_string(), fork.at, chain::show(&fork.head), root)
}

/// Reads 64 hexadecimal digits.
pub fn hash_of(digits: &str) -> PyResult<Hash> {
    chain::parse_hash(digits.as_bytes()).ok_or_else(|| {
        PyValueError::new_err(format!(
            "chain hash {digits:?} is not 64 lower-case hexadecimal digits"
        ))
    })
}

/// A field of a header as it was written, behind the name of the known one before it.
pub type KeptFields = (String, String);

/// What Python hands on of a header.
pub fn kept_of(fields: Vec<KeptFields>) -> Vec<Kept> {
    let kept = |(behind, raw)| Kept { behind, raw };
    fields.into_iter().map(kept).collect()
}

/// The same for Python.
pub fn kept_fields(kept: Vec<Kept>) -> Vec<KeptFields> {
    let fields = |kept: Kept| (kept.behind, kept.raw);
    kept.into_iter().map(fields).collect()
}

/// Algorithm and bytes of a key.
pub type KeyFields = (String, Vec<u8>);

/// Reads what Python knows of a key.
pub fn key_of(fields: &KeyFields) -> PyResult<Key> {
    let (algorithm, bytes) = fields;
    Key::new(algorithm, bytes).ok_or_else(|| {
        PyValueError::new_err(format!(
            "a key of {} bytes for {algorithm:?}; possible are hmac-sha256 (16 bytes or more), \
             ed25519 (a seed of 32), ed25519-public (32)",
            bytes.len()
        ))
    })
}

/// The half of a key that may be given away; None for a secret that both sides hold.
#[pyfunction]
pub fn public_key<'py>(py: Python<'py>, key: KeyFields) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let public = key_of(&key)?.public();
    Ok(public.map(|public| PyBytes::new(py, &public)))
}

/// The signature of a seal whose last record is *last* and has the chain hash *head*.
#[pyfunction]
pub fn sign_head(key: KeyFields, log_id: &str, last: u64, head: &str) -> PyResult<String> {
    let signature = key_of(&key)?.sign(&id(log_id)?, last, &hash_of(head)?);
    signature.ok_or_else(|| PyValueError::new_err("a public key cannot sign"))
}

/// The chain hash before the first record of the log *log_id*.
#[pyfunction]
pub fn chain_origin(log_id: &str) -> PyResult<String> {
    Ok(chain::show(&chain::origin(&id(log_id)?)))
}

/// The chain hash after *lines*, where *before* is the one before them.
#[pyfunction]
pub fn chain_over(before: &str, lines: Vec<Bound<'_, PyBytes>>) -> PyResult<String> {
    let mut hash = hash_of(before)?;
    for line in lines {
        let line = line.as_bytes();
        hash = chain::next(&hash, line).ok_or_else(|| {
            PyValueError::new_err(format!("{:?} is no record", String::from_utf8_lossy(line)))
        })?;
    }
    Ok(chain::show(&hash))
}

/// *line* with its checksum as in the log *log_id*: a fork is packed under one id.
#[pyfunction]
pub fn line_under<'py>(
    py: Python<'py>,
    line: &[u8],
    log_id: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let moved = tinyagent_log::record::under(line, &id(log_id)?);
    let moved = moved.ok_or_else(|| PyValueError::new_err("no line with a checksum"))?;
    Ok(PyBytes::new(py, &moved))
}
