//! Whom to believe that they are the Proxmox that was meant.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use thiserror::Error;

use crate::api::{Tier, TlsTrust};

use super::pinning::{LeafVerifier, colons};

/// How the server has to prove who it is.
#[derive(Clone)]
pub enum Trust {
    /// By a certificate of an authority that this machine trusts.
    System,
    /// By a certificate of one of these authorities.
    CaBundle(Arc<RootCertStore>),
    /// By this very certificate: its SHA-256.
    Fingerprint([u8; 32]),
    /// Not at all.
    Anyone,
}

/// Why the environment's `tls` or `endpoints` can't be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TrustError {
    #[error("tls.{0} and tls.{1} contradict each other: give only one of them")]
    Contradiction(&'static str, &'static str),
    #[error(
        "tls.insecureSkipVerify is refused where tier is production: anyone on the way could take the token; give \
         tls.fingerprint or tls.caBundle"
    )]
    InsecureProduction,
    #[error("tls.fingerprint is not a SHA-256: it has to be 64 hexadecimal digits, with or without colons")]
    BadFingerprint,
    #[error("tls.caBundle can't be used: {0}; it has to hold certificates between BEGIN and END lines")]
    BadCaBundle(String),
    #[error("{0} would send the token unencrypted: write https://, plain http is only for tier lab")]
    PlainHttp(String),
    #[error("TLS can't be set up here: {0}")]
    Unusable(String),
}

impl Trust {
    /// What the environment asks for. Refuses contradictions instead of choosing, and trusting everybody in production
    /// even though the kind's own rule refuses it first: a rule can be missing.
    pub fn of(tls: &TlsTrust, tier: Tier) -> Result<Self, TrustError> {
        let skip = tls.insecure_skip_verify;
        if skip && tier == Tier::Production {
            return Err(TrustError::InsecureProduction);
        }
        match (&tls.fingerprint, &tls.ca_bundle, skip) {
            (Some(_), Some(_), _) => Err(TrustError::Contradiction("fingerprint", "caBundle")),
            (Some(_), None, true) => Err(TrustError::Contradiction("fingerprint", "insecureSkipVerify")),
            (None, Some(_), true) => Err(TrustError::Contradiction("caBundle", "insecureSkipVerify")),
            (Some(text), None, false) => {
                fingerprint(text).map(Self::Fingerprint).ok_or(TrustError::BadFingerprint)
            }
            (None, Some(pem), false) => authorities(pem).map(|roots| Self::CaBundle(Arc::new(roots))),
            (None, None, true) => Ok(Self::Anyone),
            (None, None, false) => Ok(Self::System),
        }
    }

    /// Early data stays off: what is sent before the handshake ends can be replayed by anyone who recorded it.
    pub(super) fn client_config(&self) -> Result<ClientConfig, TrustError> {
        let provider = Arc::new(ring::default_provider());
        let unusable = |error: rustls::Error| TrustError::Unusable(error.to_string());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = match self {
            Self::System => builder.with_platform_verifier().map_err(unusable)?,
            Self::CaBundle(roots) => builder.with_root_certificates(roots.clone()),
            Self::Fingerprint(expected) => leaf_only(builder, Some(*expected), provider),
            Self::Anyone => leaf_only(builder, None, provider),
        };
        Ok(builder.with_no_client_auth())
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System => f.write_str("System"),
            Self::CaBundle(roots) => write!(f, "CaBundle({} certificates)", roots.len()),
            Self::Fingerprint(sha256) => write!(f, "Fingerprint({})", colons(*sha256)),
            Self::Anyone => f.write_str("Anyone"),
        }
    }
}

/// A token must not cross a wire in the clear. A lab may, because a simulator speaks plain http.
pub fn check_endpoint(endpoint: &str, tier: Tier) -> Result<(), TrustError> {
    let encrypted = endpoint.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    if encrypted || tier == Tier::Lab {
        return Ok(());
    }
    Err(TrustError::PlainHttp(endpoint.chars().take(128).collect()))
}

type Builder<State> = rustls::ConfigBuilder<ClientConfig, State>;

