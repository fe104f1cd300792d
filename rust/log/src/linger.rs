//! Lines that nobody waits for linger for a moment, those of all logs of a process together: one
//! thread wakes for all of them and writes them, instead of one for each.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use crate::shared::Shared;

/// How long lines that nobody waits for gather in mode `interval`.
pub(crate) const LINGER: Duration = Duration::from_millis(1);

/// The thread, and the logs that it will write a part of.
pub(crate) struct Lingerer {
    pid: u32,
    logs: Mutex<Vec<Arc<Shared>>>,
    work: Condvar,
}

static CURRENT: Mutex<Option<Arc<Lingerer>>> = Mutex::new(None);

impl Lingerer {
    /// That of this process; a child process gets a new one. None if there is none at once: a lock
    /// that a child inherited may be locked for ever.
    pub fn current() -> Option<Arc<Lingerer>> {
        let mut current = match CURRENT.try_lock() {
            Ok(current) => current,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let pid = std::process::id();
        if current.as_ref().is_none_or(|it| it.pid != pid) {
            let made = Arc::new(Lingerer {
                pid,
                logs: Mutex::default(),
                work: Condvar::new(),
            });
            let its = made.clone();
            let named = thread::Builder::new().name("tinyagent-lines".to_owned());
            named.spawn(move || its.run()).ok()?;
            *current = Some(made);
        }
        current.clone()
    }

    /// Writes soon what *log* has queued; not while its state is locked.
    pub fn add(&self, log: Arc<Shared>) {
        let mut logs = self.lock();
        logs.push(log);
        if logs.len() == 1 {
            drop(logs);
            self.work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Shared>>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        loop {
            let logs = self.work.wait_while(self.lock(), |logs| logs.is_empty());
            drop(logs);
            thread::sleep(LINGER);
            for log in std::mem::take(&mut *self.lock()) {
                log.write_lingering();
            }
        }
    }
}
