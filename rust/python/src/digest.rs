//! SHA-256 as events and requests are told apart by it.

use pyo3::prelude::*;
use sha2::{Digest as _, Sha256};

/// The hash of what was taken so far. See `_alchemy.pyi`.
#[pyclass(module = "tinyagent._alchemy")]
pub struct Digest {
    inner: Sha256,
}

#[pymethods]
impl Digest {
    #[new]
    fn new(data: &[u8]) -> Self {
        Digest {
            inner: Sha256::new_with_prefix(data),
        }
    }

    fn take(&mut self, data: &[u8]) {
        self.inner.update(data);
    }

    #[pyo3(signature = (more=&b""[..], /))]
    fn told(&self, more: &[u8]) -> String {
        let hash = self.inner.clone().chain_update(more).finalize();
        let first = hash.first_chunk().copied().unwrap_or_default();
        format!("{:016x}", u64::from_be_bytes(first))
    }
}
