//! A certificate for the simulation: an authority and a leaf, fresh on every start.
use std::collections::BTreeSet;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Key or certificate generation failed.
    #[error("failed to make a certificate for the simulated Proxmox: {0}")]
    Generate(#[from] rcgen::Error),
    /// The TLS library refused what was generated.
    #[error("failed to set up TLS for the simulated Proxmox: {0}")]
    Configure(#[from] rustls::Error),
}

/// What clients need to trust the simulation, and what the listener needs to prove itself.
#[derive(Clone)]
pub(in crate::pve::sim) struct Certificate {
    pub(in crate::pve::sim) ca_pem: String,
    pub(in crate::pve::sim) fingerprint: String,
    pub(in crate::pve::sim) acceptor: TlsAcceptor,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Certificate").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Clients pin the leaf's fingerprint or trust the authority; both have to work.
    pub(in crate::pve::sim) fn generate(hosts: &BTreeSet<String>) -> Result<Self, TlsError> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::default();
        ca.distinguished_name.push(DnType::CommonName, "Simulated Proxmox CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_certificate = ca.self_signed(&ca_key)?;
        let issuer = Issuer::new(ca, ca_key);

        let leaf_key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(hosts.iter().cloned().collect::<Vec<_>>())?;
        leaf.distinguished_name.push(DnType::CommonName, "simulated-proxmox");
        let leaf = leaf.signed_by(&leaf_key, &issuer)?;

        let fingerprint = fingerprint(leaf.der());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let chain = vec![leaf.der().clone(), ca_certificate.der().clone()];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Self { ca_pem: ca_certificate.pem(), fingerprint, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

fn fingerprint(der: &[u8]) -> String {
    Sha256::digest(der).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_thirty_two_pairs_in_capitals() {
        let certificate = Certificate::generate(&BTreeSet::from(["127.0.0.1".to_owned()])).unwrap();
        assert_eq!(certificate.fingerprint.len(), 32 * 3 - 1);
        assert_eq!(certificate.fingerprint, certificate.fingerprint.to_uppercase());
        assert!(certificate.ca_pem.starts_with("-----BEGIN CERTIFICATE-----"));
    }
}
