//! Tells the crates that this process is the child of another: they cannot ask at every step.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

#[pyfunction]
fn after_fork() {
    tinyagent_http::runtime::forked();
    tinyagent_log::queue::forked();
}

/// From now on a child process is told, before it runs anything else.
pub fn watch(py: Python<'_>) -> PyResult<()> {
    static WATCHED: PyOnceLock<()> = PyOnceLock::new();
    let watched = WATCHED.get_or_try_init(py, || {
        let os = py.import(intern!(py, "os"))?;
        if os.hasattr("register_at_fork")? {
            let in_child = PyDict::new(py);
            in_child.set_item("after_in_child", wrap_pyfunction!(after_fork, py)?)?;
            os.call_method("register_at_fork", (), Some(&in_child))?;
        }
        Ok(())
    });
    watched.copied()
}
