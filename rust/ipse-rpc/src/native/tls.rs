//! Certificates of connections: read from PEM, and replaced while the server serves.

use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// What a server shows, and whom it believes: texts of PEM.
#[derive(Clone, Copy)]
pub struct Certificates<'p> {
    /// The chain of the server's certificate, its own first.
    pub chain: &'p [u8],
    /// Its key, without a password.
    pub key: &'p [u8],
    /// Clients must have a certificate that one of these signed.
    pub client_ca: Option<&'p [u8]>,
}

/// The certificates in force.
pub(super) struct Tls(RwLock<Arc<ServerConfig>>);

impl Tls {
    pub(super) fn new(certificates: Certificates<'_>) -> Result<Tls, String> {
        Ok(Tls(RwLock::new(config(certificates)?)))
    }

    /// Puts others in force, for the connections to come.
    pub(super) fn replace(&self, certificates: Certificates<'_>) -> Result<(), String> {
        let config = config(certificates)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone().into()
    }
}

fn config(certificates: Certificates<'_>) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match certificates.client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let roots = Arc::new(roots(pem)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| error.to_string())?)
        }
    };
    let key = PrivateKeyDer::from_pem_slice(certificates.key).map_err(|_| "the key is no PEM")?;
    let mut config = builder
        .with_single_cert(parsed(certificates.chain)?, key)
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in parsed(pem)? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(roots)
}

fn parsed(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.map_err(|_| "a certificate is no PEM".to_owned())
}
