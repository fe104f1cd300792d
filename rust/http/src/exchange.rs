//! One request and its answer, from outside.

use std::sync::Arc;

use tinyagent_decode::{Answer, Decoder, Failure, Kind, Piece};
use tokio::task::AbortHandle;

use crate::answer;
use crate::inbox::Shared;
use crate::pool::Pool;
use crate::request::{Fault, Request};
use crate::runtime::Runtime;

/// Who is woken. Called on the runtime's thread: must neither block nor call back.
pub trait Wake: Send + Sync {
    /// From now on waits for the bell.
    fn wait(&self);

    /// Rings the bell: all who wait for it are woken.
    fn ring(&self);
}

/// How an answer begins.
pub struct Head {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case; values byte for byte as Latin-1. None if the status is 2xx.
    pub headers: Vec<(String, String)>,
    /// What there is of the body, if the status is not 2xx; then nothing follows.
    pub error_body: Option<Vec<u8>>,
}

/// A piece, and the microseconds since the piece before; since the start for the first.
pub struct Timed {
    /// The piece.
    pub piece: Piece,
    /// Its distance from the one before; 0 if one read brought both.
    pub gap_us: u64,
}

/// What [`Exchange::take`] found.
pub enum News {
    /// Nothing yet.
    None,
    /// The head of the answer. Once, before everything else.
    Head(Head),
    /// Pieces, at least one.
    Pieces(Vec<Timed>, Behind),
    /// The end of the answer; again and again.
    End,
    /// Why there is no more; again and again.
    Fault(Fault),
}

/// What [`Exchange::take`] would find behind pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Nothing yet.
    None,
    /// The end of the answer.
    End,
    /// Why there is no more.
    Fault,
}

/// One request under way. Dropping it cancels it.
pub struct Exchange {
    runtime: &'static Runtime,
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Exchange {
    /// Begins to send *request* over *pool*.
    pub fn open(runtime: &'static Runtime, pool: Arc<Pool>, request: Request) -> Self {
        let shared = Arc::new(Shared::new(
            Decoder::new(request.target.api),
            runtime.beat(),
        ));
        let run = answer::run(request, pool, shared.clone());
        let task = runtime.handle().spawn(run).abort_handle();
        Exchange {
            runtime,
            shared,
            task,
        }
    }

    /// Takes what has happened. Never waits.
    pub fn take(&self) -> News {
        match self.is_here() {
            true => self.shared.take(),
            false => News::Fault(Fault::Cancelled),
        }
    }

    /// From now on *wake* is woken when [`Exchange::take`] has something, and then not again before
    /// that has nothing more. What is there already is not told.
    pub fn listen(&self, wake: Option<Arc<dyn Wake>>) {
        if self.is_here() {
            self.shared.listen(wake);
        }
    }

    /// How the answer ended. After the end: before it, the answer is cut off here.
    pub fn finish(&self) -> Answer {
        if self.is_here() {
            return self.shared.finish();
        }
        Answer {
            failure: Some(Failure {
                kind: Kind::Interrupted,
                message: "the answer belongs to the parent process".to_owned(),
            }),
            ..Answer::default()
        }
    }

    /// Closes the connection, or the stream on it, if the answer has not ended. What has arrived
    /// stays; whoever listens is woken.
    pub fn close(&self) {
        if self.is_here() && self.shared.end(Err(Fault::Cancelled)) {
            self.task.abort();
        }
    }

    /// In a child process the locks may be held by threads that are not there.
    fn is_here(&self) -> bool {
        self.runtime.is_here()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.close();
    }
}
