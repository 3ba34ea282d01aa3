//! Whose certificates are believed. There is no way to believe all of them.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// The root certificates of a connection. Cheap to clone; TLS sessions are resumed between clones.
#[derive(Clone, Debug)]
pub struct Trust(Arc<ClientConfig>);

/// Why roots cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TrustError {
    /// The text is not PEM.
    #[error(
        "root certificates: entry {entry} is not valid PEM; give a file of -----BEGIN CERTIFICATE----- blocks"
    )]
    Pem {
        /// Counted from 1.
        entry: usize,
    },
    /// A block is no certificate.
    #[error("root certificates: entry {entry} is no certificate authority's certificate")]
    Certificate {
        /// Counted from 1.
        entry: usize,
    },
    /// There is none.
    #[error("root certificates: the text holds no certificate; give at least one in PEM")]
    Empty,
}

impl Trust {
    /// The public web's roots, built in: the venues' certificates.
    #[must_use]
    pub fn webpki() -> Self {
        Self::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    /// These roots and no others: a private venue, a simulated one.
    ///
    /// # Errors
    /// [`TrustError`] when one of them cannot be used or there is none.
    pub fn with_roots_pem(pem: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        for (at, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let entry = at + 1;
            let certificate = certificate.map_err(|_| TrustError::Pem { entry })?;
            roots.add(certificate).map_err(|_| TrustError::Certificate { entry })?;
        }
        if roots.is_empty() { Err(TrustError::Empty) } else { Ok(Self::new(roots)) }
    }

    fn new(roots: RootCertStore) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the cipher suites of TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(Arc::new(config))
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}
