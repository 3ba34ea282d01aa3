//! TLS for simulated venues: a certificate of their own, made at start-up.

use std::fmt;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::SimError;

/// Names that the certificate is good for.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// A certificate and its key. Cheap to clone.
#[derive(Clone)]
pub struct SimTls {
    pub(super) config: Arc<ServerConfig>,
}

impl fmt::Debug for SimTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimTls")
    }
}

impl SimTls {
    /// A certificate for localhost and 127.0.0.1 under a root that exists only for this run; the
    /// root as PEM, for the clients to trust.
    ///
    /// # Errors
    /// [`SimError::Tls`] when the operating system gives no randomness.
    pub fn self_signed() -> Result<(Self, Vec<u8>), SimError> {
        Self::make().map_err(|error| SimError::Tls(error.to_string()))
    }

    /// What a server of its own needs.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    fn make() -> Result<(Self, Vec<u8>), Box<dyn std::error::Error>> {
        let mut root = CertificateParams::new(Vec::new())?;
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root_key = KeyPair::generate()?;
        let root_certificate = root.self_signed(&root_key)?;
        let issuer = Issuer::new(root, root_key);
        let key = KeyPair::generate()?;
        let names = NAMES.map(str::to_owned).to_vec();
        let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], secret)?;
        Ok((Self { config: Arc::new(config) }, root_certificate.pem().into_bytes()))
    }
}
