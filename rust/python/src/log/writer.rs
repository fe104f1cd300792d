//! The writing end of a log.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;
use tinyagent_log::failure::Failure;
use tinyagent_log::integrity::{SIGNED, SIGNED_RECORDS_MAX};
use tinyagent_log::open::{open_since, OpenOptions, Recovered};
use tinyagent_log::queue::{Durability, Limits, Queue, WeakQueue};
use tinyagent_log::reader::{Reader, KEEP_BYTES_MAX};
use tinyagent_log::record::Record;
use tinyagent_log::timing::Work;
use tinyagent_log::vfs::real::RealVfs;

use super::chain::{
    fork_fields, fork_of, kept_fields, kept_of, key_of, ForkFields, KeptFields, KeyFields,
};
use super::events::{make, Told};
use super::lines::fresh_id;
use super::reader::{fields, LogReader};
use super::{holder, id, raise};
use crate::bell::{waiter, Who};
use crate::fork;

/// The logs that are open, for the end of the interpreter.
static OPEN: Mutex<Vec<WeakQueue>> = Mutex::new(Vec::new());
static HOOKS: Once = Once::new();
/// How long the end of the interpreter may take for what is not yet written.
const EXIT_WAIT: Duration = Duration::from_secs(1);

/// Lets what was accepted be written.
#[pyfunction]
pub fn _at_exit(py: Python<'_>) {
    py.detach(|| {
        let open = OPEN.lock().map(|mut open| std::mem::take(&mut *open));
        for queue in open.unwrap_or_default() {
            queue.block_written(EXIT_WAIT);
        }
    });
}

fn remember(py: Python<'_>, queue: &Queue) -> PyResult<()> {
    if let Ok(mut open) = OPEN.lock() {
        if open.len() == open.capacity() {
            open.retain(WeakQueue::is_open);
        }
        open.push(queue.downgrade());
    }
    fork::watch(py)?;
    let mut outcome = Ok(());
    HOOKS.call_once(|| outcome = hang_hook(py));
    outcome
}

fn hang_hook(py: Python<'_>) -> PyResult<()> {
    let at_exit = wrap_pyfunction!(_at_exit, py)?;
    py.import("atexit")?.call_method1("register", (at_exit,))?;
    Ok(())
}

/// The writing end of a log in a folder.
#[pyclass(frozen)]
pub struct LogWriter {
    queue: Queue,
    vfs: Arc<RealVfs>,
    /// None if nothing was found but a log that was closed in order, or none.
    recovered: Option<Box<Recovered>>,
    reader: Mutex<Option<Box<Reader>>>,
    accepts_loss: bool,
    /// Whoever reads along is behind it.
    follower: PyOnceLock<Py<PyAny>>,
}

