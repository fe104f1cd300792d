//! Wakes event loops without the interpreter: a file that the loop watches can be read.
//!
//! Threads that ring never wait for the interpreter, or one busy program would hold up every
//! connection. What rings before the loop looks is taken with one look. A loop that can watch no
//! socket is called by a thread of its own, which alone waits for the interpreter.

use std::io::{self, Read, Write};
use std::process;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use pyo3::exceptions::PyNotImplementedError;
use pyo3::intern;
use pyo3::prelude::*;
use tinyagent_log::queue::Waiter;

/// Two ends of one counter: a system call on it takes half as long as one on a socket.
#[cfg(target_os = "linux")]
type Pair = (std::fs::File, std::fs::File);
#[cfg(all(unix, not(target_os = "linux")))]
type Pair = (
    std::os::unix::net::UnixStream,
    std::os::unix::net::UnixStream,
);
/// There is none: loops of other systems watch sockets of their own kind only.
#[cfg(not(unix))]
type Pair = (std::net::TcpStream, std::net::TcpStream);

/// The bell of one event loop. See `_alchemy.pyi`.
#[pyclass(module = "tinyagent._alchemy", frozen)]
pub struct LoopBell(pub Arc<Bell>);

/// Takes what has come, in the loop.
pub trait Look: Send + Sync {
    /// Has the interpreter.
    fn look(&self, py: Python<'_>) -> PyResult<()>;
}

/// Who is woken.
pub enum Woken {
    /// Gets its result.
    Future(Py<PyAny>),
    /// Looks what there is.
    Look(Arc<dyn Look>),
}

/// A future that is woken in its loop.
pub type Who<'py> = Option<(PyRef<'py, LoopBell>, Py<PyAny>)>;

struct Sleeper(Arc<Bell>, Py<PyAny>);

impl Waiter for Sleeper {
    fn wake(self: Box<Self>) {
        self.0.ring(Woken::Future(self.1));
    }
}

/// Wakes that future when a log gets on.
pub fn waiter(who: Who<'_>) -> Option<Box<dyn Waiter>> {
    let (bell, future) = who?;
    Some(Box::new(Sleeper(bell.0.clone(), future)))
}

/// Where those of one loop wait to be woken there.
pub struct Bell {
    rung: Mutex<Rung>,
    way: Way,
}

#[derive(Default)]
struct Rung {
    woken: Vec<Woken>,
    /// The loop knows already that it is to look.
    is_told: bool,
}

enum Way {
    /// Mouth and ear.
    Watched(Pair),
    Call(Py<PyAny>, Sender<Arc<Bell>>),
}

/// What a counter is raised by; of a socket it is eight bytes.
const RING: [u8; 8] = 1_u64.to_ne_bytes();

/// Nothing panics under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bell {
    /// Wakes *woken* in the loop. From any thread; never waits.
    pub fn ring(self: &Arc<Self>, woken: Woken) {
        self.add(woken);
        self.tell();
    }

    /// Lets *woken* be woken with the next that is.
    pub fn add(&self, woken: Woken) {
        lock(&self.rung).woken.push(woken);
    }

    /// Wakes all that were added, unless the loop is awake and has taken them.
    pub fn tell(self: &Arc<Self>) {
        let mut rung = lock(&self.rung);
        if rung.woken.is_empty() || std::mem::replace(&mut rung.is_told, true) {
            return;
        }
        drop(rung);
        // Nobody hears it if the loop is closed, or the interpreter has ended: nobody waits then.
        match &self.way {
            Way::Watched((mouth, _)) => drop((&*mouth).write(&RING)),
            Way::Call(_, caller) => drop(caller.send(self.clone())),
        }
    }
}

#[pymethods]
impl LoopBell {
    #[new]
    #[pyo3(signature = (event_loop=None))]
    fn new(py: Python<'_>, event_loop: Option<Py<PyAny>>) -> PyResult<Self> {
        let way = match event_loop {
            Some(event_loop) => Way::Call(event_loop, caller(py)?),
            None => Way::Watched(pair()?),
        };
        let rung = Mutex::default();
        Ok(LoopBell(Arc::new(Bell { rung, way })))
    }

