//! The extension `tinyagent._alchemy`: translates between Python and the pure crates.
//!
//! # Layout
//!
//! - `log`: the writer, the scanner and recovery of `tinyagent-log`.
//! - `decode`: the stream decoders of `tinyagent-decode`.
//! - `http`: requests of `tinyagent-http`; `bell`: how event loops are woken.
//! - `digest`: hashes that go on.
//! - `fork`: how a child process learns that it is one.
//! - `stream`: the blocking call of the compatible API.

use pyo3::prelude::*;

mod bell;
mod decode;
mod digest;
mod fork;
mod http;
mod log;
mod stream;

#[pymodule]
fn _alchemy(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<bell::LoopBell>()?;
    module.add_class::<digest::Digest>()?;
    log::register(module)?;
    decode::register(module)?;
    http::register(module)?;
    stream::register(module)
}
