//! What is sent, how long it may take, and why there is no answer.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue, AUTHORIZATION, PROXY_AUTHORIZATION};
use hyper::http::uri::Authority;
use hyper::{Method, Response, Uri};
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::proxy::matcher::Matcher;
use tinyagent_decode::Api;

use crate::pool::Pool;

/// Where requests go, with what headers, and how long each part may take: the same for many.
pub struct Target {
    pub(crate) api: Api,
    pub(crate) limits: Limits,
    head: Result<(Uri, HeaderMap), Fault>,
}

/// One POST.
pub struct Request {
    /// All of it but the body.
    pub target: Arc<Target>,
    /// The body.
    pub body: Vec<u8>,
}

/// How long each part of an exchange may take.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Until there is a connection: names, TCP, proxy, TLS.
    pub connect: Duration,
    /// From there to the head of the answer.
    pub first_byte: Duration,
    /// The longest silence in the answer.
    pub read: Duration,
    /// For the body of an answer without a 2xx status.
    pub error_body: Duration,
}

/// Why there is no answer, or no more of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The URL cannot be requested.
    BadUrl,
    /// A header's name or value is not one.
    BadHeader,
    /// No connection, or it broke before the answer; what the library said.
    NotSent(String),
    /// [`Limits::connect`] passed.
    NotConnected,
    /// [`Limits::first_byte`] passed.
    NotAnswered,
    /// [`Limits::read`] passed.
    FellSilent,
    /// The connection broke in the answer, or what came is no HTTP; what the library said.
    BrokeOff(String),
    /// The answer is compressed in a way that cannot be undone; which.
    Encoded(String),
    /// The exchange was closed before it ended.
    Cancelled,
}

impl Fault {
    /// The word for it in Python.
    pub fn word(&self) -> &'static str {
        match self {
            Fault::BadUrl => "bad_url",
            Fault::BadHeader => "bad_header",
            Fault::NotSent(_) => "not_sent",
            Fault::NotConnected => "not_connected",
            Fault::NotAnswered => "not_answered",
            Fault::FellSilent => "fell_silent",
            Fault::BrokeOff(_) => "broke_off",
            Fault::Encoded(_) => "encoded",
            Fault::Cancelled => "cancelled",
        }
    }

    /// What the library said, or the server.
    pub fn why(&self) -> &str {
        match self {
            Fault::NotSent(why) | Fault::BrokeOff(why) | Fault::Encoded(why) => why,
            _ => "",
        }
    }
}

impl Target {
    /// Where *url* leads, with these *headers*, names and values in order. Nothing is added to
    /// them but `host` and `content-length`.
    ///
    /// The URL is absolute, `http` or `https`, in ASCII; a user and password in it become basic
    /// authorization. What is wrong with it, or with a header, is told by each answer. *api* says
    /// which decoder reads these.
    pub fn new(api: Api, url: &str, headers: &[(String, String)], limits: Limits) -> Self {
        let head = parse(url).and_then(|(url, user)| Ok((url, fields(headers, user)?)));
        Target { api, limits, head }
    }
}

impl Request {
    /// The request as it goes out by *pool*.
    pub(crate) fn build(self, pool: &Pool) -> Result<hyper::Request<Full<Bytes>>, Fault> {
        let (url, headers) = self.target.head.clone()?;
        let mut request = hyper::Request::new(Full::new(Bytes::from(self.body)));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        if let Some(authorization) = pool.proxy_authorization(&url) {
            let headers = request.headers_mut();
            headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        *request.uri_mut() = url;
        Ok(request)
    }
}

fn fields(headers: &[(String, String)], user: Option<HeaderValue>) -> Result<HeaderMap, Fault> {
    let mut fields = HeaderMap::with_capacity(headers.len() + 1);
    for (name, value) in headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| Fault::BadHeader)?;
        let value = HeaderValue::try_from(value.as_str()).map_err(|_| Fault::BadHeader)?;
        fields.append(name, value);
    }
    if let Some(authorization) = user {
        fields.insert(AUTHORIZATION, authorization);
    }
    Ok(fields)
}

/// The URL without its user, and the user as basic authorization (RFC 7617).
fn parse(url: &str) -> Result<(Uri, Option<HeaderValue>), Fault> {
    let parsed: Uri = url.parse().map_err(|_| Fault::BadUrl)?;
    let authority = parsed.authority().ok_or(Fault::BadUrl)?;
    let is_known = matches!(parsed.scheme_str(), Some("http" | "https"));
    let host = parsed.host().unwrap_or_default();
    // A port beyond 65,535 would be taken for none.
    let has_port = !authority.as_str().ends_with(host) && !authority.as_str().ends_with(':');
    let is_port = !has_port || authority.port_u16().is_some();
    if !(is_known && is_port)
        || host.is_empty()
        || host.contains(['%', '\\', '^', '`', '{', '|', '}'])
    {
        return Err(Fault::BadUrl);
    }
    let Some((user, host)) = authority.as_str().rsplit_once('@') else {
        return Ok((parsed, None));
    };
    // The matcher of proxies knows how: it decodes, joins and encodes.
    let with_user = format!("http://{user}@localhost");
    let matched = Matcher::builder().all(with_user).build();
    let basic = matched.intercept(&Uri::from_static("http://localhost"));
    let authorization = basic.and_then(|found| found.basic_auth().cloned());
    let host: Authority = host.parse().map_err(|_| Fault::BadUrl)?;
    let mut parts = parsed.into_parts();
    parts.authority = Some(host);
    let url = Uri::from_parts(parts).map_err(|_| Fault::BadUrl)?;
    Ok((url, authorization))
}

/// Sends *request*; returns when the head of its answer is there. Dropping this closes the
/// connection, or the stream on it.
pub(crate) async fn send(
    pool: &Pool,
    mut request: hyper::Request<Full<Bytes>>,
    limits: Limits,
) -> Result<Response<Incoming>, Fault> {
    let mut connection = capture_connection(&mut request);
    let connected = async move {
        connection.wait_for_connection_metadata().await;
    };
    let mut answer = pin!(pool.client.request(request));
    tokio::select! {
        biased;
        answer = &mut answer => return answer.map_err(|error| Fault::NotSent(told(&error))),
        () = connected => {}
        () = tokio::time::sleep(limits.connect) => return Err(Fault::NotConnected),
    }
    match tokio::time::timeout(limits.first_byte, answer).await {
        Ok(answer) => answer.map_err(|error| Fault::NotSent(told(&error))),
        Err(_) => Err(Fault::NotAnswered),
    }
}

/// An error and its causes.
pub(crate) fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_in_the_url_becomes_basic_authorization() {
        let (url, user) = parse("http://me:p%40ss@host:81/v1?x=1").expect("is a URL");
        assert_eq!(url.to_string(), "http://host:81/v1?x=1");
        assert_eq!(user.expect("has a user"), "Basic bWU6cEBzcw==");
    }

    #[test]
    fn what_cannot_be_requested() {
        for url in [
            "",
            "no url",
            "ftp://host/x",
            "http://",
            "http://[::1/x",
            "http://ho st/",
            "//x/y",
            "http://a%20b/",
            "http://a:65536/",
            "/v1",
        ] {
            assert_eq!(parse(url).err(), Some(Fault::BadUrl), "{url}");
        }
    }
}
