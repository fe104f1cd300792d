//! One request over HTTP, its answer decoded as it arrives. Knows tokio, knows no Python.
//!
//! One runtime and one set of connections per process, whoever asks. What arrives is decoded on
//! the runtime's thread and waits in batches for whoever takes it, on a thread or in an event
//! loop; that side is woken once per batch, and only if it waits.
//!
//! # Layout
//!
//! - [`runtime`]: [`Runtime`], the process's threads and pools; new in a child process.
//! - [`pool`]: [`Pool`]: connections kept for the next request, under one set of [`Settings`].
//! - `connect`: from a URL to a connection: names, proxies, TLS; `tls`: who is trusted.
//! - [`request`]: [`Target`] and [`Request`], how it is sent; [`Fault`], why there is no answer.
//! - [`exchange`]: [`Exchange`]: one request and its answer, from outside; cancelling it.
//! - `answer`: the same from inside: reads and decodes.
//! - `inbox`: what lies between the two, under one lock; `beat`: when it is handed out.
//! - `inflate`: answers that came compressed although nobody asked for it.

mod answer;
mod beat;
mod connect;
pub mod exchange;
mod inbox;
mod inflate;
pub mod pool;
pub mod request;
pub mod runtime;
mod tls;

pub use exchange::{Behind, Exchange, Head, News, Timed, Wake};
pub use pool::{Pool, Settings};
pub use request::{Fault, Limits, Request, Target};
pub use runtime::Runtime;
