//! Wakes event loops: one thread for the process, which alone waits for the interpreter.
//!
//! The runtime's thread never does, or one busy program would hold up every connection. What
//! rings while this thread waits is delivered together: one call per event loop.

use std::process;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use pyo3::intern;
use pyo3::prelude::*;

/// A future that somebody awaits, and the loop that it belongs to.
pub struct Ring {
    pub event_loop: Py<PyAny>,
    pub future: Py<PyAny>,
}

/// Where rings go. From any thread; never waits.
#[derive(Clone)]
pub struct Bell(Sender<Ring>);

impl Bell {
    pub fn ring(&self, ring: Ring) {
        // The thread ends with the interpreter: then nobody waits any more.
        let _ = self.0.send(ring);
    }
}

struct Current {
    pid: u32,
    bell: Bell,
    /// Closed before the interpreter ends: a thread that waits for it then never returns, or is
    /// unwound by force. Held while the thread is in the interpreter, or waits for it.
    gate: Arc<Mutex<bool>>,
}

/// Taken with the interpreter held, which whoever forks holds too: never locked in a new child.
static CURRENT: Mutex<Option<Current>> = Mutex::new(None);

/// The bell of this process; a child process gets a new one.
pub fn current(py: Python<'_>) -> PyResult<Bell> {
    let pid = process::id();
    {
        let current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = current.as_ref().filter(|known| known.pid == pid) {
            return Ok(known.bell.clone());
        }
    }
    // Outside the lock: importing may run other Python code.
    let close = wrap_pyfunction!(close_gate, py)?;
    py.import(intern!(py, "atexit"))?
        .call_method1(intern!(py, "register"), (close,))?;
    let (sender, receiver) = channel();
    let gate = Arc::new(Mutex::new(true));
    let held = gate.clone();
    thread::Builder::new()
        .name("tinyagent-bell".to_owned())
        .spawn(move || listen(&receiver, &held))?;
    let bell = Bell(sender);
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    *current = Some(Current {
        pid,
        bell: bell.clone(),
        gate,
    });
    Ok(bell)
}

#[pyfunction]
fn close_gate(py: Python<'_>) {
    let gate = {
        let current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        let here = current.as_ref().filter(|it| it.pid == process::id());
        here.map(|it| it.gate.clone())
    };
    if let Some(gate) = gate {
        py.detach(|| *gate.lock().unwrap_or_else(PoisonError::into_inner) = false);
    }
}

fn listen(receiver: &Receiver<Ring>, gate: &Mutex<bool>) {
    while let Ok(first) = receiver.recv() {
        let is_open = gate.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_open {
            std::mem::forget(first);
            return;
        }
        let _ = Python::try_attach(|py| deliver(py, first, receiver));
    }
}

fn deliver(py: Python<'_>, first: Ring, receiver: &Receiver<Ring>) {
    let mut loops: Vec<(Py<PyAny>, Vec<Py<PyAny>>)> = Vec::new();
    for ring in std::iter::once(first).chain(receiver.try_iter()) {
        match loops
            .iter_mut()
            .find(|(known, _)| known.is(&ring.event_loop))
        {
            Some((_, futures)) => futures.push(ring.future),
            None => loops.push((ring.event_loop, vec![ring.future])),
        }
    }
    for (event_loop, futures) in loops {
        let called = wrap_pyfunction!(settle, py).and_then(|settle| {
            let name = intern!(py, "call_soon_threadsafe");
            event_loop.call_method1(py, name, (settle, futures))
        });
        // The loop was closed meanwhile: nobody waits there any more.
        drop(called);
    }
}

/// Wakes who awaits *futures*. In their loop.
#[pyfunction]
fn settle(py: Python<'_>, futures: Vec<Bound<'_, PyAny>>) -> PyResult<()> {
    for future in futures {
        // Done if it was cancelled.
        if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
            future.call_method1(intern!(py, "set_result"), (py.None(),))?;
        }
    }
    Ok(())
}
