//! Lines, marks, packed files: without a log that is open.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tinyagent_log::checksum::{self, LogId};
use tinyagent_log::failure::Failure;
use tinyagent_log::marks::{Header, Seal};
use tinyagent_log::rare::Rare;
use tinyagent_log::record::{complaint, push_chained, push_line, Record};
use tinyagent_log::vfs::real::RealVfs;
use tinyagent_log::vfs::Vfs;

use super::chain::{fork_of, hash_of, kept_of, ForkFields, KeptFields};
use super::{id, raise};

/// The CRC32C of *data*, without a log's id.
#[pyfunction]
pub fn crc32c(data: &[u8]) -> u32 {
    checksum::crc32c(data)
}

/// One record as its line.
#[pyfunction]
#[pyo3(signature = (log_id, d, seq, ts_us, actor, kind, v, cause, payload, before=None))]
#[allow(clippy::too_many_arguments)] // the fields of a line, in its order
pub fn line<'py>(
    py: Python<'py>,
    log_id: &str,
    d: u64,
    seq: u64,
    ts_us: u64,
    actor: Option<&str>,
    kind: &str,
    v: u16,
    cause: u64,
    payload: &[u8],
    before: Option<&str>,
) -> PyResult<Bound<'py, PyBytes>> {
    let record = Record {
        seq,
        d,
        ts_us,
        actor,
        kind,
        v,
        cause,
        payload,
    };
    if let Some(complaint) = complaint(&record) {
        return Err(PyValueError::new_err(format!("record {seq}: {complaint}")));
    }
    let mut out = Vec::new();
    match before {
        None => push_line(&mut out, &id(log_id)?, &record),
        Some(before) => {
            push_chained(&mut out, &id(log_id)?, &record, &hash_of(before)?);
        }
    }
    Ok(PyBytes::new(py, &out))
}

/// The first line of a segment.
#[pyfunction]
#[pyo3(signature = (log_id, *, seg, epoch, first, tail, at_us, by, level="crc", name=None,
    origin=None, fork=None, prev=None, redacted=None, more=Vec::new()))]
#[allow(clippy::too_many_arguments)] // the fields of a header
pub fn header_line<'py>(
    py: Python<'py>,
    log_id: &str,
    seg: u64,
    epoch: u64,
    first: u64,
    tail: u64,
    at_us: u64,
    by: &str,
    level: &str,
    name: Option<String>,
    origin: Option<String>,
    fork: Option<ForkFields>,
    prev: Option<String>,
    redacted: Option<String>,
    more: Vec<KeptFields>,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut header = Header {
        format: tinyagent_log::marks::FORMAT,
        log: id(log_id)?,
        seg,
        epoch,
        first,
        tail,
        level: level.to_owned().into(),
        at: at_us,
        by: by.to_owned().into(),
        rare: Rare {
            prev,
            fork: fork
                .as_ref()
                .map(fork_of)
                .transpose()?
                .map(|fork| fork.json()),
            redacted: redacted.map(|head| format!("{{\"head\":\"{head}\"}}")),
            name,
            origin,
            ..Rare::default()
        }
        .boxed(),
    };
    header.keep(kept_of(more));
    let mut out = Vec::new();
    header.push_line(&mut out);
    Ok(PyBytes::new(py, &out))
}

/// The last line of a segment.
#[pyfunction]
#[pyo3(signature = (log_id, *, seg, last, d, why, at_us, head=None, sig=None,
    more=Vec::new()))]
#[allow(clippy::too_many_arguments)] // the fields of a seal
pub fn seal_line<'py>(
    py: Python<'py>,
    log_id: &str,
    seg: u64,
    last: u64,
    d: u64,
    why: &str,
    at_us: u64,
    head: Option<String>,
    sig: Option<String>,
    more: Vec<KeptFields>,
) -> PyResult<Bound<'py, PyBytes>> {
    let seal = Seal {
        seg,
        last,
        d,
        why: why.to_owned(),
        head,
        sig,
        at: at_us,
        more: kept_of(more),
    };
    let mut out = Vec::new();
    seal.push_line(&mut out, &id(log_id)?);
    Ok(PyBytes::new(py, &out))
}

/// Digest and bytes of each large value.
type Values<'py> = Vec<(String, Bound<'py, PyBytes>)>;

/// Moves large values out of *payload*: what is left, and digest and bytes of each.
#[pyfunction]
pub fn take_out_blobs<'py>(
    py: Python<'py>,
    payload: &[u8],
) -> PyResult<(Bound<'py, PyBytes>, Values<'py>)> {
    use tinyagent_log::blobs::{take_out, BLOB_BYTES_MAX, PAYLOAD_BYTES_MAX};
    if payload.len() <= PAYLOAD_BYTES_MAX {
        return Ok((PyBytes::new(py, payload), Vec::new()));
    }
    let (left, blobs) = take_out(payload).map_err(|bytes| {
        let what = format!("a value of {bytes} bytes, at most {BLOB_BYTES_MAX} are possible");
        raise(py, &Failure::Limit(what))
    })?;
    let blobs = blobs.into_iter();
    let blobs = blobs.map(|blob| (blob.digest, PyBytes::new(py, &blob.body)));
    Ok((PyBytes::new(py, &left), blobs.collect()))
}

/// Writes a packed log and its blobs, whole or not at all.
#[pyfunction]
pub fn write_packed(
    py: Python<'_>,
    path: std::path::PathBuf,
    body: &[u8],
    blobs: Vec<(String, Vec<u8>)>,
) -> PyResult<()> {
    let (vfs, name) = RealVfs::beside(&path);
    let written = py.detach(|| tinyagent_log::blobs::write_packed(&vfs, &name, body, &blobs));
    written.map_err(|e| raise(py, &Failure::io("writing", &vfs.path(&name), &e, 0)))
}

/// 128 random bits as 32 hexadecimal digits. Nothing else about a log is random.
#[pyfunction]
pub fn fresh_id() -> PyResult<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| PyValueError::new_err(format!("no randomness: {error}")))?;
    Ok(LogId::new(bytes).to_string())
}