#[pymethods]
impl LogWriter {
    #[new]
    #[pyo3(signature = (
        path, *, durability, at_us, log_id=None, name=None, origin=None, fork=None, level=None, key=None,
        accept_loss=false, more=Vec::new(),
        segment_bytes_max=None, queue_bytes_soft_max=None, queue_bytes_hard_max=None,
        interval_ms=None, since=0
    ))]
    #[allow(clippy::too_many_arguments)] // options, all by name
    fn new(
        py: Python<'_>,
        path: std::path::PathBuf,
        durability: &str,
        at_us: u64,
        log_id: Option<&str>,
        name: Option<String>,
        origin: Option<String>,
        fork: Option<ForkFields>,
        level: Option<String>,
        key: Option<KeyFields>,
        accept_loss: bool,
        more: Vec<KeptFields>,
        segment_bytes_max: Option<u64>,
        queue_bytes_soft_max: Option<usize>,
        queue_bytes_hard_max: Option<usize>,
        interval_ms: Option<u64>,
        since: u64,
    ) -> PyResult<Self> {
        let mode = mode(durability)?;
        let usual = Limits::default();
        let mut limits = Limits {
            segment_bytes_max: segment_bytes_max.unwrap_or(usual.segment_bytes_max),
            queue_bytes_soft_max: queue_bytes_soft_max.unwrap_or(usual.queue_bytes_soft_max),
            queue_bytes_hard_max: queue_bytes_hard_max.unwrap_or(usual.queue_bytes_hard_max),
            interval: interval_ms.map_or(usual.interval, Duration::from_millis),
            ..usual
        };
        let options = OpenOptions {
            log: log_id.map(id).transpose()?,
            fresh: id(&fresh_id()?)?,
            name,
            origin,
            more: kept_of(more),
            fork: fork.as_ref().map(fork_of).transpose()?,
            level,
            key: key.as_ref().map(key_of).transpose()?,
            accepts_loss: accept_loss,
            by: concat!("tinyagent ", env!("CARGO_PKG_VERSION")).into(),
            at: at_us,
            holder: holder(),
        };
        let opened = py.detach(|| {
            let vfs = Arc::new(RealVfs::new(path));
            let (writer, recovered, reader) = open_since(vfs.clone(), &options, since)?;
            if writer.header().level == SIGNED {
                limits.segment_records_max = SIGNED_RECORDS_MAX;
            }
            Ok(LogWriter {
                queue: Queue::start(writer, mode, limits),
                vfs,
                recovered: worth_telling(recovered),
                reader: Mutex::new(reader.filter(keeps_all).map(Box::new)),
                accepts_loss: accept_loss,
                follower: PyOnceLock::new(),
            })
        });
        let writer = opened.map_err(|failure: Failure| raise(py, &failure))?;
        remember(py, &writer.queue).map(|()| writer)
    }

    #[getter]
    fn path(&self) -> &OsStr {
        self.vfs.root().as_os_str()
    }

    #[getter]
    fn log(&self) -> String {
        self.queue.header().log.to_string()
    }

    #[getter]
    fn name(&self) -> Option<String> {
        self.queue.header().rare().name.clone()
    }

    #[getter]
    fn origin(&self) -> Option<String> {
        self.queue.header().rare().origin.clone()
    }

    #[getter]
    fn level<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::intern(py, &self.queue.header().level)
    }

    #[getter]
    fn fork(&self) -> Option<ForkFields> {
        self.queue.header().forked().map(fork_fields)
    }

    #[getter]
    fn more(&self) -> Vec<KeptFields> {
        kept_fields(self.queue.header().kept())
    }

    #[getter]
    fn epoch(&self) -> u64 {
        self.queue.header().epoch
    }

    #[getter]
    fn durability(&self) -> &'static str {
        match self.queue.mode() {
            Durability::Interval => "interval",
            Durability::Group => "group",
            Durability::Strict => "strict",
        }
    }

    #[getter]
    fn accepts_loss(&self) -> bool {
        self.accepts_loss
    }

    /// `(torn_bytes, dropped, copied, segment, why)`.
    #[getter]
    fn recovered(&self) -> Option<(u64, u64, u64, u64, &'static str)> {
        if let Some(taken) = self.queue.takeover() {
            return Some((0, 0, taken.copied, taken.segment, "fsync"));
        }
        let found = self.recovered.as_ref()?;
        let Recovered {
            torn_bytes,
            dropped,
            copied,
            segment,
        } = **found;
        Some((torn_bytes, dropped, copied, segment, "unclean"))
    }

    /// `(next, [(is_fsync, seconds), ...])` behind number *since*.
    fn timings(&self, since: Option<u64>) -> (u64, Vec<(bool, f64)>) {
        let (next, found) = self.queue.timings(since);
        let told = |(work, took): &(Work, Duration)| (*work == Work::Fsync, took.as_secs_f64());
        (next, found.iter().map(told).collect())
    }

    /// What reads the records that opening looked at, once; `None` if they are too many to keep.
    fn take_reader(&self) -> Option<LogReader> {
        let reader = self.reader.lock().ok()?.take();
        reader.map(|reader| LogReader::from(*reader))
    }

    #[getter]
    fn seq(&self) -> u64 {
        self.queue.head()
    }

    #[getter]
    fn written_seq(&self) -> u64 {
        self.queue.written()
    }

    #[getter]
    fn durable_seq(&self) -> u64 {
        self.queue.durable()
    }

    /// From now on shows *post* each record as it is accepted: the fields that a reader tells.
    fn follow(&self, py: Python<'_>, post: Py<PyAny>) {
        let _ = self.follower.set(py, post);
    }

    #[allow(clippy::too_many_arguments)] // the fields of a record
    fn append(
        &self,
        py: Python<'_>,
        seq: u64,
        ts_us: u64,
        actor: Option<&str>,
        kind: &str,
        v: u16,
        cause: u64,
        payload: &[u8],
    ) -> PyResult<()> {
        let d = 0; // the queue knows
        self.accept(
            py,
            Record {
                seq,
                d,
                ts_us,
                actor,
                kind,
                v,
                cause,
                payload,
            },
        )
    }

    fn append_event<'py>(
        &self,
        event: &Bound<'py, PyAny>,
        ts_us: u64,
        cause: u64,
        actor: Option<Bound<'py, PyString>>,
        live: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let told = Told::of(event)?;
        let (seq, usual) = (self.queue.head() + 1, told.emitter.to_str()?);
        let named = actor.as_ref().map(|actor| actor.to_str()).transpose()?;
        self.accept(
            event.py(),
            Record {
                seq,
                d: 0, // the queue knows
                ts_us,
                actor: named.filter(|&named| named != usual),
                kind: told.kind.to_str()?,
                v: told.v,
                cause,
                payload: told.payload.as_bytes(),
            },
        )?;
        let actor = actor.unwrap_or(told.emitter);
        make(event.py())?.call1((seq, ts_us * 1000, cause, actor, event, told.payload, live))
    }

    #[pyo3(signature = (seq, who=None))]
    fn want_written(&self, py: Python<'_>, seq: u64, who: Who<'_>) -> PyResult<bool> {
        let who = waiter(who);
        // Without the interpreter: it may be written here, and a disk may be slow to take it.
        let there = py.detach(|| self.queue.want_written(seq, who));
        there.map_err(|failure| raise(py, &failure))
    }

    #[pyo3(signature = (seq, who=None))]
    fn want_durable(&self, py: Python<'_>, seq: u64, who: Who<'_>) -> PyResult<bool> {
        let who = waiter(who);
        let there = py.detach(|| self.queue.want_durable(seq, who));
        there.map_err(|failure| raise(py, &failure))
    }

    fn is_nearly_durable(&self, seq: u64) -> bool {
        self.queue.is_nearly_durable(seq)
    }

    #[pyo3(signature = (who=None))]
    fn want_room(&self, py: Python<'_>, who: Who<'_>) -> PyResult<bool> {
        let there = self.queue.want_room(waiter(who));
        there.map_err(|failure| raise(py, &failure))
    }

    fn block_written(&self, py: Python<'_>, timeout_s: f64) -> bool {
        let timeout = Duration::try_from_secs_f64(timeout_s).unwrap_or(Duration::MAX);
        py.detach(|| self.queue.block_written(timeout))
    }

    fn close(&self, why: &str, at_us: u64) -> bool {
        self.queue.close(why, at_us)
    }

    #[pyo3(signature = (who=None))]
    fn want_closed(&self, who: Who<'_>) -> bool {
        self.queue.want_closed(waiter(who))
    }

    fn failure(&self, py: Python<'_>) -> Option<PyErr> {
        self.queue.failure().map(|failure| raise(py, &failure))
    }
}

