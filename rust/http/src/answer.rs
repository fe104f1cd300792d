//! One exchange from inside: sends, reads, decodes.

use std::future::{poll_fn, Future};
use std::pin::{pin, Pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::http::response::Parts;
use tokio::time::{sleep, timeout, Instant, Sleep};

use crate::exchange::Head;
use crate::inbox::Shared;
use crate::inflate::Inflate;
use crate::pool::Pool;
use crate::request::{send, told, Fault, Limits, Request};

/// So much of an error body is read: enough to classify it, and for what is told of it.
const ERROR_BODY_BYTES_MAX: usize = 65_536;

/// How long a complete answer waits for its last, empty chunk: who asks again at once is to find the
/// connection free.
const CLOSE: Duration = Duration::from_millis(2);
/// How long its connection does; some gateways never send that chunk.
const DRAIN: Duration = Duration::from_millis(50);

/// Runs one exchange to its end. Dropping this closes the connection, or the stream on it.
pub(crate) async fn run(request: Request, pool: Arc<Pool>, shared: Arc<Shared>) {
    let mut clock = Clock::new();
    let _guard = Ended(shared.clone());
    let limits = request.target.limits;
    let end = match request.build(&pool) {
        Ok(built) => match send(&pool, built, limits).await {
            Ok(response) => {
                let (parts, incoming) = response.into_parts();
                let inflate = Inflate::new(&parts.headers);
                if parts.status.is_success() {
                    let status = parts.status.as_u16();
                    // Headers hold the buffer that they were read into: without them it is used
                    // for what follows.
                    drop(parts);
                    shared.set_head(Head {
                        status,
                        headers: Vec::new(),
                        error_body: None,
                    });
                    match inflate {
                        Ok(inflate) => {
                            let body = Body { incoming, inflate };
                            receive(body, &shared, limits, &mut clock).await
                        }
                        Err(names) => Err(Fault::Encoded(names)),
                    }
                } else {
                    let inflate = inflate.unwrap_or(Inflate::No);
                    let error = error_body(Body { incoming, inflate }, limits.error_body).await;
                    shared.set_head(refusal(&parts, error));
                    Ok(())
                }
            }
            Err(fault) => Err(fault),
        },
        Err(fault) => Err(fault),
    };
    shared.end(end);
}

/// Ends the exchange whatever happens: a reader must not wait for a thread that panicked.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0
            .end(Err(Fault::BrokeOff("the transport failed".to_owned())));
    }
}

/// Whole microseconds since the start: rounding each gap by itself would drift.
struct Clock {
    start: Instant,
    last_us: u64,
}

impl Clock {
    fn new() -> Self {
        Clock {
            start: Instant::now(),
            last_us: 0,
        }
    }

    fn gap_us(&mut self) -> u64 {
        let now_us = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        now_us - std::mem::replace(&mut self.last_us, now_us)
    }
}

fn refusal(parts: &Parts, error_body: Vec<u8>) -> Head {
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect();
    let headers = parts.headers.iter();
    Head {
        status: parts.status.as_u16(),
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
            .collect(),
        error_body: Some(error_body),
    }
}

/// The bytes of an answer.
struct Body {
    incoming: Incoming,
    inflate: Inflate,
}

impl Body {
    /// The next bytes, None at the end. Safe to drop and call again.
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        while let Some(frame) = self.incoming.frame().await {
            // Others are trailers.
            if let Ok(data) = frame.map_err(|error| told(&error))?.into_data() {
                let data = self.inflate.feed(data).map_err(|error| told(&error))?;
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Reads on to the end.
    async fn drain(&mut self) {
        while let Some(Ok(_)) = self.incoming.frame().await {}
    }
}

async fn error_body(mut body: Body, limit: Duration) -> Vec<u8> {
    let mut text = Vec::new();
    // Whatever goes wrong with the body: the status is what there is to tell.
    let _ = timeout(limit, async {
        while let Ok(Some(data)) = body.next().await {
            text.extend_from_slice(&data);
            if text.len() >= ERROR_BODY_BYTES_MAX {
                break;
            }
        }
    })
    .await;
    text
}

async fn receive(
    mut body: Body,
    shared: &Arc<Shared>,
    limits: Limits,
    clock: &mut Clock,
) -> Result<(), Fault> {
    let mut is_done = false;
    let mut alarm = pin!(sleep(limits.read));
    let broken = loop {
        match next(&mut body, shared, &mut alarm, limits.read).await {
            Ok(Some(data)) => is_done = shared.feed(&data, || clock.gap_us()),
            Ok(None) => break None,
            Err(fault) => break Some(fault),
        }
        if is_done {
            break None;
        }
    };
    let end = shared.close(broken, || clock.gap_us());
    if is_done && at_once(body.drain()).await.is_none() {
        shared.pause();
        let mut drained = pin!(timeout(DRAIN, body.drain()));
        if timeout(CLOSE, drained.as_mut()).await.is_err() {
            shared.end(end.clone());
            let _ = drained.await;
        }
    }
    drop(body);
    // The connection goes back to its pool before anybody can ask for the next.
    others_turn().await;
    end
}

/// The next bytes.
async fn next(
    body: &mut Body,
    shared: &Arc<Shared>,
    alarm: &mut Pin<&mut Sleep>,
    limit: Duration,
) -> Result<Option<Bytes>, Fault> {
    if shared.is_start() {
        if let Some(data) = at_once(body.next()).await {
            return data.map_err(Fault::BrokeOff);
        }
        shared.pause();
    }
    shared.wait_room().await;
    let since = Instant::now();
    loop {
        tokio::select! {
            biased;
            data = body.next() => return data.map_err(Fault::BrokeOff),
            () = alarm.as_mut() => {}
        }
        // It was set for an earlier wait: one alarm serves all, and is set again when it rings.
        match limit.saturating_sub(since.elapsed()) {
            Duration::ZERO => return Err(Fault::FellSilent),
            rest => alarm.set(sleep(rest)),
        }
    }
}

/// What *work* comes to if all that can go on does so; None if it has to wait.
async fn at_once<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = others_turn() => None,
    }
}

/// Lets the tasks that can go on go on.
async fn others_turn() {
    let mut is_over = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_over, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
