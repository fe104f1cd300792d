//! Requests over HTTP: translates `tinyagent-http`, decides nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use tinyagent_decode::Api;
use tinyagent_http::{Exchange, Limits, News, Request, Runtime, Settings, Timed};

use crate::bell::{LoopBell, Woken};
use crate::decode;

create_exception!(tinyagent._alchemy, HttpFault, PyException);

/// Adds the names of this file to the extension.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("HttpFault", module.py().get_type::<HttpFault>())?;
    module.add_class::<HttpPool>()?;
    module.add_class::<HttpExchange>()
}

/// Connections under one set of settings. See `_alchemy.pyi`.
#[pyclass(module = "tinyagent._alchemy", frozen)]
struct HttpPool {
    settings: Settings,
}

#[pymethods]
impl HttpPool {
    #[new]
    #[pyo3(signature = (*, http_proxy="", https_proxy="", all_proxy="", no_proxy="", cert_file=None, cert_dir=None))]
    fn new(
        http_proxy: &str,
        https_proxy: &str,
        all_proxy: &str,
        no_proxy: &str,
        cert_file: Option<PathBuf>,
        cert_dir: Option<PathBuf>,
    ) -> Self {
        HttpPool {
            settings: Settings {
                http_proxy: http_proxy.to_owned(),
                https_proxy: https_proxy.to_owned(),
                all_proxy: all_proxy.to_owned(),
                no_proxy: no_proxy.to_owned(),
                cert_file,
                cert_dir,
            },
        }
    }

    fn open(
        &self,
        api: &str,
        url: String,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        limits_s: (f64, f64, f64, f64),
    ) -> PyResult<HttpExchange> {
        let known = Api::named(api)
            .ok_or_else(|| PyValueError::new_err(format!("unsupported api `{api}`")))?;
        let limit =
            |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4);
        let request = Request {
            api: known,
            url,
            headers,
            body,
            limits: Limits {
                connect: limit(limits_s.0),
                first_byte: limit(limits_s.1),
                read: limit(limits_s.2),
                error_body: limit(limits_s.3),
            },
        };
        let runtime = Runtime::current().map_err(|error| PyOSError::new_err(error.to_string()))?;
        let pool = runtime.pool(&self.settings);
        Ok(HttpExchange {
            inner: Exchange::open(runtime, pool, request),
        })
    }
}

/// One request under way. See `_alchemy.pyi`.
#[pyclass(module = "tinyagent._alchemy", frozen)]
struct HttpExchange {
    inner: Exchange,
}

#[pymethods]
impl HttpExchange {
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(match self.inner.take() {
            News::None => None,
            News::End => Some(PyList::empty(py).into_any()),
            News::Pieces(pieces) => Some(timed(py, pieces)?.into_any()),
            News::Head(head) => {
                let error = head.error_body.map(|body| PyBytes::new(py, &body));
                let head = (head.status, head.headers, error);
                Some(head.into_pyobject(py)?.into_any())
            }
            News::Fault(fault) => {
                let args = (fault.word(), fault.why().to_owned());
                return Err(HttpFault::new_err(args));
            }
        })
    }

    fn listen(&self, bell: &LoopBell, call: Py<PyAny>) {
        let (bell, call) = (bell.0.clone(), Arc::new(call));
        let wake = move || bell.ring(Woken::Call(call.clone()));
        self.inner.listen(Some(Arc::new(wake)));
    }

    fn unlisten(&self) {
        self.inner.listen(None);
    }

    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        decode::answer(py, py.detach(|| self.inner.finish()))
    }

    fn close(&self) {
        self.inner.close();
    }
}

fn timed(py: Python<'_>, pieces: Vec<Timed>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for Timed { piece, gap_us } in pieces {
        let data = decode::data(py, piece.data)?;
        list.append((piece.block, decode::word(py, piece.op), data, gap_us))?;
    }
    Ok(list)
}
