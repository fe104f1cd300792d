//! When readers are woken for what has gathered.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep_until, Instant};

use crate::inbox::Shared;

/// What comes behind the first pieces is handed out at the next beat, that of all answers together:
/// so readers are woken once for all that came, and soon enough that a person sees a text move.
const BEAT: Duration = Duration::from_millis(10);

/// The next beat after *now*, the same for the whole process.
fn next_beat(now: Instant) -> Instant {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let beat = BEAT.as_micros();
    let since = now.duration_since(*FIRST.get_or_init(|| now)).as_micros();
    let left = u64::try_from(beat - since % beat).unwrap_or_default();
    now + Duration::from_micros(left)
}

/// Who has something for the next beat. There is none while nobody has.
#[derive(Default)]
pub(crate) struct Beat {
    gathered: Mutex<Vec<Arc<Shared>>>,
    has_some: Notify,
}

impl Beat {
    /// Flushes *shared* at the next beat.
    pub(crate) fn flush_next(&self, shared: Arc<Shared>) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.push(shared);
        if gathered.len() == 1 {
            self.has_some.notify_one();
        }
    }

    /// Beats, for ever.
    pub(crate) async fn run(&self) {
        loop {
            self.has_some.notified().await;
            sleep_until(next_beat(Instant::now())).await;
            let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
            let due = std::mem::take(&mut *gathered);
            drop(gathered);
            // Bells are rung when all wait for them: each once, however many wait.
            let bells: Vec<_> = due.iter().filter_map(Shared::flush).collect();
            bells.iter().for_each(|bell| bell.ring());
        }
    }
}
