//! Stream decoders: translates `tinyagent-decode`, decides nothing.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use serde_json::{Number, Value};
use tinyagent_decode::answer::{Cost, Usage};
use tinyagent_decode::arguments::{Fault, Schemas};
use tinyagent_decode::{arguments, errors, partial, Answer, Api, Data, Op, Piece};

/// Adds the names of this file to the extension.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Decoder>()?;
    module.add_function(wrap_pyfunction!(parse_partial, module)?)?;
    module.add_function(wrap_pyfunction!(classify_error, module)?)?;
    module.add_function(wrap_pyfunction!(check_arguments, module)?)
}

/// One answer's bytes in, its pieces out. See `_alchemy.pyi`.
#[pyclass(module = "tinyagent._alchemy")]
struct Decoder {
    inner: tinyagent_decode::Decoder,
}

#[pymethods]
impl Decoder {
    #[new]
    fn new(api: &str) -> PyResult<Self> {
        let known = Api::named(api).ok_or_else(|| {
            let names = Api::ALL.map(|(name, _)| name).join(", ");
            PyValueError::new_err(format!("no decoder for api {api:?} (known: {names})"))
        })?;
        Ok(Decoder {
            inner: tinyagent_decode::Decoder::new(known),
        })
    }

    fn feed<'py>(&mut self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyList>> {
        pieces(py, self.inner.feed(data))
    }

    fn close<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        pieces(py, self.inner.close())
    }

    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let rest = self.inner.close();
        let dict = answer(py, self.inner.finish())?;
        dict.set_item("pieces", pieces(py, rest)?)?;
        dict.set_item("usage_raw", self.inner.usage_raw())?;
        Ok(dict)
    }

    #[getter]
    fn done(&self) -> bool {
        self.inner.is_done()
    }
}

/// Parses JSON text that may be cut off anywhere. See `_alchemy.pyi`.
#[pyfunction]
fn parse_partial<'py>(py: Python<'py>, text: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    partial::parse(text)
        .map(|value| to_python(py, &value))
        .transpose()
}

/// Says what an HTTP error answer means. See `_alchemy.pyi`.
#[pyfunction]
#[pyo3(signature = (api, status, headers, body, /))]
fn classify_error<'py>(
    py: Python<'py>,
    api: &str,
    status: u16,
    headers: &Bound<'py, PyAny>,
    body: &[u8],
) -> PyResult<Bound<'py, PyDict>> {
    // Reserved: so far the bodies themselves say which provider's they are.
    let _ = api;
    let found = errors::classify(status, &pairs(headers)?, body);
    let dict = PyDict::new(py);
    let overflow = found.failure.kind == tinyagent_decode::Kind::Overflow;
    dict.set_item("kind", found.failure.kind.word())?;
    dict.set_item("message", found.failure.message)?;
    dict.set_item("overflow", overflow)?;
    dict.set_item("retry_after_s", found.retry_after_s)?;
    dict.set_item("retryable", found.retryable)?;
    Ok(dict)
}

/// Compiled schemas, for the process: compiling one costs a hundred checks.
static SCHEMAS: Mutex<Option<Schemas>> = Mutex::new(None);
const SCHEMAS_MAX: usize = 256;

/// Says what is wrong with a call's arguments. See `_alchemy.pyi`.
#[pyfunction]
#[pyo3(signature = (schema_json, arguments_json, /))]
fn check_arguments(
    py: Python<'_>,
    schema_json: &[u8],
    arguments_json: &[u8],
) -> PyResult<Vec<Fault>> {
    py.detach(|| {
        // The lock is not held while arguments are checked. A panic while it was held left no
        // half-made entry behind.
        let mut known = SCHEMAS.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_with(|| Schemas::new(SCHEMAS_MAX));
        known.get(schema_json)
    })
    .map(|schema| py.detach(|| arguments::check(&schema, arguments_json)))
    .map_err(|broken| PyValueError::new_err(broken.to_string()))
}

