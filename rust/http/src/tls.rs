//! TLS: who is trusted, and which protocols are offered.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{verify_server_name, WebPkiServerVerifier};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    crypto, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use tokio_rustls::TlsConnector;

use crate::connect::Io;
use crate::pool::Settings;

/// Makes connections private. Certificates are read when the first one is made.
#[derive(Clone)]
pub(crate) struct Tls {
    file: Option<PathBuf>,
    dir: Option<PathBuf>,
    config: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
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
        let config = self.config.get_or_init(|| self.read()).clone();
        let mut config = config.map_err(io::Error::other)?;
        if !offers_h2 {
            Arc::make_mut(&mut config).alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        let stream = TlsConnector::from(config).connect(name, io).await?;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((stream, is_h2))
    }

    fn read(&self) -> Result<Arc<ClientConfig>, String> {
        let mut roots = RootCertStore::empty();
        let mut listed = Vec::new();
        let (file, dir) = (self.file.as_deref(), self.dir.as_deref());
        if file.or(dir).is_some() {
            listed = rustls_native_certs::load_certs_from_paths(file, dir).certs;
            roots.add_parsable_certificates(listed.iter().cloned());
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                // A bare container: Mozilla's list, as it was when this was built.
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|_| "SSL_CERT_FILE and SSL_CERT_DIR lead to no certificate".to_owned())?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trust { chains, listed }))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// Whom the roots vouch for; and a server that shows a certificate which the user listed, even
/// if it says of itself that it is an authority's, as those of `openssl req -x509` do.
#[derive(Debug)]
struct Trust {
    chains: Arc<WebPkiServerVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let checked = self
            .chains
            .verify_server_cert(shown, others, name, ocsp, now);
        match checked {
            // Other reasons, such as its age, are found first and hold for listed ones, too.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.listed.iter().any(|listed| listed == shown) =>
            {
                verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, shown, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, shown, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

impl Io for TcpStream {}
impl Io for TlsStream<Box<dyn Io>> {}
