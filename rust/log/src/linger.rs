//! Lines that nobody waits for linger for a moment, those of all logs of a process together: one
//! thread wakes for all of them and writes them, instead of one for each.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use crate::shared::Shared;

/// How long lines that nobody waits for gather in mode `interval`.
pub(crate) const LINGER: Duration = Duration::from_millis(1);

/// The thread, and what it will do.
pub(crate) struct Lingerer {
    pid: u32,
    round: Mutex<Round>,
    work: Condvar,
}

#[derive(Default)]
struct Round {
    /// Of which it will write a part.
    logs: Vec<Arc<Shared>>,
    /// It sleeps until it is woken, for in the last round there was nothing. Else it comes by
    /// itself: while lines come all the time, nobody pays for waking it.
    rests: bool,
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
                round: Mutex::default(),
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
        let mut round = self.lock();
        round.logs.push(log);
        if std::mem::take(&mut round.rests) {
            drop(round);
            self.work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        loop {
            thread::sleep(LINGER);
            let mut round = self.lock();
            let logs = std::mem::take(&mut round.logs);
            round.rests = logs.is_empty();
            drop(self.work.wait_while(round, |round| round.rests));
            for log in logs {
                log.write_lingering();
            }
        }
    }
}
