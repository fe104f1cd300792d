//! Connections that are kept for the next request.

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::connect::Connector;

const IDLE_CONNECTIONS_MAX: usize = 20;
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// What connections depend on, besides where they lead. Empty text: nothing of the kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Proxy for `http:` URLs, as a URL: `http`, `https`, `socks5`, `socks5h`.
    pub http_proxy: String,
    /// Proxy for `https:` URLs.
    pub https_proxy: String,
    /// Proxy for what has none of its own.
    pub all_proxy: String,
    /// Hosts, domains and networks without a proxy, separated by commas; `*`: all.
    pub no_proxy: String,
    /// A file of trusted certificates, instead of the system's.
    pub cert_file: Option<PathBuf>,
    /// A folder of them.
    pub cert_dir: Option<PathBuf>,
}

/// Connections under one set of [`Settings`]: HTTP/2 where the server takes it, else HTTP/1.1.
pub struct Pool {
    pub(crate) client: Client<Connector, Full<Bytes>>,
    proxies: Matcher,
}

impl Pool {
    pub(crate) fn new(settings: &Settings) -> Self {
        let proxies = || {
            Matcher::builder()
                .http(settings.http_proxy.clone())
                .https(settings.https_proxy.clone())
                .all(settings.all_proxy.clone())
                .no(settings.no_proxy.clone())
                .build()
        };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(Connector::new(settings, proxies()));
        Pool {
            client,
            proxies: proxies(),
        }
    }

    /// What the request itself must say to a proxy. A tunnel is asked for by the connector.
    pub(crate) fn proxy_authorization(&self, to: &Uri) -> Option<HeaderValue> {
        match to.scheme_str() {
            Some("http") => self.proxies.intercept(to)?.basic_auth().cloned(),
            _ => None,
        }
    }
}
