//! Encryption of connections.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
    },
    server::TlsStream,
};

/// A certificate and its key, for connections by TLS 1.2 and 1.3.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

/// Why connections can't be encrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is not there, or holds something else.
    #[error("{}: {source}; it must be a PEM file with {expected}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// What is wrong.
        source: pem::Error,
    },
    /// The two don't fit together, or can't be used.
    #[error("the certificate and its key can't be used: {0}")]
    Unfit(rustls::Error),
}

const CERTIFICATE: &str = "the certificate, and then those that it goes back to";
const KEY: &str = "the certificate's private key";

impl Tls {
    /// The certificate with its chain, and its private key, as PEM files.
    ///
    /// # Errors
    /// [`TlsError`]: they can't be read, or not be used together.
    pub fn of_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let failed = |path: &Path, expected| {
            let path = path.to_owned();
            move |source| TlsError::File { path, expected, source }
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
            .map_err(failed(certificate, CERTIFICATE))?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(failed(key, KEY))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unfit)?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(TlsError::Unfit)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        self.0.accept(stream).await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(…)")
    }
}
