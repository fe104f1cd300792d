//! Requests over HTTP: translates `tinyagent-http`, decides nothing.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyOSError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use tinyagent_decode::{Api, Data, Op, Piece};
use tinyagent_http::{
    Behind, Exchange, Limits, News, Request, Runtime, Settings, Target, Timed, Wake,
};

use crate::bell::{Bell, Look, LoopBell, Woken};
use crate::{decode, fork};

create_exception!(tinyagent._alchemy, HttpFault, PyException);

/// Adds the names of this file to the extension.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("HttpFault", module.py().get_type::<HttpFault>())?;
    module.add_class::<HttpPool>()?;
    module.add_class::<HttpTarget>()?;
    module.add_class::<HttpExchange>()
}

/// Connections under one set of settings. See `_alchemy.pyi`.
#[pyclass(module = "tinyagent._alchemy", frozen)]
struct HttpPool {
    settings: Arc<Settings>,
}

#[pymethods]
impl HttpPool {
    #[new]
    #[pyo3(signature = (*, http_proxy="", https_proxy="", all_proxy="", no_proxy="", cert_file=None, cert_dir=None))]
    fn new(
        py: Python<'_>,
        http_proxy: &str,
        https_proxy: &str,
        all_proxy: &str,
        no_proxy: &str,
        cert_file: Option<PathBuf>,
        cert_dir: Option<PathBuf>,
    ) -> PyResult<Self> {
        fork::watch(py)?;
        let settings = Settings {
            http_proxy: http_proxy.to_owned(),
            https_proxy: https_proxy.to_owned(),
            all_proxy: all_proxy.to_owned(),
            no_proxy: no_proxy.to_owned(),
            cert_file,
            cert_dir,
        };
        if let Some(name) = settings.bad_proxy() {
            let wanted = "is no proxy's URL (http, https, socks5, socks5h)";
            return Err(PyValueError::new_err(format!("{name} {wanted}")));
        }
        Ok(HttpPool {
            settings: Arc::new(settings),
        })
    }

    fn target(
        &self,
        api: &str,
        url: &str,
        headers: Vec<(String, String)>,
        limits_s: (f64, f64, f64, f64),
    ) -> PyResult<HttpTarget> {
        let known = Api::named(api)
            .ok_or_else(|| PyValueError::new_err(format!("unsupported api `{api}`")))?;
        let limit =
            |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4);
        let limits = Limits {
            connect: limit(limits_s.0),
            first_byte: limit(limits_s.1),
            read: limit(limits_s.2),
            error_body: limit(limits_s.3),
        };
        Ok(HttpTarget {
            settings: self.settings.clone(),
            target: Arc::new(Target::new(known, url, &headers, limits)),
        })
    }
}

/// Where requests go. See `_alchemy.pyi`.
#[pyclass(module = "tinyagent._alchemy", frozen)]
struct HttpTarget {
    settings: Arc<Settings>,
    target: Arc<Target>,
}

#[pymethods]
impl HttpTarget {
    fn open(
        &self,
        py: Python<'_>,
        body: &[u8],
        bell: &LoopBell,
        hear: Option<Py<PyAny>>,
        heard: Py<PyAny>,
    ) -> PyResult<HttpExchange> {
        let request = Request {
            target: self.target.clone(),
            body: body.to_vec(),
        };
        let runtime = Runtime::current().map_err(|error| PyOSError::new_err(error.to_string()))?;
        let pool = runtime.pool(&self.settings);
        let exchange = HttpExchange {
            inner: Arc::new(Exchange::open(runtime, pool, request)),
            status: Arc::default(),
        };
        exchange.listen(py, bell, hear, heard)?;
        Ok(exchange)
    }
}

/// One request under way. See `_alchemy.pyi`.
#[pyclass(module = "tinyagent._alchemy", frozen)]
struct HttpExchange {
    inner: Arc<Exchange>,
    status: Arc<AtomicU16>,
}

#[pymethods]
impl HttpExchange {
    fn listen(
        &self,
        py: Python<'_>,
        bell: &LoopBell,
        hear: Option<Py<PyAny>>,
        heard: Py<PyAny>,
    ) -> PyResult<()> {
        let ear = Arc::new(Ear {
            exchange: Arc::downgrade(&self.inner),
            status: self.status.clone(),
            hear,
            heard,
        });
        self.inner.listen(Some(Arc::new(Waiting {
            bell: bell.0.clone(),
            ear: ear.clone(),
        })));
        ear.look(py)
    }