/// The headers of a mapping, or of pairs.
fn pairs(headers: &Bound<'_, PyAny>) -> PyResult<Vec<(String, String)>> {
    let items = match headers.hasattr(intern!(headers.py(), "items"))? {
        true => headers.call_method0(intern!(headers.py(), "items"))?,
        false => headers.clone(),
    };
    items.try_iter()?.map(|pair| pair?.extract()).collect()
}

/// How an answer ended, without its last pieces, and the usage as it was sent.
pub(crate) fn answer(py: Python<'_>, answer: Answer) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item(
        intern!(py, "reason"),
        answer.reason.map(|it| PyString::intern(py, it.word())),
    )?;
    dict.set_item(intern!(py, "raw_reason"), answer.raw_reason)?;
    dict.set_item(
        intern!(py, "usage"),
        answer.usage.map(|it| usage(py, it)).transpose()?,
    )?;
    dict.set_item(intern!(py, "response"), answer.response)?;
    let failure = answer.failure.map(|it| (it.kind.word(), it.message));
    dict.set_item(intern!(py, "failure"), failure)?;
    dict.set_item(intern!(py, "bad_calls"), answer.bad_calls)?;
    dict.set_item(intern!(py, "unterminated"), answer.unterminated)?;
    Ok(dict)
}

fn pieces(py: Python<'_>, pieces: Vec<Piece>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for piece in pieces {
        list.append((piece.block, word(py, piece.op), data(py, piece.data)?))?;
    }
    Ok(list)
}

/// What a piece carries.
pub(crate) fn data(py: Python<'_>, data: Data) -> PyResult<Bound<'_, PyAny>> {
    Ok(match data {
        Data::Text(text) => PyString::new(py, &text).into_any(),
        Data::Json(value) => to_python(py, &value)?,
        Data::Call { id, name } => {
            let dict = PyDict::new(py);
            dict.set_item(intern!(py, "id"), id)?;
            dict.set_item(intern!(py, "name"), name)?;
            dict.into_any()
        }
    })
}

/// The word for what a piece does.
pub(crate) fn word(py: Python<'_>, op: Op) -> &Bound<'_, PyString> {
    match op {
        Op::Text => intern!(py, "text"),
        Op::Think => intern!(py, "think"),
        Op::Refuse => intern!(py, "refuse"),
        Op::Call => intern!(py, "call"),
        Op::Args => intern!(py, "args"),
        Op::Sign => intern!(py, "sign"),
        Op::Keep => intern!(py, "keep"),
    }
}

fn usage(py: Python<'_>, usage: Usage) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item(intern!(py, "input"), usage.input)?;
    dict.set_item(intern!(py, "output"), usage.output)?;
    dict.set_item(intern!(py, "cache_read"), usage.cache_read)?;
    dict.set_item(intern!(py, "cache_write"), usage.cache_write)?;
    dict.set_item(intern!(py, "total"), usage.total)?;
    if let Some(reasoning) = usage.reasoning {
        dict.set_item(intern!(py, "reasoning"), reasoning)?;
    }
    if let Some(known) = usage.cost {
        dict.set_item(intern!(py, "cost"), cost(py, known)?)?;
    }
    Ok(dict)
}

fn cost(py: Python<'_>, cost: Cost) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for (key, amount) in [
        ("input", cost.input),
        ("output", cost.output),
        ("total", cost.total),
    ] {
        if let Some(amount) = amount {
            dict.set_item(key, amount)?;
        }
    }
    Ok(dict)
}

fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(yes) => yes.into_pyobject(py)?.to_owned().into_any(),
        Value::Number(number) => number_to_python(py, number)?,
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(to_python(py, item)?)?;
            }
            list.into_any()
        }
        Value::Object(fields) => {
            let dict = PyDict::new(py);
            for (key, item) in fields {
                dict.set_item(key, to_python(py, item)?)?;
            }
            dict.into_any()
        }
    })
}

fn number_to_python<'py>(py: Python<'py>, number: &Number) -> PyResult<Bound<'py, PyAny>> {
    if let Some(whole) = number.as_i64() {
        return Ok(whole.into_pyobject(py)?.into_any());
    }
    if let Some(whole) = number.as_u64() {
        return Ok(whole.into_pyobject(py)?.into_any());
    }
    Ok(number.as_f64().into_pyobject(py)?.into_any())
}
