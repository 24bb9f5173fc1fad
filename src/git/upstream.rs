//! The server that holds a repository: asked by TLS of our own, and only ever for what a fetch needs.

use std::{error::Error, sync::Arc, time::Duration};

use hyper::body::Bytes;
use reqwest::{Client, RequestBuilder, Response, Url, header, redirect, retry};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use secrecy::{ExposeSecret, SecretString};

use super::fetch::shown;

/// From connecting to the last byte.
const PATIENCE: Duration = Duration::from_secs(60);
const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(10);

/// The two things that a fetch asks for.
#[derive(Debug)]
pub(super) enum Question {
    /// Which branches there are.
    Branches,
    /// Commits and files.
    Pack(Bytes),
}

pub(super) struct Upstream {
    client: Client,
    repository: Url,
    login: Option<(String, SecretString)>,
}

impl Upstream {
    pub(super) fn new(
        mut repository: Url,
        ca_bundle: Option<&str>,
        credentials: Option<&SecretString>,
    ) -> Result<Self, String> {
        let path = repository.path().trim_end_matches('/').to_owned();
        repository.set_path(&path);
        let client = Client::builder()
            .tls_backend_preconfigured(tls(ca_bundle)?)
            .user_agent(concat!("git/proxmox-agent-", env!("CARGO_PKG_VERSION")))
            .retry(retry::never())
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .http1_only()
            .timeout(PATIENCE)
            .connect_timeout(PATIENCE_TO_CONNECT)
            .build()
            .map_err(|error| described(&error))?;
        Ok(Self { client, repository, login: credentials.map(login).transpose()? })
    }

    /// Asks once. An answer that is none is said in words, and without anything secret.
    pub(super) async fn ask(&self, question: Question) -> Result<Response, String> {
        let request = match question {
            Question::Branches => self.client.get(self.url("info/refs")).query(&[("service", SERVICE)]),
            Question::Pack(body) => self
                .client
                .post(self.url(SERVICE))
                .header(header::CONTENT_TYPE, "application/x-git-upload-pack-request")
                .header(header::ACCEPT, "application/x-git-upload-pack-result")
                .body(body),
        };
        let answer = self.logged_in(request).send().await.map_err(|error| described(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        Err(match status.as_u16() {
            301 | 302 | 303 | 307 | 308 => format!(
                "the server sends us on to {}, and no redirect is followed: if that is the right place, write it into spec.git.repository",
                self.leads_to(&answer)
            ),
            401 | 403 if self.login.is_none() => {
                format!("the server answered {status}: give it spec.git.credentials")
            }
            401 | 403 => {
                format!("the server answered {status} to the name and password of spec.git.credentials")
            }
            404 => {
                format!("the server answered {status}: there is no such repository, or it is not shown to us")
            }
            _ => format!("the server answered {status}"),
        })
    }

    fn logged_in(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.login {
            Some((user, password)) => request.basic_auth(user, Some(password.expose_secret())),
            None => request,
        }
    }

    fn url(&self, below: &str) -> Url {
        let mut url = self.repository.clone();
        url.set_path(&format!("{}/{below}", self.repository.path().trim_end_matches('/')));
        url
    }

    /// What comes behind a `?` there may be a secret of the server's.
    fn leads_to(&self, answer: &Response) -> String {
        let location = answer.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
        let url = location.and_then(|location| self.repository.join(location).ok());
        url.map_or_else(|| "nowhere".to_owned(), |url| shown(&url).chars().take(256).collect())
    }
}

const SERVICE: &str = "git-upload-pack";

fn login(credentials: &SecretString) -> Result<(String, SecretString), String> {
    let text = credentials.expose_secret().trim_end_matches(['\r', '\n']);
    let (user, password) =
        text.split_once(':').ok_or("spec.git.credentials: the Secret has to hold `user:password`")?;
    Ok((user.to_owned(), SecretString::from(password)))
}

fn tls(ca_bundle: Option<&str>) -> Result<ClientConfig, String> {
    let unusable = |error: rustls::Error| format!("TLS can't be set up here: {error}");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match ca_bundle {
        Some(pem) => builder.with_root_certificates(authorities(pem)?),
        None => builder.with_platform_verifier().map_err(unusable)?,
    };
    Ok(builder.with_no_client_auth())
}

pub(super) fn authorities(pem: &str) -> Result<RootCertStore, String> {
    let bad = |why: String| format!("spec.git.caBundle can't be used: {why}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}

/// With every cause, once.
pub(super) fn described(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let more = deeper.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = deeper.source();
    }
    text.chars().take(512).collect()
}
