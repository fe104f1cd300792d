//! What lies between the runtime's thread and whoever reads the answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tinyagent_decode::{Answer, Decoder, Kind, Piece};
use tokio::sync::Notify;

use crate::beat::Beat;
use crate::exchange::{Behind, Head, News, Timed, Wake};
use crate::request::Fault;

/// An unread answer may grow to this before the network is left waiting.
const PIECES_MAX: usize = 10_000;
const BYTES_MAX: usize = 8 << 20;

/// So many pieces that come with the head are handed out together, with the head.
const FIRST_PIECES_MAX: usize = 64;

#[derive(Default)]
struct Inbox {
    head: Option<Head>,
    pieces: Vec<Timed>,
    bytes: usize,
    /// The head is there, and may not be all that has come.
    is_start: bool,
    /// Pieces were due before.
    has_begun: bool,
    /// What has gathered is due at the next beat.
    gathers: bool,
    is_due: bool,
    /// Set once: how the exchange ended.
    end: Option<Result<(), Fault>>,
    wake: Option<Arc<dyn Wake>>,
    /// The reader was woken, and has not found everything taken since.
    is_told: bool,
}

impl Inbox {
    fn is_news(&self) -> bool {
        self.is_due || self.end.is_some()
    }

    fn make_due(&mut self) {
        (self.is_due, self.gathers, self.is_start) = (true, false, false);
        self.has_begun |= !self.pieces.is_empty();
    }

    fn is_full(&self) -> bool {
        self.pieces.len() >= PIECES_MAX || self.bytes >= BYTES_MAX
    }
}

pub(crate) struct Shared {
    inbox: Mutex<Inbox>,
    decoder: Mutex<Decoder>,
    room: Notify,
    beat: Arc<Beat>,
}

