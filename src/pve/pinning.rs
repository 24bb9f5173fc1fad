//! Two ways to trust that are not about certificate authorities.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Which leaf certificates pass. Names, dates and issuers don't count.
///
/// A certificate is public, so knowing it proves nothing: both variants still verify the handshake's signature,
/// which only the holder of its private key can make.
#[derive(Debug)]
pub(super) struct LeafVerifier {
    /// The SHA-256 that the leaf must have; `None` lets anyone pass.
    pub expected: Option<[u8; 32]>,
    pub provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for LeafVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(expected) = self.expected else { return Ok(ServerCertVerified::assertion()) };
        let met: [u8; 32] = Sha256::digest(leaf).into();
        if bool::from(met.ct_eq(&expected)) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General(format!(
            "the server's certificate has the fingerprint {}, not the trusted one; if it was renewed, compare with \
             the one that the Proxmox UI shows and update tls.fingerprint",
            colons(met)
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A fingerprint as the Proxmox UI shows it.
pub(super) fn colons(fingerprint: [u8; 32]) -> String {
    fingerprint.map(|byte| format!("{byte:02X}")).join(":")
}
