use pyo3::prelude::*;

/// Adds the names of this file to the extension.
pub fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