/// A panic under one of the locks leaves nothing half done that a reader could mistake.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(decoder: Decoder, beat: Arc<Beat>) -> Self {
        Shared {
            inbox: Mutex::default(),
            decoder: Mutex::new(decoder),
            room: Notify::new(),
            beat,
        }
    }

    // The runtime's side

    /// The head waits for the pieces that may come with it.
    pub(crate) fn set_head(self: &Arc<Self>, head: Head) {
        let mut inbox = lock(&self.inbox);
        (inbox.head, inbox.is_start) = (Some(head), true);
    }

    /// Whether more may be there already, to be handed out with the head.
    pub(crate) fn is_start(&self) -> bool {
        lock(&self.inbox).is_start
    }

    /// Nothing more has come for now.
    pub(crate) fn pause(self: &Arc<Self>) {
        self.tell(|inbox| {
            inbox.is_start = false;
            if !inbox.pieces.is_empty() {
                inbox.make_due();
            }
        });
    }

    /// Decodes *bytes*; tells whether nothing more needs to be read. *gap_us* is that of the
    /// first piece, if there is one: then it is used up.
    pub(crate) fn feed(self: &Arc<Self>, bytes: &[u8], gap_us: impl FnOnce() -> u64) -> bool {
        let mut decoder = lock(&self.decoder);
        let pieces = decoder.feed(bytes);
        let is_done = decoder.is_done();
        drop(decoder);
        self.put(pieces, bytes.len(), gap_us);
        is_done
    }

    /// The bytes are at their end. A break matters only if it is why the answer is incomplete:
    /// one after the finish reason cost the usage at most, and a provider's own error says more.
    pub(crate) fn close(
        self: &Arc<Self>,
        broken: Option<Fault>,
        gap_us: impl FnOnce() -> u64,
    ) -> Result<(), Fault> {
        let mut decoder = lock(&self.decoder);
        let pieces = decoder.close();
        let broken = broken.filter(|_| {
            let failure = decoder.finish().failure;
            failure.is_some_and(|failure| failure.kind == Kind::Interrupted)
        });
        drop(decoder);
        self.put(pieces, 0, gap_us);
        broken.map_or(Ok(()), Err)
    }

    fn put(self: &Arc<Self>, pieces: Vec<Piece>, bytes: usize, gap_us: impl FnOnce() -> u64) {
        if pieces.is_empty() {
            return;
        }
        let mut gap_us = gap_us();
        let timed = pieces.into_iter().map(|piece| Timed {
            piece,
            gap_us: std::mem::take(&mut gap_us),
        });
        self.tell(|inbox| {
            inbox.pieces.extend(timed);
            inbox.bytes += bytes;
            let is_much = inbox.pieces.len() >= FIRST_PIECES_MAX;
            if inbox.is_full() || !(inbox.has_begun || inbox.is_start && !is_much) {
                inbox.make_due();
            }
        });
    }

    /// Makes what has gathered due; returns the bell to ring for it.
    pub(crate) fn flush(self: &Arc<Self>) -> Option<Arc<dyn Wake>> {
        self.change(|inbox| {
            if inbox.gathers {
                inbox.make_due();
            }
        })
    }

    /// Waits while too much is unread.
    pub(crate) async fn wait_room(&self) {
        while lock(&self.inbox).is_full() {
            self.room.notified().await;
        }
    }

    /// Ends the exchange, if it has not ended; tells whether it had not.
    pub(crate) fn end(self: &Arc<Self>, end: Result<(), Fault>) -> bool {
        let mut is_first = false;
        self.tell(|inbox| {
            is_first = inbox.end.is_none();
            inbox.end.get_or_insert(end);
        });
        is_first
    }

    /// Makes a change, and wakes the reader if it is one for it.
    fn tell(self: &Arc<Self>, change: impl FnOnce(&mut Inbox)) {
        if let Some(wake) = self.change(change) {
            wake.ring();
        }
    }

    /// Makes a change. If it is one for the reader, that waits for the bell that is returned; else
    /// what is there, if anything is, is due at the next beat.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut Inbox)) -> Option<Arc<dyn Wake>> {
        let mut inbox = lock(&self.inbox);
        change(&mut inbox);
        if inbox.is_news() {
            let is_told = std::mem::replace(&mut inbox.is_told, true);
            let wake = inbox.wake.clone().filter(|_| !is_told)?;
            drop(inbox);
            wake.wait();
            return Some(wake);
        }
        let is_empty = inbox.head.is_none() && inbox.pieces.is_empty();
        if !is_empty && !inbox.is_start && !std::mem::replace(&mut inbox.gathers, true) {
            drop(inbox);
            self.beat.flush_next(self.clone());
        }
        None
    }

    // The reader's side

    pub(crate) fn take(&self) -> News {
        let mut inbox = lock(&self.inbox);
        if inbox.is_news() {
            if let Some(head) = inbox.head.take() {
                inbox.is_due &= !inbox.pieces.is_empty();
                return News::Head(head);
            }
            if !inbox.pieces.is_empty() {
                (inbox.is_due, inbox.gathers, inbox.bytes) = (false, false, 0);
                let pieces = std::mem::take(&mut inbox.pieces);
                let behind = match inbox.end {
                    None => Behind::None,
                    Some(Ok(())) => Behind::End,
                    Some(Err(_)) => Behind::Fault,
                };
                inbox.is_told = behind != Behind::None;
                drop(inbox);
                self.room.notify_one();
                return News::Pieces(pieces, behind);
            }
        }
        inbox.is_told = inbox.end.is_some();
        match &inbox.end {
            None => News::None,
            Some(Ok(())) => News::End,
            Some(Err(fault)) => News::Fault(fault.clone()),
        }
    }

    pub(crate) fn finish(&self) -> Answer {
        lock(&self.decoder).finish()
    }

    pub(crate) fn listen(&self, wake: Option<Arc<dyn Wake>>) {
        // What was there may hold anything: it goes when the lock is free.
        let before = std::mem::replace(&mut lock(&self.inbox).wake, wake);
        drop(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinyagent_decode::Api;

    fn started() -> Arc<Shared> {
        let shared = Arc::new(Shared::new(Decoder::new(Api::Chat), Arc::default()));
        shared.set_head(Head {
            status: 200,
            headers: Vec::new(),
            error_body: None,
        });
        shared
    }

    fn say(shared: &Arc<Shared>, word: &str) {
        let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{word}\"}}}}]}}\n\n");
        shared.feed(event.as_bytes(), || 0);
    }

    /// The status of the head, or the number of pieces; none if there is nothing to take.
    fn take(shared: &Shared) -> Option<usize> {
        match shared.take() {
            News::Head(head) => Some(usize::from(head.status)),
            News::Pieces(pieces, _) => Some(pieces.len()),
            _ => None,
        }
    }

    #[test]
    fn what_came_with_the_head_is_handed_out_with_it_and_what_comes_later_at_the_next_beat() {
        let shared = started();
        say(&shared, "a");
        say(&shared, "b");
        assert_eq!(take(&shared), None);
        shared.pause();
        assert_eq!(take(&shared), Some(200));
        assert_eq!(take(&shared), Some(2));
        say(&shared, "c");
        assert_eq!(take(&shared), None);
        shared.flush();
        assert_eq!(take(&shared), Some(1));
        assert_eq!(take(&shared), None);
    }

    #[test]
    fn a_head_alone_waits_for_the_beat_and_the_first_piece_behind_it_for_nothing() {
        let shared = started();
        shared.pause();
        assert_eq!(take(&shared), None);
        shared.flush();
        assert_eq!(take(&shared), Some(200));
        say(&shared, "a");
        assert_eq!(take(&shared), Some(1));
    }

    #[test]
    fn an_answer_that_never_pauses_is_handed_out_all_the_same() {
        let shared = started();
        for _ in 0..FIRST_PIECES_MAX {
            assert_eq!(take(&shared), None);
            say(&shared, "a");
        }
        assert_eq!(take(&shared), Some(200));
        assert_eq!(take(&shared), Some(FIRST_PIECES_MAX));
        say(&shared, "b");
        shared.flush();
        assert_eq!(take(&shared), Some(1));
    }

    #[test]
    fn the_end_hands_out_what_is_there() {
        let shared = started();
        say(&shared, "a");
        shared.end(Ok(()));
        assert_eq!(take(&shared), Some(200));
        assert!(matches!(shared.take(), News::Pieces(_, Behind::End)));
        assert!(matches!(shared.take(), News::End));
    }
}
