//! The blocking call of the compatible API under its documented name; it is made in Python.

use pyo3::prelude::*;

/// Adds the names of this file to the extension.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(openai_completions_stream, module)?)
}

/// Asks a model, returns a handle at once. See `_alchemy.pyi`.
#[pyfunction]
fn openai_completions_stream<'py>(
    py: Python<'py>,
    model: Bound<'py, PyAny>,
    context: Bound<'py, PyAny>,
    options: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let home = py.import("tinyagent._provider.handle")?;
    home.getattr("openai_completions_stream")?
        .call1((model, context, options))
}
