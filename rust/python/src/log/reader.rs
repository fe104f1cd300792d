//! The reading end of a log.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use tinyagent_log::failure::Failure;
use tinyagent_log::reader::{Found, Reader};
use tinyagent_log::record::{parse, Record};
use tinyagent_log::recover::{Analysis, Verdict};
use tinyagent_log::vfs::real::RealVfs;

use tinyagent_log::scan::last_seal;

use super::chain::{fork_fields, kept_fields, ForkFields, KeptFields};
use super::events::{Batch, Joined};
use super::raise;

/// A log, scanned and judged when this is made.
#[pyclass]
pub struct LogReader {
    reader: Reader,
    lost: Vec<(u64, String)>,
}

#[pymethods]
impl LogReader {
    #[new]
    fn new(py: Python<'_>, path: std::path::PathBuf) -> PyResult<Self> {
        let found = py.detach(|| find(&path));
        let reader = found.map_err(|failure| raise(py, &failure))?;
        Ok(reader.into())
    }

    #[getter]
    fn log(&self) -> String {
        self.reader.header.log.to_string()
    }

    #[getter]
    fn format(&self) -> u64 {
        self.reader.header.format
    }

    #[getter]
    fn level(&self) -> &str {
        &self.reader.header.level
    }

    #[getter]
    fn name(&self) -> Option<&str> {
        self.reader.header.rare().name.as_deref()
    }

    #[getter]
    fn origin(&self) -> Option<&str> {
        self.reader.header.rare().origin.as_deref()
    }

    #[getter]
    fn fork(&self) -> Option<ForkFields> {
        self.reader.header.forked().map(fork_fields)
    }

    #[getter]
    fn more(&self) -> Vec<KeptFields> {
        kept_fields(self.reader.header.kept())
    }

    #[getter]
    fn sealed(&self) -> Vec<KeptFields> {
        let files = self.reader.files.iter();
        kept_fields(last_seal(files.flat_map(|file| &file.items)))
    }

    #[getter]
    fn base(&self) -> u64 {
        self.reader.analysis.base
    }

    #[getter]
    fn at_us(&self) -> u64 {
        self.reader.header.at
    }

    #[getter]
    fn epoch(&self) -> u64 {
        self.reader.epoch
    }

    #[getter]
    fn first(&self) -> u64 {
        let Analysis {
            records, vouched, ..
        } = &self.reader.analysis;
        let behind = self.reader.index_of(vouched + 1);
        records.get(behind).map_or(0, |record| record.place.from)
    }

    #[getter]
    fn last(&self) -> u64 {
        self.reader.analysis.next - 1
    }

    #[getter]
    fn durable_seq(&self) -> u64 {
        self.reader.analysis.evidence
    }

    #[getter]
    fn verdict(&self) -> &'static str {
        match self.reader.analysis.verdict {
            Verdict::Clean => "clean",
            Verdict::Unclean => "unclean",
            Verdict::Torn(_) => "torn",
        }
    }

    /// `(path, offset, bytes, dropped)` of the torn end, if there is one.
    #[getter]
    fn torn(&self) -> Option<(String, u64, u64, u64)> {
        match &self.reader.analysis.verdict {
            Verdict::Torn(t) => Some((self.reader.path(t.file), t.offset, t.bytes, t.dropped)),
            _ => None,
        }
    }

    /// `(files, void_segments, void_lines, copies)`.
    #[getter]
    fn counts(&self) -> (usize, u64, u64, u64) {
        let a = &self.reader.analysis;
        (
            self.reader.files.len(),
            a.void_segments,
            a.void_lines,
            a.copies,
        )
    }

    fn __len__(&self) -> usize {
        self.reader.len()
    }

    /// Up to *count* records from number *first* on:
    /// `(seq, ts_us, actor, kind, v, cause, payload, d, line)`.
    fn batch<'py>(
        &mut self,
        py: Python<'py>,
        first: u64,
        count: usize,
    ) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let records = self.range(first, count);
        records.map(|index| self.record(py, index)).collect()
    }

    /// The same as events: what `record(seq, at_ns, cause, actor, event, payload)` makes. Fewer
    /// than *count* if they are large.
    ///
    /// *reading_of* tells of a kind `(v, emitter, read)`, where *read* makes a list of events of a
    /// JSON array of payloads, or None. Of a kind or version that it does not know, with a wrapper
    /// in the payload, or of a kind that *read* refuses, a record is what *other* makes of its
    /// fields as of `batch`.
    ///
    /// With *joined*, records of its kind that follow each other, of one actor and one cause, come
    /// as one: the last of them, with all that is in their lists; or, if they are the whole of an
    /// answer, with the blocks that it has.
    #[pyo3(signature = (first, count, reading_of, record, other, joined=None))]
    #[allow(clippy::too_many_arguments)] // which records, and how each part of one is made
    fn events<'py>(
        &mut self,
        py: Python<'py>,
        first: u64,
        count: usize,
        reading_of: &Bound<'py, PyAny>,
        record: &Bound<'py, PyAny>,
        other: &Bound<'py, PyAny>,
        joined: Option<Joined<'py>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut batch = Batch::new(reading_of, joined);
        for index in self.range(first, count) {
            if batch.is_full() {
                break;
            }
            if self.reader.analysis.records[index].place.has_wrapper {
                batch.leave(index);
                continue;
            }
            let (whole, range) = self.bytes(py, index)?;
            let found = parse(&whole[range]).ok_or_else(|| raise(py, &self.odd(index)))?;
            batch.take(index, &found)?;
        }
        batch.records(record, |index| other.call1(self.record(py, index)?))
    }

    /// `(first, last)` of the records that were lost before the log was repaired.
    #[getter]
    fn gaps(&self) -> Vec<(u64, u64)> {
        let places = self.reader.analysis.records.iter().map(|found| found.place);
        let lost = places.filter(|place| place.is_lost);
        lost.map(|place| (place.from, place.seq)).collect()
    }

    /// `(seq, digest)` of the values that were missing in what was read so far.
    #[getter]
    fn lost(&self) -> Vec<(u64, String)> {
        self.lost.clone()
    }

    /// The bytes of a blob; None if it is missing or damaged.
    fn blob<'py>(&self, py: Python<'py>, digest: &str) -> Option<Bound<'py, PyBytes>> {
        let body = self.reader.blob(digest)?;
        Some(PyBytes::new(py, &body))
    }

    /// The digests of the blobs that *line* refers to.
    #[staticmethod]
    fn digests(line: &[u8]) -> Vec<String> {
        tinyagent_log::blobs::digests(line)
    }
}

