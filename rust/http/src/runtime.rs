//! The process's threads and pools.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

use crate::beat::Beat;
use crate::pool::{Pool, Settings};

/// Name lookups block; so many may hang at a silent name server before others wait for them.
const LOOKUPS_MAX: usize = 32;
const LOOKUP_THREAD_IDLE: Duration = Duration::from_secs(5);

const NAME: &str = "tinyagent-http";

/// One thread that runs everything, and the pools that live on it.
pub struct Runtime {
    forks: u64,
    tokio: Handle,
    beat: Arc<Beat>,
    pools: Mutex<HashMap<Settings, Arc<Pool>>>,
}

static CURRENT: Mutex<Option<&'static Runtime>> = Mutex::new(None);

/// How often this process and those before it were told that they are the child of another. To ask
/// the system who we are, at each look at each answer, is dearer than the look.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// Tells that this process has just been forked off another.
pub fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

impl Runtime {
    /// The runtime of this process; a child process that was told so by [`forked`] gets a new one.
    ///
    /// The one that a child inherited has no threads there and is left alone for ever. A fork
    /// while another thread is in here would leave the child with a locked lock: callers from
    /// Python hold its interpreter, and so does whoever forks.
    ///
    /// # Errors
    ///
    /// The system gives no thread, or no file descriptor.
    pub fn current() -> io::Result<&'static Runtime> {
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = *current {
            if runtime.is_here() {
                return Ok(runtime);
            }
        }
        // Never dropped: dropping waits for threads, and the end of a process must not.
        let runtime = Box::leak(Box::new(Runtime::start()?));
        *current = Some(runtime);
        Ok(runtime)
    }

    fn start() -> io::Result<Self> {
        let tokio = Builder::new_current_thread()
            .max_blocking_threads(LOOKUPS_MAX)
            .thread_keep_alive(LOOKUP_THREAD_IDLE)
            .thread_name(NAME)
            .enable_io()
            .enable_time()
            .build()?;
        let runtime = Runtime {
            forks: FORKS.load(Ordering::Relaxed),
            tokio: tokio.handle().clone(),
            beat: Arc::default(),
            pools: Mutex::default(),
        };
        let beat = runtime.beat();
        // A task of its own: to wake what `block_on` waits for takes a system call.
        tokio.spawn(async move { beat.run().await });
        thread::Builder::new()
            .name(NAME.to_owned())
            .spawn(move || tokio.block_on(pending::<()>()))?;
        Ok(runtime)
    }

    /// Whether this is the process that the runtime was made in.
    pub fn is_here(&self) -> bool {
        self.forks == FORKS.load(Ordering::Relaxed)
    }

    /// The pool for *settings*: the same for the same.
    pub fn pool(&self, settings: &Settings) -> Arc<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = pools.get(settings) {
            return known.clone();
        }
        let pool = Arc::new(Pool::new(settings));
        pools.insert(settings.clone(), pool.clone());
        pool
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.tokio
    }

    pub(crate) fn beat(&self) -> Arc<Beat> {
        self.beat.clone()
    }
}
