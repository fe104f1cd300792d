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

/// Of many runs at once, all may be between two requests: each is to find a connection again.
const IDLE_CONNECTIONS_MAX: usize = 256;
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

impl Settings {
    /// The name of a proxy that nothing can go through, if there is one: it would be left out.
    pub fn bad_proxy(&self) -> Option<&'static str> {
        let named = [
            ("http_proxy", &self.http_proxy),
            ("https_proxy", &self.https_proxy),
            ("all_proxy", &self.all_proxy),
        ];
        let mut bad = named.into_iter().filter(|(_, url)| {
            let matcher = Matcher::builder().all(url.as_str()).build();
            let proxy = matcher.intercept(&Uri::from_static("http://localhost"));
            // The matcher knows SOCKS 4, the connector does not.
            let scheme = proxy.and_then(|it| it.uri().scheme_str().map(str::to_owned));
            !url.is_empty() && scheme.is_none_or(|scheme| scheme.starts_with("socks4"))
        });
        bad.next().map(|(name, _)| name)
    }

    fn proxies(&self) -> Matcher {
        let mut no_proxy = self.no_proxy.clone();
        if no_proxy.split(',').any(|it| it.trim() == "*") {
            // The matcher takes it for every name, but for no address.
            no_proxy += ",0.0.0.0/0,::/0";
        }
        Matcher::builder()
            .http(self.http_proxy.clone())
            .https(self.https_proxy.clone())
            .all(self.all_proxy.clone())
            .no(no_proxy)
            .build()
    }
}

/// The head of an answer may have so many fields. hyper takes 100, and some gateways add their own.
const FIELDS_MAX: usize = 256;

/// Connections under one set of [`Settings`]: HTTP/2 where the server takes it, else HTTP/1.1.
pub struct Pool {
    pub(crate) client: Client<Connector, Full<Bytes>>,
    proxies: Matcher,
}

impl Pool {
    pub(crate) fn new(settings: &Settings) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http1_max_headers(FIELDS_MAX)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .build(Connector::new(settings, settings.proxies()));
        Pool {
            client,
            proxies: settings.proxies(),
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