impl From<Reader> for LogReader {
    fn from(reader: Reader) -> Self {
        let lost = Vec::new();
        LogReader { reader, lost }
    }
}

impl LogReader {
    fn range(&self, first: u64, count: usize) -> Range<usize> {
        let start = self.reader.index_of(first);
        start..self.reader.len().min(start.saturating_add(count))
    }

    fn record<'py>(&mut self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyTuple>> {
        let (whole, range) = self.bytes(py, index)?;
        let line = &whole[range];
        let record = parse(line).ok_or_else(|| raise(py, &self.odd(index)))?;
        if !self.reader.analysis.records[index].place.has_blob {
            return fields(py, &record, record.payload, line);
        }
        let (payload, lost) = self.reader.resolve(record.payload);
        let access = self.reader.check_access(&lost);
        access.map_err(|failure| raise(py, &failure))?;
        let lost = lost.into_iter().map(|digest| (record.seq, digest));
        self.lost.extend(lost);
        fields(py, &record, &payload, line)
    }

    fn bytes(&mut self, py: Python<'_>, index: usize) -> PyResult<(Arc<Vec<u8>>, Range<usize>)> {
        let bytes = self.reader.bytes(index);
        bytes.map_err(|failure| raise(py, &failure))
    }

    fn odd(&self, index: usize) -> Failure {
        let record = self.reader.analysis.records[index];
        let path = self.reader.path(record.file);
        let (seq, offset) = (record.place.seq, record.place.offset);
        Failure::Corrupt(
            format!(
                "{path}: record {seq} at byte {offset} has a good checksum, but not the fields of \
                 format 1 in their order; was it written by another program?"
            ),
            path,
            seq,
            offset,
        )
    }
}

/// What Python gets of a record.
pub fn fields<'py>(
    py: Python<'py>,
    record: &Record<'_>,
    payload: &[u8],
    line: &[u8],
) -> PyResult<Bound<'py, PyTuple>> {
    (
        record.seq,
        record.ts_us,
        record.actor.map(|actor| PyString::intern(py, actor)),
        PyString::intern(py, record.kind),
        record.v,
        record.cause,
        PyBytes::new(py, payload),
        record.d,
        PyBytes::new(py, line),
    )
        .into_pyobject(py)
}

/// The folder that a log at *path* lies in, and its name there if it is packed.
pub fn place_of(path: &Path) -> (RealVfs, Option<String>) {
    if path.is_dir() {
        return (RealVfs::new(path), None);
    }
    let (vfs, name) = RealVfs::beside(path);
    (vfs, Some(name))
}

fn find(path: &Path) -> Result<Reader, Failure> {
    let (vfs, name) = place_of(path);
    let found = match &name {
        Some(name) => Reader::packed(Arc::new(vfs), name)?,
        None => Reader::folder(Arc::new(vfs), u64::MAX)?,
    };
    let path = path.display();
    match (found, name) {
        (Found::Log(reader), _) => Ok(*reader),
        (Found::Nothing, None) => Err(Failure::NotFound(format!(
            "{path}: a folder without a log (no segment with a header); check the path"
        ))),
        (Found::Nothing, Some(_)) => Err(Failure::Corrupt(
            format!("{path}: byte 0 starts no header: an empty file, or a packed log cut short"),
            path.to_string(),
            0,
            0,
        )),
    }
}