fn leaf_only(
    builder: Builder<rustls::WantsVerifier>,
    expected: Option<[u8; 32]>,
    provider: Arc<CryptoProvider>,
) -> Builder<rustls::client::WantsClientCert> {
    builder.dangerous().with_custom_certificate_verifier(Arc::new(LeafVerifier { expected, provider }))
}

fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs.iter().map(|pair| hex_byte(*pair)).collect();
    bytes.filter(|_| rest.is_empty())?.try_into().ok()
}

fn hex_byte(pair: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()
}

fn authorities(pem: &str) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| TrustError::BadCaBundle(error.to_string()))?;
        roots.add(certificate).map_err(|error| TrustError::BadCaBundle(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(TrustError::BadCaBundle("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn pinned(text: &str) -> Result<Trust, TrustError> {
        Trust::of(&TlsTrust { fingerprint: Some(text.to_owned()), ..Default::default() }, Tier::Production)
    }

    #[test]
    fn a_fingerprint_is_read_with_and_without_colons_in_any_case() {
        let shown = format!("{:?}", pinned(HEX).unwrap());
        let spelled = shown.trim_start_matches("Fingerprint(").trim_end_matches(')').to_owned();
        for text in [spelled.clone(), spelled.to_lowercase(), HEX.to_uppercase()] {
            assert_eq!(format!("{:?}", pinned(&text).unwrap()), shown);
        }
    }

    #[test]
    fn what_is_no_sha256_is_no_fingerprint() {
        for text in ["", "00", &HEX[1..], &format!("{HEX}0"), &format!("{HEX}00"), &HEX.replace('a', "g")] {
            assert_eq!(pinned(text).unwrap_err(), TrustError::BadFingerprint, "{text}");
        }
    }

    #[test]
    fn contradicting_trust_is_refused_by_the_names_of_its_fields() {
        let both = TlsTrust {
            fingerprint: Some(HEX.to_owned()),
            ca_bundle: Some("x".to_owned()),
            insecure_skip_verify: false,
        };
        let message = Trust::of(&both, Tier::Lab).unwrap_err().to_string();
        assert!(message.contains("tls.fingerprint") && message.contains("tls.caBundle"), "{message}");
        let either = TlsTrust { ca_bundle: None, insecure_skip_verify: true, ..both.clone() };
        assert!(Trust::of(&either, Tier::Lab).is_err());
        let either = TlsTrust { fingerprint: None, insecure_skip_verify: true, ..both };
        assert!(Trust::of(&either, Tier::Lab).is_err());
    }

    #[test]
    fn production_never_trusts_anyone() {
        let tls = TlsTrust { insecure_skip_verify: true, ..Default::default() };
        assert_eq!(Trust::of(&tls, Tier::Production).unwrap_err(), TrustError::InsecureProduction);
        assert!(matches!(Trust::of(&tls, Tier::Staging), Ok(Trust::Anyone)));
    }

    #[test]
    fn a_bundle_without_certificates_is_refused() {
        for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let tls = TlsTrust { ca_bundle: Some(pem.to_owned()), ..Default::default() };
            assert!(matches!(Trust::of(&tls, Tier::Lab), Err(TrustError::BadCaBundle(_))), "{pem}");
        }
    }

    #[test]
    fn a_token_travels_unencrypted_only_in_a_lab() {
        for endpoint in ["http://pve1:8006", "HTTP://pve1:8006", "pve1:8006", "", "ftp://pve1"] {
            assert!(check_endpoint(endpoint, Tier::Production).is_err(), "{endpoint}");
            assert!(check_endpoint(endpoint, Tier::Staging).is_err(), "{endpoint}");
        }
        assert!(check_endpoint("http://127.0.0.1:8006", Tier::Lab).is_ok());
        assert!(check_endpoint("HTTPS://pve1:8006", Tier::Production).is_ok());
    }

    #[test]
    fn every_trust_can_be_put_to_work() {
        for trust in [Trust::Fingerprint([0; 32]), Trust::Anyone] {
            assert!(trust.client_config().is_ok(), "{trust:?}");
        }
    }
}
