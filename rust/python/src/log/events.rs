//! Events as records, one at a time as they happen; records as events, a batch at a time: the
//! payloads of one kind are read in one call.

use std::ops::Range;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyIterator, PyList, PyString, PyType};
use tinyagent_log::answers::blocks;
use tinyagent_log::record::{elements, Record};

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

/// What is read as one: records of *kind*, on end, of one actor and one cause.
#[derive(FromPyObject)]
pub struct Joined<'py> {
    kind: String,
    /// The list that is all they say.
    field: String,
    /// The kind of what ends an answer that they are the whole of, if they begin behind its cause.
    end: String,
    /// What makes events of a JSON array of answers, each by its blocks.
    answers: Bound<'py, PyAny>,
}

/// The records of a batch that are of one kind.
struct Kind<'py> {
    /// `None` for answers that are read by their blocks.
    name: Option<String>,
    /// `None` for a kind that is not known.
    reading: Option<Reading<'py>>,
    /// Their payloads as a JSON array, but for its end.
    payloads: Vec<u8>,
    count: usize,
}

impl<'py> Kind<'py> {
    fn new(name: Option<String>, reading: Option<Reading<'py>>) -> Self {
        let (payloads, count) = (Vec::new(), 0);
        Kind {
            name,
            reading,
            payloads,
            count,
        }
    }

    /// Their events, in order; `None` if one of them cannot be read.
    fn events(&self) -> Option<Bound<'py, PyIterator>> {
        let (.., read) = self.reading.as_ref().filter(|_| self.count > 0)?;
        let array = PyBytes::new_with(read.py(), self.payloads.len() + 1, |array| {
            let (end, payloads) = array.split_last_mut().expect("it has one byte at least");
            payloads.copy_from_slice(&self.payloads);
            (payloads[0], *end) = (b'[', b']');
            Ok(())
        });
        let events = read.call1((array.ok()?,)).ok()?;
        let are_all = events.len().is_ok_and(|count| count == self.count);
        events.try_iter().ok().filter(|_| are_all)
    }

    /// Takes in one more; returns where it lies.
    fn take(&mut self, payload: &[u8]) -> Range<usize> {
        self.payloads.push(b',');
        self.payloads.extend_from_slice(payload);
        self.count += 1;
        self.payloads.len() - payload.len()..self.payloads.len()
    }

    /// Takes out the last one, which starts at *start*.
    fn drop_last(&mut self, start: usize) {
        self.payloads.truncate(start - b",".len());
        self.count -= 1;
    }

    /// Puts *elements* behind those in the list that is all of the last one; returns its new end.
    fn extend(&mut self, elements: &[u8]) -> usize {
        let is_empty = self.payloads.ends_with(b"[]}");
        self.payloads.truncate(self.payloads.len() - b"]}".len());
        if !is_empty && !elements.is_empty() {
            self.payloads.push(b',');
        }
        self.payloads.extend_from_slice(elements);
        self.payloads.extend_from_slice(b"]}");
        self.payloads.len()
    }
}

/// Lets nothing be collected while it lives: of what is made here all is kept, and to look through
/// it every 700 objects takes a tenth of the time. The interpreter is held meanwhile, so no other
/// thread sees it, but while a record is made that takes more than to read its payload.
struct Paused<'py>(Option<Bound<'py, PyModule>>);

impl<'py> Paused<'py> {
    fn new(py: Python<'py>) -> PyResult<Self> {
        let gc = py.import("gc")?;
        let is_on = gc.call_method0("isenabled")?.is_truthy()?;
        gc.call_method0("disable")?;
        Ok(Paused(is_on.then_some(gc)))
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        if let Some(gc) = &self.0 {
            let _ = gc.call_method0("enable"); // it cannot fail
        }
    }
}

/// What an event is put into.
struct Place<'py> {
    kind: usize,
    seq: u64,
    at_ns: u64,
    cause: u64,
    actor: Bound<'py, PyString>,
    /// Where it lies among those of its kind.
    payload: Range<usize>,
    /// Whether what follows may be joined to it.
    is_open: bool,
    /// Whether it began right behind its cause.
    is_from_start: bool,
}