    fn unlisten(&self) {
        self.inner.listen(None);
    }

    #[getter]
    fn status(&self) -> u16 {
        self.status.load(Ordering::Relaxed)
    }

    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        decode::answer(py, py.detach(|| self.inner.finish()))
    }

    fn close(&self) {
        self.inner.close();
    }
}

/// Who hears what an exchange says, until the future has something.
struct Ear {
    exchange: Weak<Exchange>,
    status: Arc<AtomicU16>,
    hear: Option<Py<PyAny>>,
    heard: Py<PyAny>,
}

impl Look for Ear {
    /// Lets all that has come be heard. With the last of it the bell is ready to ring again.
    fn look(&self, py: Python<'_>) -> PyResult<()> {
        let heard = self.heard.bind(py);
        while !heard.call_method0(intern!(py, "done"))?.is_truthy()? {
            let Some(exchange) = self.exchange.upgrade() else {
                return Ok(());
            };
            let said = match exchange.take() {
                News::None => return Ok(()),
                News::End => Ok(py.None().into_bound(py)),
                News::Head(head) => {
                    self.status.store(head.status, Ordering::Relaxed);
                    if self.hear.is_some() && head.error_body.is_none() {
                        continue;
                    }
                    let error = head.error_body.map(|body| PyBytes::new(py, &body));
                    let head = (head.status, head.headers, error);
                    Ok(head.into_pyobject(py)?.into_any())
                }
                News::Pieces(pieces, behind) => match &self.hear {
                    None => Ok(timed(py, pieces, false)?.into_any()),
                    Some(_) if behind == Behind::End => Ok(timed(py, pieces, true)?.into_any()),
                    Some(hear) => match hear.bind(py).call1((timed(py, pieces, true)?,)) {
                        Ok(said) if said.is_none() => match behind {
                            Behind::None => return Ok(()),
                            _ => continue,
                        },
                        said => said,
                    },
                },
                News::Fault(fault) => {
                    Err(HttpFault::new_err((fault.word(), fault.why().to_owned())))
                }
            };
            exchange.listen(None);
            settle(heard, said)?;
        }
        Ok(())
    }
}

/// Who listens, and the bell that wakes them: apart, as what waits for a bell must not keep it.
struct Waiting {
    bell: Arc<Bell>,
    ear: Arc<Ear>,
}

impl Wake for Waiting {
    fn wait(&self) {
        self.bell.add(Woken::Look(self.ear.clone()));
    }

    fn ring(&self) {
        self.bell.tell();
    }
}

/// Gives *future* what was *said*, unless it was cancelled meanwhile. What is no `Exception` is the
/// loop's to know.
fn settle(future: &Bound<'_, PyAny>, said: PyResult<Bound<'_, PyAny>>) -> PyResult<()> {
    let py = future.py();
    let (method, said) = match said {
        Ok(said) => (intern!(py, "set_result"), said),
        Err(error) if error.is_instance_of::<PyException>(py) => (
            intern!(py, "set_exception"),
            error.into_value(py).into_bound(py).into_any(),
        ),
        Err(error) => return Err(error),
    };
    if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
        future.call_method1(method, (said,))?;
    }
    Ok(())
}

/// Pieces as Python has them. *in_runs*: as they go on record, where what a block says in one
/// operation, part after part, is one piece, with the gap and the characters of each part.
fn timed(py: Python<'_>, pieces: Vec<Timed>, in_runs: bool) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    let mut pieces = pieces.into_iter().peekable();
    while let Some(Timed { piece, gap_us }) = pieces.next() {
        let Piece { block, op, data } = piece;
        let goes_on = |next: &Timed| next.piece.block == block && next.piece.op == op;
        let is_run = in_runs
            && matches!(op, Op::Text | Op::Think | Op::Refuse | Op::Args)
            && pieces.peek().is_some_and(goes_on);
        let word = decode::word(py, op);
        match data {
            Data::Text(mut text) if is_run => {
                let (mut gaps_us, mut lengths) = (vec![gap_us], vec![text.chars().count()]);
                while let Some(next) = pieces.next_if(goes_on) {
                    if let Data::Text(part) = next.piece.data {
                        gaps_us.push(next.gap_us);
                        lengths.push(part.chars().count());
                        text.push_str(&part);
                    }
                }
                list.append((block, word, text, gaps_us, lengths))?;
            }
            data => list.append((block, word, decode::data(py, data)?, gap_us))?,
        }
    }
    Ok(list)
}