    fn fileno(&self) -> PyResult<i32> {
        match &self.0.way {
            #[cfg(unix)]
            Way::Watched((_, ear)) => Ok(std::os::fd::AsRawFd::as_raw_fd(ear)),
            _ => Err(PyNotImplementedError::new_err("nothing to watch")),
        }
    }

    fn take(&self, py: Python<'_>) -> PyResult<()> {
        if let Way::Watched((_, ear)) = &self.0.way {
            let _ = (&*ear).read(&mut [0; 8]);
        }
        // Only now: who rings from here on tells again.
        let mut rung = std::mem::take(&mut *lock(&self.0.rung)).woken.into_iter();
        while let Some(woken) = rung.next() {
            if let Err(error) = wake(py, &woken) {
                rung.for_each(|other| self.0.ring(other));
                return Err(error);
            }
        }
        Ok(())
    }
}

fn wake(py: Python<'_>, woken: &Woken) -> PyResult<()> {
    match woken {
        Woken::Look(it) => it.look(py)?,
        Woken::Future(future) => {
            // Done if it was cancelled.
            let done = future.call_method0(py, intern!(py, "done"))?;
            if !done.is_truthy(py)? {
                future.call_method1(py, intern!(py, "set_result"), (py.None(),))?;
            }
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn pair() -> io::Result<Pair> {
    use rustix::event::{eventfd, EventfdFlags};
    let ear = std::fs::File::from(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    Ok((ear.try_clone()?, ear))
}

#[cfg(all(unix, not(target_os = "linux")))]
fn pair() -> io::Result<Pair> {
    let (mouth, ear) = std::os::unix::net::UnixStream::pair()?;
    mouth.set_nonblocking(true)?;
    ear.set_nonblocking(true)?;
    Ok((mouth, ear))
}

#[cfg(not(unix))]
fn pair() -> io::Result<Pair> {
    Err(io::ErrorKind::Unsupported.into())
}

struct Caller {
    pid: u32,
    sender: Sender<Arc<Bell>>,
    /// Closed before the interpreter ends: a thread that waits for it then never returns, or is
    /// unwound by force. Held while the thread is in the interpreter, or waits for it.
    gate: Arc<Mutex<bool>>,
}

/// Taken with the interpreter held, which whoever forks holds too: never locked in a new child.
static CALLER: Mutex<Option<Caller>> = Mutex::new(None);

/// The thread of this process that calls loops; a child process gets a new one.
fn caller(py: Python<'_>) -> PyResult<Sender<Arc<Bell>>> {
    let pid = process::id();
    if let Some(known) = lock(&CALLER).as_ref().filter(|known| known.pid == pid) {
        return Ok(known.sender.clone());
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
    *lock(&CALLER) = Some(Caller {
        pid,
        sender: sender.clone(),
        gate,
    });
    Ok(sender)
}

#[pyfunction]
fn close_gate(py: Python<'_>) {
    let here = lock(&CALLER)
        .as_ref()
        .filter(|it| it.pid == process::id())
        .map(|it| it.gate.clone());
    if let Some(gate) = here {
        py.detach(|| *lock(&gate) = false);
    }
}

fn listen(receiver: &Receiver<Arc<Bell>>, gate: &Mutex<bool>) {
    while let Ok(bell) = receiver.recv() {
        let is_open = lock(gate);
        if !*is_open {
            std::mem::forget(bell);
            return;
        }
        let _ = Python::try_attach(|py| call(py, bell));
    }
}

fn call(py: Python<'_>, bell: Arc<Bell>) -> PyResult<()> {
    let Way::Call(event_loop, _) = &bell.way else {
        return Ok(());
    };
    let take = Bound::new(py, LoopBell(bell.clone()))?.getattr(intern!(py, "take"))?;
    // Fails if the loop was closed meanwhile: nobody waits there any more.
    event_loop.call_method1(py, intern!(py, "call_soon_threadsafe"), (take,))?;
    Ok(())
}
