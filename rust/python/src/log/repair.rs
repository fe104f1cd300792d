//! Damaged logs: what is wrong with one, and what can be read of it.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use tinyagent_log::archiving::Archived;
use tinyagent_log::failure::Failure;
use tinyagent_log::pruning::{prunable, prune};
use tinyagent_log::record::parse;
use tinyagent_log::salvage::{Part, Salvage};
use tinyagent_log::verify::verify;
use tinyagent_log::vfs::real::RealVfs;
use tinyagent_log::vfs::Vfs;

use super::chain::{fork_fields, kept_fields, key_of, KeyFields};
use super::raise;
use super::reader::{fields, place_of};

/// Reads every byte of the log at *path*.
#[pyfunction]
#[pyo3(signature = (path, key=None))]
pub fn verify_log<'py>(
    py: Python<'py>,
    path: std::path::PathBuf,
    key: Option<KeyFields>,
) -> PyResult<Bound<'py, PyDict>> {
    let key = key.as_ref().map(key_of).transpose()?;
    let report = py.detach(|| {
        let (vfs, name) = place_of(&path);
        verify(
            &(Arc::new(vfs) as Arc<dyn Vfs>),
            name.as_deref(),
            key.as_ref(),
        )
    });
    let report = report.map_err(|failure| raise(py, &failure))?;
    let out = PyDict::new(py);
    out.set_item("log", report.log.to_string())?;
    out.set_item("verdict", report.verdict)?;
    out.set_item("records", report.records)?;
    let segments = report.segments.into_iter();
    let segments = segments.map(|s| (s.name, s.bytes, s.records, s.verdict, s.complaints));
    out.set_item("segments", segments.collect::<Vec<_>>())?;
    out.set_item("blobs", report.blobs)?;
    out.set_item("lost_values", report.lost_values)?;
    out.set_item("signatures", report.signatures)?;
    Ok(out)
}

/// What can be read of the log at *path*, however it is damaged.
#[pyfunction]
pub fn salvage_log<'py>(py: Python<'py>, path: std::path::PathBuf) -> PyResult<Bound<'py, PyDict>> {
    let salvaged = py.detach(|| {
        let (vfs, name) = place_of(&path);
        Salvage::of(Arc::new(vfs), name.as_deref())
    });
    let salvage = salvaged.map_err(|failure| raise(py, &failure))?;
    let out = PyDict::new(py);
    out.set_item("log", salvage.id.to_string())?;
    out.set_item("epoch", salvage.epoch)?;
    if let Some(header) = &salvage.header {
        out.set_item("format", header.format)?;
        out.set_item("level", &header.level)?;
        out.set_item("name", &header.rare().name)?;
        out.set_item("origin", &header.rare().origin)?;
        out.set_item("fork", header.forked().map(fork_fields))?;
        out.set_item("more", kept_fields(header.kept()))?;
        out.set_item("at_us", header.at)?;
    }
    out.set_item("sealed", kept_fields(salvage.sealed.clone()))?;
    let parts = PyList::empty(py);
    for part in &salvage.parts {
        match part {
            Part::Gap(gap) => {
                parts.append((gap.first, gap.last, &gap.segment, gap.offset, gap.bytes))?
            }
            Part::Run(lines) => parts.append(run(py, &salvage, lines)?)?,
        }
    }
    out.set_item("parts", parts)?;
    Ok(out)
}

fn run<'py>(py: Python<'py>, salvage: &Salvage, lines: &[Vec<u8>]) -> PyResult<Bound<'py, PyList>> {
    let run = PyList::empty(py);
    // What is sound but not of this format cannot be shown as a record; it is not lost either.
    for (line, record) in lines.iter().filter_map(|line| Some((line, parse(line)?))) {
        let (payload, _) = salvage.resolve(record.payload);
        run.append(fields(py, &record, &payload, line)?)?;
    }
    Ok(run)
}

/// Joins and compresses the sealed segments of the log in the folder *path*:
/// `(name, segments, bytes, packed)` of each archive.
#[pyfunction]
pub fn archive_log(
    py: Python<'_>,
    path: std::path::PathBuf,
) -> PyResult<Vec<(String, u64, u64, u64)>> {
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs::new(path));
    let made = py.detach(|| tinyagent_log::archiving::archive(&vfs));
    let made = made.map_err(|failure| raise(py, &failure))?.into_iter();
    let fields = |a: Archived| (a.name, a.segments, a.bytes.0, a.bytes.1);
    Ok(made.map(fields).collect())
}

/// What can be removed before record *before*, and removes it unless *dry*:
/// `(upto, segments, bytes)`.
#[pyfunction]
pub fn prune_log(
    py: Python<'_>,
    path: std::path::PathBuf,
    before: u64,
    dry: bool,
) -> PyResult<(u64, u64, u64)> {
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs::new(path));
    let found = py.detach(|| match dry {
        true => prunable(&vfs, before),
        false => prune(&vfs, before),
    });
    let found = found.map_err(|failure| raise(py, &failure))?;
    Ok((found.upto, found.segments, found.bytes))
}

/// Puts what a fork shares with its parent into the fork: lines, and blobs by digest.
#[pyfunction]
pub fn detach_log(
    py: Python<'_>,
    path: std::path::PathBuf,
    prefix: Vec<u8>,
    blobs: Vec<(String, Vec<u8>)>,
) -> PyResult<()> {
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs::new(path));
    let done = py.detach(|| tinyagent_log::pruning::detach(&vfs, &prefix, &blobs));
    done.map_err(|failure| raise(py, &failure))
}

/// What comes out of an archive, or of the start of one: at most *limit* bytes.
#[pyfunction]
pub fn unpack_archive<'py>(py: Python<'py>, packed: &[u8], limit: usize) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &tinyagent_log::archive::unpack(packed, limit))
}

/// Writes a log of one segment into a new folder.
#[pyfunction]
pub fn write_folder(
    py: Python<'_>,
    path: std::path::PathBuf,
    body: &[u8],
    blobs: Vec<(String, Vec<u8>)>,
) -> PyResult<()> {
    let vfs = RealVfs::new(path);
    let written = py.detach(|| tinyagent_log::blobs::write_folder(&vfs, body, &blobs));
    written.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            let path = vfs.path("");
            return pyo3::exceptions::PyValueError::new_err(format!(
                "{path}: there is a log in this folder; name one that is new"
            ));
        }
        raise(py, &Failure::io("writing", &vfs.path(""), &error, 0))
    })
}

/// Writes a file that is there whole or not at all, in a folder that is made if need be.
#[pyfunction]
pub fn write_atomically(py: Python<'_>, path: std::path::PathBuf, body: &[u8]) -> PyResult<()> {
    let (vfs, name) = place_of(&path);
    let name = name.unwrap_or_default();
    let written = py.detach(|| {
        vfs.create_root()?;
        tinyagent_log::blobs::write_whole(&vfs, &name, body)?;
        vfs.sync_folder("")
    });
    written.map_err(|error| raise(py, &Failure::io("writing", &vfs.path(&name), &error, 0)))
}
