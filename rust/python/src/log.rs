//! The log for Python: a writer, a reader, and lines. Only translates.

use std::path::Path;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tinyagent_log::checksum::LogId;
use tinyagent_log::failure::Failure;
use tinyagent_log::lock::Holder;

mod chain;
mod events;
mod lines;
mod reader;
mod repair;
mod writer;

/// Adds the names of this file to the extension.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<writer::LogWriter>()?;
    module.add_class::<reader::LogReader>()?;
    module.add_function(wrap_pyfunction!(chain::chain_origin, module)?)?;
    module.add_function(wrap_pyfunction!(chain::chain_over, module)?)?;
    module.add_function(wrap_pyfunction!(chain::line_under, module)?)?;
    module.add_function(wrap_pyfunction!(chain::public_key, module)?)?;
    module.add_function(wrap_pyfunction!(chain::sign_head, module)?)?;
    module.add_function(wrap_pyfunction!(repair::verify_log, module)?)?;
    module.add_function(wrap_pyfunction!(repair::salvage_log, module)?)?;
    module.add_function(wrap_pyfunction!(repair::archive_log, module)?)?;
    module.add_function(wrap_pyfunction!(repair::prune_log, module)?)?;
    module.add_function(wrap_pyfunction!(repair::detach_log, module)?)?;
    module.add_function(wrap_pyfunction!(repair::unpack_archive, module)?)?;
    module.add_function(wrap_pyfunction!(repair::write_folder, module)?)?;
    module.add_function(wrap_pyfunction!(repair::write_atomically, module)?)?;
    module.add_function(wrap_pyfunction!(lines::crc32c, module)?)?;
    module.add_function(wrap_pyfunction!(lines::line, module)?)?;
    module.add_function(wrap_pyfunction!(lines::header_line, module)?)?;
    module.add_function(wrap_pyfunction!(lines::seal_line, module)?)?;
    module.add_function(wrap_pyfunction!(lines::take_out_blobs, module)?)?;
    module.add_function(wrap_pyfunction!(lines::write_packed, module)?)?;
    module.add_function(wrap_pyfunction!(lines::fresh_id, module)?)
}

/// The exception of `tinyagent.runtime.errors` that says the same.
fn raise(py: Python<'_>, failure: &Failure) -> PyErr {
    let name = match failure {
        Failure::NotFound(_) => "LogNotFoundError",
        Failure::Owned(_) => "LogOwnedError",
        Failure::Fenced(_) => "LogFencedError",
        Failure::Version(_) => "LogVersionError",
        Failure::Corrupt(..) => "CorruptLogError",
        Failure::Full(_) => "LogFullError",
        Failure::Failed(..) => "LogFailedError",
        Failure::Closed(_) => "LogClosedError",
        Failure::Behind(_) => "LogBehindError",
        Failure::Limit(_) => "LogLimitError",
        Failure::OutOfOrder(..) => "OutOfOrderError",
        Failure::Forked(_) => "ForkedProcessError",
        Failure::Invalid(what) => return PyValueError::new_err(what.clone()),
    };
    let make = || -> PyResult<Bound<'_, PyAny>> {
        let class = py.import("tinyagent.runtime.errors")?.getattr(name)?;
        let named = PyDict::new(py);
        match failure {
            Failure::Corrupt(what, path, seq, offset) => {
                named.set_item("path", path)?;
                named.set_item("seq", seq)?;
                named.set_item("offset", offset)?;
                class.call((what,), Some(&named))
            }
            Failure::Failed(what, durable) => {
                named.set_item("durable_seq", durable)?;
                class.call((what,), Some(&named))
            }
            Failure::OutOfOrder(path, seq, next) => class.call1((path, seq, next)),
            other => class.call1((other.to_string(),)),
        }
    };
    make().map_or_else(|error| error, PyErr::from_value)
}

fn id(hex: &str) -> PyResult<LogId> {
    LogId::parse(hex.as_bytes()).ok_or_else(|| {
        PyValueError::new_err(format!(
            "log id {hex:?} is not 32 lower-case hexadecimal digits"
        ))
    })
}

/// Who writes: this process.
fn holder() -> Holder {
    let read = |name: &str| std::fs::read_to_string(Path::new("/proc/sys/kernel").join(name));
    let text = |name: &str| read(name).unwrap_or_default().trim().to_owned();
    Holder {
        pid: std::process::id(),
        host: text("hostname"),
        boot: text("random/boot_id"),
        ..Holder::default()
    }
}
