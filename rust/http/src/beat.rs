//! When readers are woken for what has gathered.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{timeout_at, Instant};

use crate::inbox::Shared;

/// What comes behind the first pieces is handed out at the next beat, that of all answers together:
/// so readers are woken once for all that came, and soon enough that a person sees a text move.
const BEAT: Duration = Duration::from_millis(10);
/// So many answers that have something do not wait for the beat: to wake a reader once more is little
/// beside what it does with all of theirs, for which the last of them waits.
const MANY: usize = 32;

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
    has_many: Notify,
}

impl Beat {
    /// Flushes *shared* at the next beat, or with many.
    pub(crate) fn flush_next(&self, shared: Arc<Shared>) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.push(shared);
        match gathered.len() {
            1 => self.has_some.notify_one(),
            MANY => self.has_many.notify_one(),
            _ => {}
        }
    }

    /// Beats, for ever.
    pub(crate) async fn run(&self) {
        loop {
            self.has_some.notified().await;
            let _ = timeout_at(next_beat(Instant::now()), self.has_many.notified()).await;
            let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
            let due = std::mem::take(&mut *gathered);
            drop(gathered);
            // Bells are rung when all wait for them: each once, however many wait.
            let bells: Vec<_> = due.iter().filter_map(Shared::flush).collect();
            bells.iter().for_each(|bell| bell.ring());
        }
    }
}

#[cfg(test)]
mod tests {
    use tinyagent_decode::{Api, Decoder};
    use tokio::runtime::Builder;
    use tokio::task::yield_now;

    use super::*;
    use crate::exchange::{Head, News};

    /// An answer of which there is a head, for the next beat.
    fn begun(beat: &Arc<Beat>) -> Arc<Shared> {
        let shared = Arc::new(Shared::new(Decoder::new(Api::Chat), beat.clone()));
        shared.set_head(Head {
            status: 200,
            headers: Vec::new(),
            error_body: None,
        });
        shared.pause();
        shared
    }

    #[test]
    fn many_answers_are_handed_out_before_the_beat() {
        let clock = Builder::new_current_thread().enable_time().build();
        clock.expect("made").block_on(async {
            let beat: Arc<Beat> = Arc::default();
            let beating = beat.clone();
            tokio::spawn(async move { beating.run().await });
            let answers: Vec<_> = (0..MANY).map(|_| begun(&beat)).collect();
            // Turns of the tasks, for which no time passes.
            for _ in 0..3 {
                yield_now().await;
            }
            let is_there = |answer: &Arc<Shared>| matches!(answer.take(), News::Head(_));
            assert!(answers.iter().all(is_there));
        });
    }
}
