//! Events as records, one at a time as they happen; records as events, a batch at a time: the
//! payloads of one kind are read in one call.

use std::io::Write;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyIterator, PyList, PyString, PyType};
use tinyagent_log::record::Record;

/// A batch with so many bytes of payloads is full.
const BYTES_MAX: usize = 1 << 20;

/// What an event tells of itself.
pub struct Told<'py> {
    /// Its kind, version and usual emitter.
    pub kind: Bound<'py, PyString>,
    pub v: u16,
    pub emitter: Bound<'py, PyString>,
    /// Its payload, encoded here.
    pub payload: Bound<'py, PyBytes>,
}

impl<'py> Told<'py> {
    /// Asks *event*.
    pub fn of(event: &Bound<'py, PyAny>) -> PyResult<Self> {
        static UNKNOWN: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        static ENCODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = event.py();
        let unknown = UNKNOWN.import(py, "tinyagent.events.kinds", "UnknownEvent")?;
        let payload = match event.get_type().is(unknown) {
            true => event.getattr(intern!(py, "raw"))?,
            false => ENCODE
                .import(py, "tinyagent.events.codec", "encode_known")?
                .call1((event,))?,
        };
        Ok(Told {
            kind: event.getattr(intern!(py, "kind"))?.cast_into()?,
            v: event.getattr(intern!(py, "v"))?.extract()?,
            emitter: event.getattr(intern!(py, "emitter"))?.cast_into()?,
            payload: payload.cast_into()?,
        })
    }
}

/// What makes a record of number, nanoseconds, cause, actor, event, payload and the live object.
pub fn make(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static RECORD: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    RECORD.import(py, "tinyagent.events.kinds", "Record")
}

/// Version of a kind, its usual emitter, and what makes events of a JSON array of payloads.
type Reading<'py> = (u16, Bound<'py, PyString>, Bound<'py, PyAny>);

/// The records of a batch that are of one kind.
struct Kind<'py> {
    name: String,
    /// `None` for a kind that is not known.
    reading: Option<Reading<'py>>,
    payloads: Vec<Bound<'py, PyBytes>>,
}

impl<'py> Kind<'py> {
    /// Their events, in order; `None` if one of them cannot be read.
    fn events(self) -> Option<Bound<'py, PyIterator>> {
        let (.., read) = self.reading.filter(|_| !self.payloads.is_empty())?;
        let events = read.call1((array(read.py(), &self.payloads).ok()?,)).ok()?;
        let are_all = events.len().is_ok_and(|count| count == self.payloads.len());
        events.try_iter().ok().filter(|_| are_all)
    }
}

/// *payloads* as one JSON array.
fn array<'py>(py: Python<'py>, payloads: &[Bound<'py, PyBytes>]) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = payloads.iter().map(|payload| payload.as_bytes().len() + 1);
    PyBytes::new_with(py, bytes.sum::<usize>() + 1, |array| {
        let mut rest = &mut array[..];
        for payload in payloads {
            rest.write_all(b",")?;
            rest.write_all(payload.as_bytes())?;
        }
        rest.write_all(b"]")?;
        array[0] = b'[';
        Ok(())
    })
}

/// What an event is put into.
struct Place<'py> {
    kind: usize,
    seq: u64,
    at_ns: u64,
    cause: u64,
    actor: Bound<'py, PyString>,
    payload: Bound<'py, PyBytes>,
}

/// Records that are read together.
pub struct Batch<'a, 'py> {
    reading_of: &'a Bound<'py, PyAny>,
    /// A dozen, which is found sooner than hashed.
    kinds: Vec<Kind<'py>>,
    /// The index of each, and its place unless it takes more than to read its payload.
    rows: Vec<(usize, Option<Place<'py>>)>,
    bytes: usize,
}

impl<'a, 'py> Batch<'a, 'py> {
    /// An empty one. *reading_of* tells the `Reading` of a kind, or None.
    pub fn new(reading_of: &'a Bound<'py, PyAny>) -> Self {
        Batch {
            reading_of,
            kinds: Vec::new(),
            rows: Vec::new(),
            bytes: 0,
        }
    }

    /// Whether nothing more is to be put in.
    pub fn is_full(&self) -> bool {
        self.bytes >= BYTES_MAX
    }

    /// Puts in the one at *index* as one that takes more than to read its payload.
    pub fn leave(&mut self, index: usize) {
        self.rows.push((index, None));
    }

    /// Puts in the one at *index*.
    pub fn take(&mut self, index: usize, record: &Record<'_>) -> PyResult<()> {
        let kind = self.kind(record.kind)?;
        let found = &mut self.kinds[kind];
        let reading = found.reading.as_ref().filter(|(v, ..)| *v == record.v);
        let (Some((_, emitter, _)), Some(at_ns)) = (reading, record.ts_us.checked_mul(1000)) else {
            self.leave(index);
            return Ok(());
        };
        let py = emitter.py();
        let actor = record.actor.map(|actor| PyString::intern(py, actor));
        let place = Place {
            kind,
            seq: record.seq,
            at_ns,
            cause: record.cause,
            actor: actor.unwrap_or_else(|| emitter.clone()),
            payload: PyBytes::new(py, record.payload),
        };
        found.payloads.push(place.payload.clone());
        self.bytes += record.payload.len();
        self.rows.push((index, Some(place)));
        Ok(())
    }

    fn kind(&mut self, name: &str) -> PyResult<usize> {
        if let Some(at) = self.kinds.iter().position(|kind| kind.name == name) {
            return Ok(at);
        }
        self.kinds.push(Kind {
            name: name.to_owned(),
            reading: self.reading_of.call1((name,))?.extract()?,
            payloads: Vec::new(),
        });
        Ok(self.kinds.len() - 1)
    }

    /// The records in order: what *make* makes of number, nanoseconds, cause, actor, event and
    /// payload, or *other* of an index.
    pub fn records(
        self,
        make: &Bound<'py, PyAny>,
        mut other: impl FnMut(usize) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let py = make.py();
        let kinds = self.kinds.into_iter();
        let mut events: Vec<_> = kinds.map(Kind::events).collect();
        let records = PyList::empty(py);
        for (index, place) in self.rows {
            let found = place.and_then(|p| Some((events[p.kind].as_mut()?.next()?, p)));
            let Some((event, p)) = found else {
                records.append(other(index)?)?;
                continue;
            };
            let fields = (p.seq, p.at_ns, p.cause, p.actor, event?, p.payload);
            records.append(make.call1(fields)?)?;
        }
        Ok(records)
    }
}
