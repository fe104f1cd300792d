//! TLS: who is trusted, and which protocols are offered.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{crypto, ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::connect::Io;
use crate::pool::Settings;

/// Makes connections private. Certificates are read when the first one is made.
#[derive(Clone)]
pub(crate) struct Tls {
    file: Option<PathBuf>,
    dir: Option<PathBuf>,
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl Tls {
    pub(crate) fn new(settings: &Settings) -> Self {
        Tls {
            file: settings.cert_file.clone(),
            dir: settings.cert_dir.clone(),
            config: Arc::default(),
        }
    }

    /// Shakes hands with *host*; tells whether HTTP/2 was agreed on. Without *offers_h2* the
    /// other side is a proxy, which is spoken to in HTTP/1.1.
    ///
    /// # Errors
    ///
    /// The other side is not *host*, not trusted, or speaks no TLS.
    pub(crate) async fn wrap(
        &self,
        io: Box<dyn Io>,
        host: &str,
        offers_h2: bool,
    ) -> io::Result<(TlsStream<Box<dyn Io>>, bool)> {
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let mut config = self.config.get_or_init(|| self.read()).clone();
        if !offers_h2 {
            Arc::make_mut(&mut config).alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        let stream = TlsConnector::from(config).connect(name, io).await?;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((stream, is_h2))
    }

    fn read(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let (file, dir) = (self.file.as_deref(), self.dir.as_deref());
        if file.or(dir).is_some() {
            let found = rustls_native_certs::load_certs_from_paths(file, dir);
            roots.add_parsable_certificates(found.certs);
        } else {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                // A bare container: Mozilla's list, as it was when this was built.
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has suites for TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl Io for TcpStream {}
impl Io for TlsStream<Box<dyn Io>> {}
