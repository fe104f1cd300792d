//! The extension `tinyagent._alchemy`: translates between Python and the pure crates.
//!
//! # Layout
//!
//! - `log`: the writer, the scanner and recovery of `tinyagent-log`.
//! - `decode`: the stream decoders of `tinyagent-decode`.

use pyo3::prelude::*;

mod decode;
mod log;

#[pymodule]
fn _alchemy(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    log::register(module)?;
    decode::register(module)
}