/// Records that are read together.
pub struct Batch<'a, 'py> {
    reading_of: &'a Bound<'py, PyAny>,
    joined: Option<Joined<'py>>,
    /// A dozen, which is found sooner than hashed.
    kinds: Vec<Kind<'py>>,
    /// The indices of each, and its place unless it takes more than to read its payload.
    rows: Vec<(Range<usize>, Option<Place<'py>>)>,
    bytes: usize,
}

impl<'a, 'py> Batch<'a, 'py> {
    /// An empty one. *reading_of* tells the `Reading` of a kind, or None.
    pub fn new(reading_of: &'a Bound<'py, PyAny>, joined: Option<Joined<'py>>) -> Self {
        Batch {
            reading_of,
            joined,
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
        self.rows.push((index..index + 1, None));
    }

    /// Puts in the one at *index*, which follows the one before it.
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
        let actor = actor.unwrap_or_else(|| emitter.clone());
        self.bytes += record.payload.len();
        let joined = self.joined.as_ref().filter(|j| j.kind == record.kind);
        let elements = joined.and_then(|j| elements(record.payload, &j.field));
        if let (Some(elements), Some((indices, Some(last)))) = (elements, self.rows.last_mut()) {
            let is_alike = last.cause == record.cause && last.actor.is(&actor);
            if last.is_open && last.kind == kind && is_alike {
                (last.seq, last.at_ns) = (record.seq, at_ns);
                last.payload.end = found.extend(elements);
                indices.end = index + 1;
                return Ok(());
            }
        }
        let payload = found.take(record.payload);
        let is_open = elements.is_some();
        self.end_answer(record);
        let place = Place {
            kind,
            seq: record.seq,
            at_ns,
            cause: record.cause,
            actor,
            payload,
            is_open,
            is_from_start: record.seq == record.cause + 1,
        };
        self.rows.push((index..index + 1, Some(place)));
        Ok(())
    }

    /// Has the answer read by its blocks that *record* ends, if it is the whole of one.
    fn end_answer(&mut self, record: &Record<'_>) {
        let joined = self.joined.as_ref().filter(|j| j.end == record.kind);
        let (Some(joined), Some((_, Some(last)))) = (joined, self.rows.last_mut()) else {
            return;
        };
        if !(last.is_open && last.is_from_start && last.cause == record.cause) {
            return;
        }
        let found = &mut self.kinds[last.kind];
        // All that it says is this list, or it would not be open.
        let start = last.payload.start + b"{\"\":[".len() + joined.field.len();
        let pieces = &found.payloads[start..last.payload.end - b"]}".len()];
        let Some(blocks) = blocks(pieces) else {
            return;
        };
        found.drop_last(last.payload.start);
        let at = self.kinds.iter().position(|kind| kind.name.is_none());
        let at = at.unwrap_or_else(|| {
            let emitter = last.actor.clone();
            let reading = (record.v, emitter, joined.answers.clone());
            self.kinds.push(Kind::new(None, Some(reading)));
            self.kinds.len() - 1
        });
        let answer = [b"{\"blocks\":", &blocks[..], b"}"].concat();
        (last.kind, last.is_open) = (at, false);
        last.payload = self.kinds[at].take(&answer);
    }

    fn kind(&mut self, name: &str) -> PyResult<usize> {
        let mut known = self.kinds.iter();
        if let Some(at) = known.position(|kind| kind.name.as_deref() == Some(name)) {
            return Ok(at);
        }
        let reading = self.reading_of.call1((name,))?.extract()?;
        self.kinds.push(Kind::new(Some(name.to_owned()), reading));
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
        let _paused = Paused::new(py)?;
        let mut events: Vec<_> = self.kinds.iter().map(Kind::events).collect();
        let records = PyList::empty(py);
        for (indices, place) in self.rows {
            let found = place.and_then(|p| Some((events[p.kind].as_mut()?.next()?, p)));
            let Some((event, p)) = found else {
                for index in indices {
                    records.append(other(index)?)?;
                }
                continue;
            };
            let payload = PyBytes::new(py, &self.kinds[p.kind].payloads[p.payload]);
            let fields = (p.seq, p.at_ns, p.cause, p.actor, event?, payload);
            records.append(make.call1(fields)?)?;
        }
        Ok(records)
    }
}
