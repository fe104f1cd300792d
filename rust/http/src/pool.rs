//! Connections that are kept for the next request.

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
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
    /// Hosts, domains and networks without a proxy, separated by commas; `*`: all; `:PORT` behind
    /// one: at that port only.
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

    fn proxies(&self) -> Proxies {
        let ports = self.no_proxy.split(',').filter_map(at_port);
        let at_ports = ports.map(|(_, port)| (port, self.matcher(Some(port))));
        Proxies {
            at_ports: at_ports.collect(),
            elsewhere: self.matcher(None),
        }
    }

    /// For requests to *port*, or to one that is not named.
    fn matcher(&self, port: Option<u16>) -> Matcher {
        let entries = self.no_proxy.split(',').map(str::trim);
        let here = entries.filter_map(|entry| match at_port(entry) {
            Some((host, named)) => (Some(named) == port).then_some(host),
            None => Some(entry),
        });
        let mut no_proxy = here.collect::<Vec<_>>().join(",");
        if no_proxy.split(',').any(|it| it == "*") {
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

/// Host and port of an entry that goes without a proxy at that port only.
fn at_port(entry: &str) -> Option<(&str, u16)> {
    let (host, port) = entry.trim().rsplit_once(':')?;
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let host = inner.or((!host.contains(':')).then_some(host))?;
    Some((host, port.parse().ok()?))
}

/// Which proxy leads where.
pub(crate) struct Proxies {
    at_ports: Vec<(u16, Matcher)>,
    elsewhere: Matcher,
}

impl Proxies {
    /// The proxy that a request goes through, if any.
    pub(crate) fn intercept(&self, to: &Uri) -> Option<Intercept> {
        let usual = if to.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        let port = to.port_u16().unwrap_or(usual);
        let named = self.at_ports.iter().find(|(named, _)| *named == port);
        named
            .map_or(&self.elsewhere, |(_, matcher)| matcher)
            .intercept(to)
    }
}

/// The head of an answer may have so many fields. hyper takes 100, and some gateways add their own.
const FIELDS_MAX: usize = 256;

/// Connections under one set of [`Settings`]: HTTP/2 where the server takes it, else HTTP/1.1.
pub struct Pool {
    pub(crate) client: Client<Connector, Full<Bytes>>,
    proxies: Proxies,
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