impl LogWriter {
    fn accept(&self, py: Python<'_>, mut record: Record<'_>) -> PyResult<()> {
        let follower = self.follower.get(py);
        let mut line = Vec::new();
        let done = self.queue.append(&record, follower.map(|_| &mut line));
        record.d = done.map_err(|failure| raise(py, &failure))?;
        if let Some(post) = follower {
            post.call1(py, fields(py, &record, record.payload, &line)?)?;
        }
        Ok(())
    }
}

/// What was found, if it is anything: most logs hold nothing of it.
fn worth_telling(found: Recovered) -> Option<Box<Recovered>> {
    let nothing = Recovered {
        segment: found.segment,
        ..Recovered::default()
    };
    (found != nothing).then(|| Box::new(found))
}

/// Whether *reader* needs its files no more, of which the opening cuts off what is void.
fn keeps_all(reader: &Reader) -> bool {
    let bytes: u64 = reader.files.iter().map(|file| file.size).sum();
    bytes <= KEEP_BYTES_MAX as u64
}

fn mode(durability: &str) -> PyResult<Durability> {
    match durability {
        "interval" => Ok(Durability::Interval),
        "group" => Ok(Durability::Group),
        "strict" => Ok(Durability::Strict),
        other => Err(PyValueError::new_err(format!(
            "durability {other:?} is none of interval, group, strict"
        ))),
    }
}
