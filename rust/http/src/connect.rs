//! From a URL to a connection: names, proxies, TLS.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::Uri;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use crate::pool::{Proxies, Settings};
use crate::tls::Tls;

/// How often the system asks a silent peer whether it is still there.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Bytes both ways.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl Io for TokioIo<Wire> {}

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// A connection, and what the client has to know of it.
pub(crate) struct Wire {
    io: TokioIo<Box<dyn Io>>,
    is_proxied: bool,
    is_h2: bool,
}

impl Wire {
    fn plain(io: Box<dyn Io>) -> Self {
        Wire {
            io: TokioIo::new(io),
            is_proxied: false,
            is_h2: false,
        }
    }
}

/// Connects to where a URL leads, through the proxy that is set for it. Dropping what it returns
/// closes the connection.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    tls: Tls,
    proxies: Arc<Proxies>,
}

impl Connector {
    pub(crate) fn new(settings: &Settings, proxies: Proxies) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        Connector {
            tcp,
            tls: Tls::new(settings),
            proxies: Arc::new(proxies),
        }
    }

    async fn connect(mut self, to: Uri) -> Result<Wire, BoxError> {
        let is_private = to.scheme_str() == Some("https");
        let io: Box<dyn Io> = match self.proxies.intercept(&to) {
            None => Box::new(self.tcp.call(to.clone()).await?.into_inner()),
            Some(proxy) if proxy.uri().scheme_str().is_some_and(is_socks) => {
                self.by_socks(&proxy, &to).await?
            }
            Some(proxy) if is_private => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), Door(self.clone()));
                if let Some(authorization) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(authorization.clone());
                }
                Box::new(TokioIo::new(tunnel.call(to.clone()).await?))
            }
            Some(proxy) => {
                let mut wire = Door(self).call(proxy.uri().clone()).await?;
                wire.is_proxied = true;
                return Ok(wire);
            }
        };
        if !is_private {
            return Ok(Wire::plain(io));
        }
        let (io, is_h2) = self.tls.wrap(io, host_of(&to)?, true).await?;
        Ok(Wire {
            is_h2,
            ..Wire::plain(Box::new(io))
        })
    }

    async fn by_socks(&self, proxy: &Intercept, to: &Uri) -> Result<Box<dyn Io>, BoxError> {
        let local_names = proxy.uri().scheme_str() == Some("socks5");
        let mut socks = SocksV5::new(proxy.uri().clone(), self.tcp.clone()).local_dns(local_names);
        if let Some((user, password)) = proxy.raw_auth() {
            socks = socks.with_auth(user.to_owned(), password.to_owned());
        }
        Ok(Box::new(socks.call(to.clone()).await?.into_inner()))
    }
}

fn is_socks(scheme: &str) -> bool {
    scheme.starts_with("socks5")
}

fn host_of(to: &Uri) -> io::Result<&str> {
    to.host()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no host"))
}

impl Service<Uri> for Connector {
    type Response = Wire;
    type Error = BoxError;
    type Future = Connecting<Wire>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Connecting<Wire> {
        Box::pin(self.clone().connect(to))
    }
}

/// Connects to a proxy: as its own URL says, in the clear or not.
struct Door(Connector);

impl Service<Uri> for Door {
    type Response = Wire;
    type Error = BoxError;
    type Future = Connecting<Wire>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, proxy: Uri) -> Connecting<Wire> {
        let mut connector = self.0.clone();
        Box::pin(async move {
            let io = connector.tcp.call(proxy.clone()).await?.into_inner();
            if proxy.scheme_str() != Some("https") {
                return Ok(Wire::plain(Box::new(io)));
            }
            let host = host_of(&proxy)?;
            let (io, _) = connector.tls.wrap(Box::new(io), host, false).await?;
            Ok(Wire::plain(Box::new(io)))
        })
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.is_proxied);
        match self.is_h2 {
            true => connected.negotiated_h2(),
            false => connected,
        }
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
